"""`slimner variants`: what can be built and run here."""

from __future__ import annotations

import click
import msgspec

from ..core.errors import UserError
from ..core.install import install_hint
from ..core.machine import describe
from ..reports.content import Table
from ..variants import VARIANTS
from . import options, printing


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
        printing.print_json(listed)
        return
    printing.show(
        Table(
            headings=("variant", "back end", "precision", "needs", "build", "run", "what it is"),
            lines=[
                (
                    line.name,
                    line.backend,
                    line.precision,
                    ", ".join(line.needs),
                    "yes" if line.can_build else "no",
                    "yes" if line.can_run else "no",
                    f"{line.summary} ({line.note})" if line.note and line.summary else line.note or line.summary,
                )
                for line in listed
            ],
        )
    )
    machine = describe()
    printing.say("", f"machine  {machine.cpu}, {machine.cores} cores, {machine.instructions}")
    if not all(line.can_build for line in listed):
        printing.say(f"next     {install_hint('lab')} (for building and measuring)")
