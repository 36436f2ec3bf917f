"""Turns marked text (`[PER 王芳]在[LOC 广州]`) into the embedded corpus and back, and compares two annotators.

    python recipes/corpus.py pack news=news.txt sport=sport.txt --out zoo/news_zh/corpus.jsonl
    python recipes/corpus.py unpack zoo/news_zh/corpus.jsonl --domain news > news.txt
    python recipes/corpus.py strip news.txt > unmarked.txt
    python recipes/corpus.py agree first.txt second.txt

`strip` gives a second annotator the bare text; `agree` prints every difference and the F1 between the two.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

MARK = re.compile(r"\[(PER|LOC|ORG) ([^\[\]]+)\]")
Entity = tuple[int, int, str]


def parse(line: str) -> tuple[str, list[Entity]]:
    """Plain text and entities of one marked line."""
    text, entities, last = "", list[Entity](), 0
    for match in MARK.finditer(line):
        text += line[last : match.start()]
        entities.append((len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        last = match.end()
    text += line[last:]
    if re.search(r"[\[\]]", text):
        raise SystemExit(f"stray bracket: {line}")
    return text, entities


def mark(text: str, entities: list[Entity]) -> str:
    """The marked line of a text and its entities."""
    line, last = "", 0
    for start, end, kind in sorted(entities):
        line += f"{text[last:start]}[{kind} {text[start:end]}]"
        last = end
    return line + text[last:]


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def pack(sources: list[str], out: Path) -> None:
    rows: list[str] = []
    for source in sources:
        domain, _, path = source.partition("=")
        for number, line in enumerate(lines(Path(path)), 1):
            text, entities = parse(line)
            row = {
                "id": f"{domain}-{number:03d}",
                "text": text,
                "entities": [{"start": s, "end": e, "type": t} for s, e, t in entities],
            }
            rows.append(json.dumps(row, ensure_ascii=False))
    out.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(rows)} sentences written to {out}")


def unpack(path: Path, domain: str) -> None:
    for line in lines(path):
        row = json.loads(line)
        if row["id"].startswith(domain):
            print(mark(row["text"], [(e["start"], e["end"], e["type"]) for e in row["entities"]]))


def agree(first: Path, second: Path) -> None:
    both = only_first = only_second = 0
    for number, (a, b) in enumerate(zip(lines(first), lines(second), strict=True), 1):
        (text, left), (other, right) = parse(a), parse(b)
        if text != other:
            raise SystemExit(f"line {number}: the texts differ\n  {text}\n  {other}")
        both += len(set(left) & set(right))
        only_first += len(set(left) - set(right))
        only_second += len(set(right) - set(left))
        if set(left) != set(right):
            print(f"{number}\n  1 {a}\n  2 {b}")
    f1 = 2 * both / max(1, 2 * both + only_first + only_second)
    print(f"same {both}, first only {only_first}, second only {only_second}, F1 between the two {f1:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("pack")
    one.add_argument("sources", nargs="+", metavar="DOMAIN=FILE")
    one.add_argument("--out", type=Path, required=True)
    two = commands.add_parser("unpack")
    two.add_argument("file", type=Path)
    two.add_argument("--domain", default="")
    three = commands.add_parser("strip")
    three.add_argument("file", type=Path)
    four = commands.add_parser("agree")
    four.add_argument("first", type=Path)
    four.add_argument("second", type=Path)
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.sources, given.out)
    elif given.command == "unpack":
        unpack(given.file, given.domain)
    elif given.command == "strip":
        print("\n".join(parse(line)[0] for line in lines(given.file)))
    else:
        agree(given.first, given.second)


if __name__ == "__main__":
    main()
