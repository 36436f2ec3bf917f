"""`slimner verify`: whether a bundle is unchanged and still answers as when it was made."""

from __future__ import annotations

from pathlib import Path

import click

from .. import zoo
from ..core import child
from ..core.errors import EXIT_PASS
from ..core.machine import thread_environment
from ..serve.bundle import check_golden, open_served, replay_in_child
from . import options, printing


@click.command(short_help="Check a bundle: hashes, opening, golden predictions.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@options.timeout
@options.output
def verify(bundle: Path | None, timeout: float, as_json: bool) -> int:
    """Check the hash of every file of BUNDLE (by default the embedded one), open it, and replay its golden inputs.

    If anything is wrong, the command names it and ends with exit code 2.

    \b
    slimner verify my-bundle
    """
    place = bundle or zoo.bundle()
    served = open_served(place)
    threads = served.bundle.session.threads if served.bundle else 1
    with printing.err_console().status("replaying golden inputs"):
        replay = child.call(replay_in_child, served.model, served.golden, threads)
        wrong = replay.run(timeout_s=timeout, environment=thread_environment(threads))
    note = check_golden(served, wrong)
    if as_json:
        printing.print_json(served.bundle or served.manifest)
        return EXIT_PASS
    printing.warn_of_other_instructions(served.manifest)
    scores = served.bundle.scores if served.bundle else None
    printing.say(
        f"whole    {place}: {served.manifest.name}, {served.manifest.size_bytes / 1e6:.1f} MB, every hash is right",
        f"golden   {note or f'{len(served.golden)} of {len(served.golden)} texts are answered as when it was made'}",
        (
            f"F1       {scores.f1 * 100:.2f} ({scores.f1_low * 100:.2f} to {scores.f1_high * 100:.2f}) "
            f"on {scores.corpus}, {scores.instructions}"
            if scores
            else "F1       never scored; bundle the results of slimner run to carry it"
        ),
    )
    return EXIT_PASS
