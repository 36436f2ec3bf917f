"""The loop around the steps of training: epochs, progress, pauses, and a state that any stop leaves behind."""

from __future__ import annotations

import json
import random
import signal
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from news_zh.batches import batches
from news_zh.trainer import Trainer

SAVE_S, SAY_S = 120.0, 30.0
FREE = {"out", "work", "threads", "pause_file", "bfloat16"}  # what may differ when a run goes on


def add_options(parser: ArgumentParser, *, epochs: int, rate: float) -> None:
    """The options that every recipe with this loop has."""
    parser.add_argument("--out", type=Path, required=True, help="directory of the finished checkpoint")
    parser.add_argument("--work", type=Path, required=True, help="directory of the state a stopped run goes on from")
    parser.add_argument("--epochs", type=int, default=epochs, help=f"times through all texts ({epochs})")
    parser.add_argument("--rate", type=float, default=rate, help=f"peak learning rate ({rate:g})")
    parser.add_argument("--batch-tokens", type=int, default=1536, help="tokens in a step, with padding (1536)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--bfloat16", action="store_true", help="quicker, on processors that compute in it")
    parser.add_argument("--pause-file", type=Path, help="training waits while this file exists")


def same_settings(arguments: Namespace) -> None:
    """Refuses to go on in `--work` with other settings than those it was begun with."""
    given = {key: str(value) for key, value in sorted(vars(arguments).items()) if key not in FREE}
    arguments.work.mkdir(parents=True, exist_ok=True)
    noted = arguments.work / "settings.json"
    if noted.exists():
        before = json.loads(noted.read_text(encoding="utf-8"))
        changed = [key for key in given if before.get(key) != given[key]]
        if changed:
            told = "; ".join(f"{key} was {before.get(key)}, now {given[key]}" for key in changed)
            raise SystemExit(
                f"{arguments.work} was begun with other settings ({told}); name another --work, or delete it"
            )
    noted.write_text(json.dumps(given, indent=2) + "\n", encoding="utf-8")


class Epochs:
    """The batches of each epoch over texts of these lengths, and the F1 at its end, which `score` finds."""

    def __init__(self, lengths: list[int], arguments: Namespace, score: Callable[[], float]) -> None:
        self._lengths, self._arguments, self._score = lengths, arguments, score
        self._begun, self._f1 = time.time(), dict[int, float]()
        # epochs differ a little in how many batches they have, and are cut to one number
        self.per_epoch = max(1, int(len(self._grouped(0)) * 0.98))
        self.steps = self.per_epoch * arguments.epochs

    def batches(self, epoch: int) -> list[list[int]]:
        """Numbers of the texts in each batch, the same each time."""
        return self._grouped(f"{self._arguments.seed}/{epoch}")[: self.per_epoch]

    def end(self, epoch: int) -> None:
        """Score, and say so."""
        self._f1[epoch] = self._score()
        took = f"{time.time() - self._begun:.0f} s"
        print(f"epoch {epoch} of {self._arguments.epochs}: dev F1 {self._f1[epoch]:.4f}, {took}", flush=True)

    @property
    def f1(self) -> float:
        """The F1 at the end of the last epoch, to four digits."""
        last = self._arguments.epochs
        if last not in self._f1:  # a run that was stopped between its last step and the end
            self.end(last)
        return round(self._f1[last], 4)

    def _grouped(self, seed: int | str) -> list[list[int]]:
        return batches(self._lengths, self._arguments.batch_tokens, random.Random(seed))


def steps(trainer: Trainer, epochs: Epochs, pause: Path | None = None) -> Iterator[list[int]]:
    """The batches of the steps that are left; the caller updates the trainer once for each.

    The state is saved every two minutes, and when SIGINT (Ctrl-C) or SIGTERM
    ends the run with exit code 130.
    """
    stopped: list[int] = []
    before: dict[int, Any] = {
        number: signal.signal(number, lambda n, _: stopped.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    begun = said = saved = time.monotonic()
    first = trainer.step
    try:
        for epoch in range(trainer.step // epochs.per_epoch, trainer.steps // epochs.per_epoch):
            for batch in epochs.batches(epoch)[trainer.step % epochs.per_epoch :]:
                while pause and pause.exists() and not stopped:
                    time.sleep(2)
                if stopped:
                    trainer.save()
                    print(f"stopped at step {trainer.step} of {trainer.steps}; the same command goes on", flush=True)
                    raise SystemExit(130)
                yield batch
                now = time.monotonic()
                if now - said > SAY_S:
                    said = now
                    left = (now - begun) / (trainer.step - first) * (trainer.steps - trainer.step) / 60
                    loss = f"loss {trainer.loss:.3f}"
                    print(f"step {trainer.step} of {trainer.steps}, {loss}, {left:.0f} min left", flush=True)
                if now - saved > SAVE_S:
                    saved = now
                    trainer.save()
            trainer.save()
            epochs.end(epoch + 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
