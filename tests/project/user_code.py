"""A program of a user's, for the type checkers: `nox -s types` runs mypy --strict over it; nothing runs it."""

from __future__ import annotations

from pathlib import Path

import slimner


class Counting:
    """A progress of the user's own."""

    def __init__(self) -> None:
        self.steps = 0

    def phase(self, name: str, total: int) -> None:
        self.steps = total

    def now(self, phase: str, what: str) -> None:
        pass

    def done(self, phase: str, what: str) -> None:
        self.steps -= 1

    def failed(self, phase: str, what: str, *, counts: bool = True) -> None:
        pass

    def found(self, record: object) -> None:
        pass

    def note(self, message: str) -> None:
        pass


def choose(checkpoint: str, corpus: Path) -> str | None:
    progress: slimner.Progress = Counting()
    found: slimner.Run = slimner.run(checkpoint, corpus=corpus, variants=["onnx-int8"], progress=progress)
    seconds: float = found.results.seconds
    return found.decision.winner if seconds else None


def judge(before: Path, after: Path) -> int:
    record: slimner.GateRecord = slimner.gate(before, after, settings=slimner.Measuring(samples=100), budget_s=60)
    compared: slimner.Compared = slimner.compare(before, after, policy=slimner.read_policy(Path("policy.toml")))
    return max(record.exit_code, compared.exit_code)


def answer(path: Path, text: str) -> list[str]:
    predict: slimner.Predictor = slimner.open_predictor(path)
    entities: list[slimner.Entity] = predict(text)
    score: slimner.EvaluationRecord = slimner.evaluate(path)
    report: slimner.BenchReport = slimner.bench(path, repetitions=1)
    return [entity.type for entity in entities if score.strict.f1 > 0 and report.measurements]


def provision(plan: slimner.SweepPlan, out: Path) -> int:
    found: slimner.Sweep = slimner.sweep(plan, out=out)
    planned: slimner.DeploymentPlan = slimner.plan([out], rate=200, p95_ms=120)
    needed = [machine.machines or 0 for machine in planned.machines]
    return sum(needed) if all(verdict.serves_all for verdict in found.verdicts) else 0
