"""`slimner variants`: what can be built and run here."""

from __future__ import annotations

import click
import msgspec
from rich.table import Table
from rich.text import Text

from ..core.errors import UserError
from ..core.install import install_hint
from ..core.machine import describe
from ..variants import VARIANTS
from . import options


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list."""

    name: str
    backend: str
    precision: str
    summary: str
    needs: list[str]
    can_build: bool
    can_run: bool
    note: str


def _listed(name: str) -> Listed:
    try:
        variant = VARIANTS.get(name)
    except UserError as error:
        return Listed(
            name=name, backend="?", precision="?", summary="", needs=[], can_build=False, can_run=False, note=str(error)
        )
    building, running = variant.missing(building=True), variant.missing(building=False)
    return Listed(
        name=name,
        backend=variant.backend,
        precision=variant.precision,
        summary=variant.summary,
        needs=sorted({need.partition(".")[0] for need in (*variant.run_needs, *variant.build_needs)}),
        can_build=not building,
        can_run=not running,
        note=f"lacks {', '.join(building)}" if building else "",
    )


@click.command(short_help="List the variants: back end, precision, needs, and whether they work here.")
@options.output
def variants(as_json: bool) -> None:
    """List every installed variant, built-in or from a plugin, without importing any back end."""
    listed = [_listed(name) for name in VARIANTS.names()]
    if as_json:
        options.print_json(listed)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("variant", "back end", "precision", "needs", "build", "run", "what it is"):
        table.add_column(heading, overflow="fold")
    for line in listed:
        table.add_row(
            line.name,
            line.backend,
            line.precision,
            ", ".join(line.needs),
            _answer(line.can_build),
            _answer(line.can_run),
            f"{line.summary} ({line.note})" if line.note and line.summary else line.note or line.summary,
        )
    console = options.out_console()
    console.print(table)
    machine = describe()
    console.print()
    console.print(f"machine  {machine.cpu}, {machine.cores} cores, {machine.instructions}", markup=False)
    if not all(line.can_build for line in listed):
        console.print(f"next     {install_hint('lab')} (for building and measuring)", markup=False)


def _answer(yes: bool) -> Text:
    return Text("yes", style="green") if yes else Text("no", style="yellow")
