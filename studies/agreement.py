"""The same checkpoint and corpus through slimner and through the libraries a checkpoint comes from; every difference.

    python studies/agreement.py --raner DIR [--environments DIRECTORY] --out docs/evidence/agreement.md

The embedded checkpoint goes through transformers' pipeline with each aggregation strategy and through Optimum's ONNX
pipeline; the RaNER directory (`studies/parity.py --keep` leaves a small trained one) through ModelScope's. F1 is
micro-averaged over exact spans with their types. A text on which the two differ is put into the first class that
explains it; exit code 1 if one is left unexplained.
"""

from __future__ import annotations

import argparse
import collections
import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import artifact_of, where_and_when
from environments import ask, python_of
from slimner import zoo
from slimner.core.cache import cache_directory
from slimner.core.store import write_text
from slimner.eval import Corpus, read_corpus
from slimner.reports.tables import markdown
from slimner.variants import VARIANTS, LoadOptions, Predictor, open_predictor, resolve_checkpoint
from slimner.variants.building import build
from slimner.variants.labels import spans
from slimner.variants.reading import units_of

STRATEGIES = ("none", "simple", "first", "average", "max")
Entities = set[tuple[int, int, str]]

CLASSES = {
    "raised": "the other library raised an error; slimner answered",
    "cut": "the text is longer than the model's window: the other library cuts it, slimner reads it in windows",
    "ill-formed": "the best tags are not a sequence of the scheme (an I-X with no B-X before it, a B-X with no E-X "
    "behind it): the other library still makes an entity of them; slimner takes whole entities only, and the best "
    "well-formed sequence if the checkpoint asks for that decoding",
    "fused": "first, average and max work on words; if a tokenizer does not mark the parts of a word, the pipeline "
    "takes everything between two spaces for one word, which in Chinese is the whole sentence; every text on which "
    "these strategies differ is counted here, without a look at each",
    "inside a word": "tags differ inside a word of several tokens: slimner takes the tag of the first token, as in "
    "training; the other library takes each token's, or averages over them",
    "offsets": "the same names at other places: the other library searches the text for them, or includes white space",
}


class Account:
    """One checkpoint on one corpus: our entities, and what others find."""

    def __init__(self, predictor: Predictor, corpus: Corpus) -> None:
        self.predictor = predictor
        self.corpus = corpus
        self.texts = [sentence.text for sentence in corpus.sentences]
        self.gold: list[Entities] = [
            {(s.tokens[a][0], s.tokens[b - 1][1], kind) for a, b, kind in spans(s.tags)} for s in corpus.sentences
        ]
        self.ours: list[Entities] = [{(e.start, e.end, e.type) for e in predictor(text)} for text in self.texts]

    def f1(self, found: Sequence[Entities]) -> float:
        """Micro F1 over exact spans."""
        right = sum(len(f & g) for f, g in zip(found, self.gold, strict=True))
        return 2 * right / (sum(map(len, found)) + sum(map(len, self.gold)))

    def line(
        self, name: str, answers: Sequence[Entities | None], *, fuses: bool = False
    ) -> tuple[tuple[str, ...], collections.Counter[str]]:
        """A line of the table, and the texts that differ by class. The answer to a text is None where it raised.

        `fuses` says that the other takes all between two spaces for one word.
        """
        say(name)
        found: list[Entities] = []
        differ: collections.Counter[str] = collections.Counter()
        for text, ours, theirs in zip(self.texts, self.ours, answers, strict=True):
            found.append(theirs or set())
            if theirs is None:
                differ["raised"] += 1
            elif theirs != ours:
                kind = "fused" if fuses else self.classify(text, ours, theirs)
                differ[kind] += 1
                if kind == "other" and differ[kind] <= 3:
                    say(f"  {text!r}\n  ours   {sorted(ours)}\n  theirs {sorted(theirs)}")
        f1, own = self.f1(found), self.f1(self.ours)
        return (
            name,
            str(sum(map(len, found))),
            f"{f1 * 100:.2f}",
            f"{(f1 - own) * 100:+.2f}",
            f"{len(self.texts) - sum(differ.values())} of {len(self.texts)}",
            ", ".join(f"{kind} {n}" for kind, n in differ.most_common()) or "none",
        ), differ

    def classify(self, text: str, ours: Entities, theirs: Entities) -> str:
        """The first class that explains why the entities of a text differ."""
        predictor = self.predictor
        encoding = predictor.encode(text)
        logits = predictor.logits(encoding)
        if len(encoding.ids) > predictor.body + 2:
            return "cut"
        units, _ = units_of(encoding, text)
        best = logits[units].argmax(1)
        (indices,) = predictor.labels.decode([logits[units]])
        if predictor.labels.crf is None and (indices != best).any():
            return "ill-formed"
        names = [predictor.labels.tags[i] for i in indices]
        if sum(b - a for a, b, _ in spans(names, predictor.labels.scheme)) < sum(tag != "O" for tag in names):
            return "ill-formed"
        if len(units) < len(logits):
            tags = [predictor.labels.tags[i] for i in logits.argmax(1)]
            own = {index: tag for index, tag in enumerate(tags) if index not in set(units)}
            if any(
                tag[2:] != tags[max(u for u in units if u < index)][2:] or tag[0] == "B" for index, tag in own.items()
            ):
                return "inside a word"
        names = sorted(text[a:b].strip() + kind for a, b, kind in ours)
        if names == sorted(text[a:b].strip() + kind for a, b, kind in theirs) or len(ours) == len(theirs):
            return "offsets"
        return "other"


