"""Every family of transformers that classifies tokens, through every variant: what builds, agrees and is served.

    python studies/families.py [--out docs/evidence/families.md] [--state .families] [FAMILY ...]

A small checkpoint of each family is made with random weights and a tokenizer trained on the spot, built as all
built-in variants and with the second exporter, compared with transformers at the lengths 1, 7, the window and beyond
it, and asked over HTTP. Each family is a process of its own and leaves a record in --state, behind which a second
start goes on. Families without a record keep the row that --out had of them, with its day.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from common import where_and_when
from families_made import make, window_texts
from slimner.core.errors import SlimnerError
from slimner.core.store import write_json, write_text
from slimner.reports.tables import markdown
from slimner.variants import VARIANTS, Predictor, open_predictor, resolve_checkpoint
from slimner.variants.building import build_in_child, key_of
from slimner.variants.variant import Tuning

NAMES = ("fp32", "dynamic-int8", "onnx-fp32", "onnx-int8")
TIMEOUT_S = 900.0


class Tried(msgspec.Struct, kw_only=True):
    """What became of one family; texts are reasons, numbers are differences of logits relative to their range."""

    family: str
    model: str
    day: str = ""
    made: bool = False
    window: int = 0
    built: dict[str, str] = {}
    dynamo: str = ""
    difference: dict[str, float] = {}
    beyond: float | None = None
    served: str = ""
    why: str = ""


def try_family(family: str, model: str, target: Path) -> None:
    """One family, in a process of its own; the record is written whatever happens."""
    os.setsid()  # what it starts ends with it
    tried = Tried(family=family, model=model, day=str(datetime.date.today()))
    with tempfile.TemporaryDirectory(prefix="families-") as temporary:
        os.environ["SLIMNER_CACHE"] = str(Path(temporary) / "cache")
        try:
            directory = make(family, model, Path(temporary) / family)
            tried.made = True
        except Exception as error:  # a configuration of its own kind, or a library that is not here
            tried.why = f"no small one was made: {_line(error)}"
            write_json(target, tried)
            return
        try:
            _through(directory, Path(temporary), tried)
        except SlimnerError as error:
            tried.why = str(error)
        except Exception as error:
            traceback.print_exc()
            tried.why = f"unforeseen: {_line(error)}"
    write_json(target, tried)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _through(directory: Path, temporary: Path, tried: Tried) -> None:
    source = resolve_checkpoint(str(directory))
    predictors: dict[str, Predictor] = {}
    for name, exporter in (*((name, "torchscript") for name in NAMES), ("onnx-fp32", "dynamo")):
        variant, target = VARIANTS.get(name), temporary / f"{name}-{exporter}"
        target.mkdir()
        try:
            build_in_child(source, name, target, key_of(source, variant, exporter), exporter, Tuning())
        except Exception as error:
            reason = str(error) if isinstance(error, SlimnerError) else f"unforeseen: {_line(error)}"
        else:
            reason = "yes"
        if exporter == "dynamo":
            tried.dynamo = reason
            continue
        tried.built[name] = reason
        if reason == "yes":
            predictors[name] = open_predictor(target)
    if "fp32" not in predictors:
        return
    reference = predictors["fp32"]
    tried.window = reference.body + reference.tokenizer.num_special_tokens_to_add(False)
    long, short = window_texts(tried.window)
    if onnx := predictors.get("onnx-fp32"):
        for length in (1, 7, tried.window):
            ids = np.random.default_rng(length).integers(5, reference.tokenizer.get_vocab_size(), length)
            expected, got = reference.model(ids), onnx.model(ids)
            assert np.isfinite(expected).all()
            assert np.isfinite(got).all()
            tried.difference[str(length)] = float(np.abs(expected - got).max() / max(10.0, float(np.ptp(expected))))
        expected, got = (each.logits(each.encode(long)) for each in (reference, onnx))
        assert len(expected) > tried.window
        tried.beyond = float((expected.argmax(1) == got.argmax(1)).mean())
    name = next(name for name in reversed(NAMES) if name in predictors)
    tried.served = _served(temporary / f"{name}-torchscript", predictors[name], (short, long))


def _served(artifact: Path, predictor: Predictor, texts: tuple[str, ...]) -> str:
    """Whether a server of its own answers what the predictor does."""
    main = "from slimner.cli.main import main; main()"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-P", "-c", main, "serve", str(artifact), "--port", str(port), "--workers", "1"]
    with (artifact.parent / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end and server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30).read()
                break
            except OSError:
                time.sleep(0.2)
        found = 0
        for text in texts:
            body = json.dumps({"text": text}).encode()
            asked = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/ner", body, {"Content-Type": "application/json"}
            )
            answer = json.loads(urllib.request.urlopen(asked, timeout=120).read())
            expected = [(entity.start, entity.end, entity.type) for entity in predictor(text)]
            if [(e["start"], e["end"], e["type"]) for e in answer["entities"]] != expected:
                return "other entities than the predictor's"
            found += len(expected)
    except OSError as error:
        return f"no answer: {_line(error)}; {(artifact.parent / 'server.log').read_text()[-300:]}"
    finally:
        server.terminate()
        server.wait()
    return "yes" if found else "it answered, but there was no entity to compare"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A family's line of the table, and why something of it was refused."""

    cells: tuple[str, ...]
    reason: str = ""


