"""Write the pages of docs/reference from the code; a test compares what is committed with what the code gives."""

from __future__ import annotations

from pathlib import Path

from generating import commands, facts, records
from slimner.cli.main import COMMANDS

REFERENCE = Path(__file__).parent / "reference"
NOTICE = "<!-- written by docs/generate.py; change the code, then run it again -->\n\n"

BY_HAND = ("corpus-defects.md", "corpus-formats.md", "tag-schemes.md")
"""Pages of docs/reference that are written by hand, and left as they are."""


def pages() -> dict[str, str]:
    """Every generated page by its path below docs/reference."""
    written = {f"commands/{name}.md": commands.command_page(name) for name in COMMANDS}
    written["commands/index.md"] = commands.commands_index()
    written |= {
        "policy.md": facts.policy_page(),
        "metrics.md": facts.metrics_page(),
        "variants.md": facts.variants_page(),
        "exit-codes.md": facts.exit_codes_page(),
        "records.md": records.records_page(),
        "environment.md": facts.environment_page(),
    }
    return {name: NOTICE + text.rstrip() + "\n" for name, text in sorted(written.items())}


def main() -> None:
    """Write every page and schema, and remove what is left of other pages; schemas of older versions stay."""
    written = pages() | records.schemas()  # before anything is removed: what cannot be generated leaves the old pages
    for path in REFERENCE.rglob("*.md"):
        if str(path.relative_to(REFERENCE)) not in BY_HAND:
            path.unlink()
    for name, text in written.items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