def entities_of(found: Sequence[Mapping[str, Any]], strategy: str) -> Entities:
    """Entities of what a token-classification pipeline of transformers gives."""
    if strategy != "none":
        return {(int(e["start"]), int(e["end"]), str(e["entity_group"])) for e in found}
    # one dictionary a token that is not O: its tags are read as they stand
    tags, places, last = [], [], -1
    for token in found:
        if token["index"] != last + 1:
            tags.append("O")
            places.append((0, 0))
        tags.append(str(token["entity"]))
        places.append((int(token["start"]), int(token["end"])))
        last = token["index"]
    return {(places[a][0], places[b - 1][1], kind) for a, b, kind in spans(tags)}


def of_others(outcomes: Sequence[Mapping[str, Any]], read: Callable[[Any], Entities]) -> list[Entities | None]:
    """Entities by text of what others.py answers; None where the other library raised an error."""
    return [None if one["found"] is None else read(one["found"]) for one in outcomes]


def of_transformers(python: Path, corpus: Corpus) -> tuple[str, collections.Counter[str]]:
    """The table of the embedded checkpoint."""
    from transformers import AutoTokenizer, pipeline

    directory = str(zoo.checkpoint())
    account = Account(open_predictor(artifact_of("news-zh", "fp32"), threads=1), corpus)
    lines = [own_line("slimner fp32", account)]
    total: collections.Counter[str] = collections.Counter()
    for variant in ("dynamic-int8", "onnx-fp32", "onnx-int8"):
        other = Account(open_predictor(artifact_of("news-zh", variant), threads=1), corpus)
        same = sum(a == b for a, b in zip(account.ours, other.ours, strict=True))
        change = f"{(other.f1(other.ours) - account.f1(account.ours)) * 100:+.2f}"
        how = "rounding to eight bits" if variant.endswith("int8") else "none"
        differ = f"{how} {len(other.ours) - same}" if same < len(other.ours) else "none"
        found = str(sum(map(len, other.ours)))
        line = (f"slimner {variant}", found, f"{other.f1(other.ours) * 100:.2f}", change)
        lines.append((*line, f"{same} of {len(other.ours)}", differ))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    fused = not getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    for strategy in STRATEGIES:
        pipe = pipeline("token-classification", directory, tokenizer=tokenizer, aggregation_strategy=strategy)
        answers = [entities_of(pipe(text), strategy) for text in account.texts]
        line, differ = account.line(f"transformers, {strategy}", answers, fuses=fused and strategy in STRATEGIES[2:])
        lines.append(line)
        total += differ
    for strategy, outcomes in ask(python, "optimum", directory, *STRATEGIES[:2], texts=account.texts).items():
        answers = of_others(outcomes, functools.partial(entities_of, strategy=strategy))
        line, differ = account.line(f"Optimum ONNX, {strategy}", answers)
        lines.append(line)
        total += differ
    return markdown(HEADINGS, lines), total