def row_of(one: Tried) -> Row:
    """What the page says of a family that was tried."""
    yes = [_mark(one.built.get(name, "")) for name in NAMES] + [_mark(one.dynamo)]
    worst = f"{max(one.difference.values()):.0e}" if one.difference else ""
    beyond = "" if one.beyond is None else f"{one.beyond * 100:.1f} %"
    found = dict.fromkeys(
        reason for reason in (one.why, *one.built.values(), one.served, one.dynamo) if reason not in ("", "yes")
    )
    return Row(
        cells=(str(one.window or ""), *yes, worst, beyond, _mark(one.served), one.day),
        reason="; ".join(_plain(reason) for reason in found),
    )


def rows_of(text: str) -> dict[str, Row]:
    """The rows of a page that was written before, by family."""
    reasons = dict(re.findall(r"^- `([^`]+)`: (.*)$", text, re.MULTILINE))
    lines = re.findall(r"^\| (.*) \|$", text.partition("## What was refused")[0], re.MULTILINE)
    parts = [[cell.strip().replace("\\_", "_") for cell in line.split(" | ")] for line in lines[2:]]
    return {family: Row(cells=tuple(cells), reason=reasons.get(family, "")) for family, *cells in parts}


def page(rows: Mapping[str, Row], untried: Sequence[str] = ()) -> str:
    """The page of evidence: a row a family, then the reasons."""
    headings = ("family", "window", *NAMES, "dynamo", "difference", "beyond", "served", "tried")
    passes = {1 + NAMES.index(name): "yes" for name in NAMES} | {7: "100.0 %", 8: "yes"}
    whole = sum(all(row.cells[place] == mark for place, mark in passes.items()) for row in rows.values())
    return (
        "\n\n".join(
            (
                "# Families of transformers: `nox -s families`",
                "A small checkpoint of every class `...ForTokenClassification` of transformers, with random weights "
                "and a tokenizer trained on the spot, through every variant. `dynamo`: `onnx-fp32` by the second "
                "exporter. "
                "`difference`: the largest one of `onnx-fp32`'s logits at the lengths 1, 7 and the window, relative to "
                "their range. `beyond`: tags that are the same on a text longer than the window. `served`: a server "
                "of the last variant that was built answers what the predictor does, on a short text and on that one. "
                "`tried`: the day; `nox -s families -- FAMILY ...` tries some, and leaves the rows of the others.",
                f"{whole} of {len(rows)} families that were tried go through all of it. Last run: {where_and_when()}",
                markdown(headings, [(family, *row.cells) for family, row in rows.items()]),
                "## What was refused, and why",
                "\n".join(f"- `{family}`: {row.reason}" for family, row in rows.items() if row.reason),
                *(("## Not tried yet", ", ".join(untried)) if untried else ()),
            )
        )
        + "\n"
    )


def _mark(answer: str) -> str:
    return "yes" if answer == "yes" else "no" if answer else ""


def _plain(reason: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", reason).replace("<", "(").replace(">", ")").split())[:300]


def main() -> None:
    """Try every family that has no record yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/families.md"))
    parser.add_argument("--state", type=Path, default=Path(".families"))
    parser.add_argument("families", nargs="*")
    arguments = parser.parse_args()
    import torch
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as CLASSES

    torch.set_num_threads(1)
    arguments.state.mkdir(exist_ok=True)
    forked = multiprocessing.get_context("fork")
    for family in arguments.families or CLASSES:
        record = arguments.state / f"{family}.json"
        if record.is_file():
            continue
        process = forked.Process(target=try_family, args=(family, CLASSES[family], record))
        begun = time.monotonic()
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        if not record.is_file():
            reason = f"its process ended with {process.exitcode}" if process.exitcode != -9 else "took too long"
            write_json(record, Tried(family=family, model=CLASSES[family], why=reason))
        print(f"{family}: {time.monotonic() - begun:.0f} s", flush=True)
    rows = rows_of(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    for family in CLASSES:
        if (record := arguments.state / f"{family}.json").is_file():
            rows[family] = row_of(msgspec.json.decode(record.read_bytes(), type=Tried))
    known = {family: rows[family] for family in CLASSES if family in rows}
    write_text(arguments.out, page(known, [family for family in CLASSES if family not in known]))


if __name__ == "__main__":
    main()