def of_modelscope(python: Path, directory: Path, corpus: Corpus) -> tuple[str, collections.Counter[str]]:
    """The table of a RaNER directory."""
    source = resolve_checkpoint(str(directory), LoadOptions(allow_pickle=True))
    path = build(source, VARIANTS.get("fp32"), cache=cache_directory(), timeout_s=1800)[0].path
    account = Account(open_predictor(path, threads=1), corpus)
    outcomes = ask(python, "modelscope", directory, texts=account.texts)
    read = of_others(outcomes, lambda found: {(e["start"], e["end"], e["type"]) for e in found})
    line, differ = account.line("ModelScope", read)
    return markdown(HEADINGS, [own_line("slimner fp32", account), line]), differ


def own_line(name: str, account: Account) -> tuple[str, ...]:
    """The line that the others are compared with."""
    f1 = f"{account.f1(account.ours) * 100:.2f}"
    return name, str(sum(map(len, account.ours))), f1, "", f"all {len(account.texts)}", ""


HEADINGS = ("pipeline", "entities", "F1", "change, pp", "texts with the same entities", "texts that differ, by class")


def say(what: str) -> None:
    """Progress, with the time since the start."""
    sys.stderr.write(f"{time.monotonic() - BEGUN:6.0f} s  {what}\n")


BEGUN = time.monotonic()


def main() -> None:
    """Compare and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raner", type=Path, required=True, help="a trained directory of the kind transformer-crf")
    parser.add_argument("--environments", type=Path, default=Path(".peers/environments"), help="kept environments")
    parser.add_argument("--corpus", default="news-zh", help="labelled sentences")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    corpus = read_corpus(given.corpus)
    pythons = {name: python_of(name, given.environments) for name in ("optimum", "modelscope")}
    first, one = of_transformers(pythons["optimum"], corpus)
    second, two = of_modelscope(pythons["modelscope"], given.raner, corpus)
    theirs = "; ".join(
        f"of {name}: " + ", ".join(f"{library} {version}" for library, version in ask(python, "versions").items())
        for name, python in pythons.items()
    )
    classes = one + two
    write_text(
        given.out,
        f"""# Agreement with the libraries checkpoints come from

Made by `nox -s agreement` (`studies/agreement.py`), not edited by hand.

{where_and_when()} Optimum's and ModelScope's pipelines run in environments of their own ({theirs}).

Corpus {corpus.name}: {len(corpus.sentences)} sentences, {sum(len(spans(s.tags)) for s in corpus.sentences):,} entities.
F1 is micro-averaged over exact spans and types. A pipeline that raises on a text has found nothing in it.

## The embedded checkpoint
transformers' pipeline with each of its aggregation strategies (with `none`, the tags of tokens are read as IOB2), and
Optimum's with the graph it exports (it shares the code of the strategies).

{first}

## A trained RaNER directory
BERT with a CRF, made by `studies/raner.py`, through ModelScope's `named-entity-recognition` pipeline.

{second}

## Why texts differ
{chr(10).join(f"- **{kind}**: {CLASSES.get(kind, 'not explained')} ({n})" for kind, n in classes.most_common())}
""",
    )
    say(f"written to {given.out}; {classes['other']} differences not explained")
    raise SystemExit(1 if classes["other"] else 0)


if __name__ == "__main__":
    main()
