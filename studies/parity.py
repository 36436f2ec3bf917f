"""Entities of a CRF checkpoint in slimner against ModelScope's own pipeline, on short, long and odd texts.

    python studies/parity.py --vocab vocab.txt --train train.bio --texts one.txt two.txt --out docs/evidence/parity.md

Two directories in ModelScope's layout: BERT of base size with random weights, whose pipeline cuts at 64 tokens, and a
small trained one, whose pipeline cuts at 512. The same texts go through both; a text on which ModelScope raises, or
which it cuts, has no entities to compare with and is counted apart. Exit code 1 if entities differ on a text that it
answers in a way that has no class below.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from common import where_and_when
from environments import ask, python_of
from slimner.core.cache import cache_directory
from slimner.core.store import write_text
from slimner.eval import read_corpus
from slimner.reports.tables import markdown
from slimner.variants import VARIANTS, LoadOptions, Predictor, open_predictor, read_manifest, resolve_checkpoint
from slimner.variants.building import build
from slimner.variants.labels import spans
from slimner.variants.reading import units_of
from slimner.variants.viterbi import viterbi

FULL_CUT, SMALL_CUT = 64, 512
EXACT = ("fp32", "onnx-fp32")

ODD = (
    *("", " ", "\n", "。", "a", "A", "王", "１２３", "ＡＢＣ公司", "２０２５年１１月２５日", "😀", "王芳😀在广州"),
    *("👨‍👩‍👧 一家在上海", "臺灣大學在臺北市", "Café in 上海", "É", "ﬁ在北京", "İstanbul和北京", "北京\u200b上海"),
    *(
        "北京\ufeff上海",
        "王 芳 在 广 州",
        "　　全角空格　北京　",
        "\t新华社\t北京\n电\r\n",
        "[SEP]北京",
        "北京[SEP]上海",
    ),
    *("[CLS][PAD]王芳", "##京在北##京", "北京" * 200, "Peking University in BEIJING", "iPhone15在北京发布"),
    *("3.14159", "http://例子.中国/北京", "——《北京》——", "“王芳”，‘李明’", "龘靐齉𠮷野家在東京", "한국 서울"),
    *("とうきょうと大阪", "Ünïcödé ñ", "한", "e\u0301cole在巴黎", "ｶﾞｲﾄﾞ", "№①②③℃㎡", "...", "中" * 600),
)


class Outcome(msgspec.Struct):
    """What one pipeline did with one text."""

    entities: list[tuple[int, int, str]] | None = None
    raised: str = ""


def by_modelscope(python: Path, directory: Path, texts: list[str]) -> list[Outcome]:
    """What ModelScope's pipeline answers, text by text."""
    return [
        Outcome(entities=None, raised=one["raised"])
        if one["found"] is None
        else Outcome(entities=[(e["start"], e["end"], e["type"]) for e in one["found"]])
        for one in ask(python, "modelscope", directory, texts=texts)
    ]


def crf_agrees(python: Path) -> int:
    """Random sequences on which our Viterbi, five at once, and ModelScope's CRF agree; AssertionError if not."""
    cases = ask(python, "crf")
    for case in cases:
        scores = [np.asarray(part, dtype=np.float32) for part in case["scores"]]
        found = viterbi([np.asarray(emissions, dtype=np.float32) for emissions in case["emissions"]], *scores)
        for ours, theirs in zip(found, case["paths"], strict=True):
            assert ours.tolist() == theirs
    return sum(len(case["paths"]) for case in cases)


def compare(
    python: Path, name: str, directory: Path, texts: list[str], longest: int, variants: Sequence[str]
) -> tuple[list[str], int]:
    """Lines of the page about one directory, and how many answered texts differ in an exact variant."""
    say(f"{name}: ModelScope")
    theirs = by_modelscope(python, directory, texts)
    source = resolve_checkpoint(str(directory), LoadOptions(allow_pickle=True))
    artifacts = {}
    for variant in variants:
        say(f"{name}: building {variant}")
        artifacts[variant] = build(source, VARIANTS.get(variant), cache=cache_directory(), timeout_s=1800)[0].path
    predictors = {variant: open_predictor(path, threads=1) for variant, path in artifacts.items()}
    tokens = [len(predictors["fp32"].encode(text).ids) for text in texts]
    raised = [i for i, outcome in enumerate(theirs) if outcome.entities is None]
    cut = [i for i, outcome in enumerate(theirs) if outcome.entities is not None and tokens[i] > longest]
    answered = [i for i in range(len(texts)) if i not in {*raised, *cut}]
    found = sum(len(theirs[i].entities or ()) for i in answered)
    reasons = collections.Counter(theirs[i].raised for i in raised)
    lines = [
        f"## {name}",
        f"{source.architecture}, {source.parameters / 1e6:.1f} million parameters, tags in {source.labels.scheme}, "
        f"decoding {source.labels.decoding}. {len(texts)} texts of 0 to {max(map(len, texts)):,} characters: "
        f"ModelScope answers {len(answered)} in full with {found:,} entities, cuts {len(cut)} at {longest} tokens, and "
        f"raises on {len(raised)}. slimner answers all {len(texts)}.",
        markdown(("what ModelScope raised", "texts"), [(what, str(n)) for what, n in reasons.most_common()])
        if reasons
        else "It raised nothing.",
    ]
    rows, bad = [], 0
    for variant, predictor in predictors.items():
        say(f"{name}: {variant}")
        mine = {i: [(e.start, e.end, e.type) for e in predictor(texts[i])] for i in range(len(texts))}
        kinds = {i: classify(predictor, texts[i], mine[i], theirs[i].entities or []) for i in answered}
        classes = collections.Counter(kinds.values())
        same = classes.pop("same", 0)
        if variant in EXACT:
            bad += classes.get("other", 0)
            for i in answered:
                if kinds[i] == "other":
                    say(f"  {texts[i]!r}\n  ours   {mine[i]}\n  theirs {theirs[i].entities}")
        parity = read_manifest(artifacts[variant]).parity
        rows.append(
            (
                variant,
                f"{same} of {len(answered)}",
                ", ".join(f"{what} {n}" for what, n in classes.items()) or "none",
                f"{parity.max_abs_logit_difference:.2g}",
                str(sum(bool(mine[i]) for i in raised)),
                str(sum(len(mine[i]) for i in cut)),
            )
        )
    lines.append(
        markdown(
            (
                "variant",
                "same entities",
                "differences",
                "logits, largest difference",
                "raised texts in which ours finds names",
                "names in the texts it cuts",
            ),
            rows,
        )
    )
    lines.append(scores_line(python, directory, predictors["fp32"], [texts[i] for i in answered]))
    return lines, bad


def classify(
    predictor: Predictor, text: str, mine: list[tuple[int, int, str]], theirs: list[tuple[int, int, str]]
) -> str:
    """What kind of difference there is between the entities of one text."""
    if mine == theirs:
        return "same"
    trimmed = [(s + len(t) - len(t.lstrip()), s + len(t.rstrip()), k) for s, e, k in theirs for t in (text[s:e],)]
    if mine == trimmed:
        return "white space at an edge"
    if any(token in text for token in ("[SEP]", "[CLS]", "[PAD]")):
        return "special tokens as text"
    if [(text[s:e].strip(), kind) for s, e, kind in mine] == [(text[s:e].strip(), kind) for s, e, kind in theirs]:
        return "offsets"
    encoding = predictor.encode(text)
    logits = predictor.logits(encoding)[units_of(encoding, text)[0]]
    tags = [predictor.labels.tags[i] for i in predictor.labels.decode([logits])[0]]
    whole = sum(end - start for start, end, _ in spans(tags, predictor.labels.scheme))
    return "ill-formed tags" if whole < sum(tag != "O" for tag in tags) else "other"


def scores_line(python: Path, directory: Path, predictor: Predictor, texts: list[str]) -> str:
    """How far scores and decoded tags of the two are apart on the texts that both answer."""
    worst, units, same = 0.0, 0, 0
    for text, theirs in zip(texts, ask(python, "modelscope-tags", directory, texts=texts), strict=True):
        if theirs is None:
            continue
        logits, tags = (np.asarray(theirs[name]) for name in ("logits", "tags"))
        encoding = predictor.encode(text)
        mine = predictor.logits(encoding)[units_of(encoding, text)[0]]
        if mine.shape != logits.shape:
            continue
        worst = max(worst, float(np.abs(mine - logits).max(initial=0.0)))
        units += len(tags)
        same += int((predictor.labels.decode([mine])[0] == tags).sum())
    return (
        f"Over the {len(texts)} texts, scores of fp32 and ModelScope's differ by at most {worst:.2g}, and {same:,} of "
        f"{units:,} tags are equal."
    )


def trained(python: Path, place: Path, vocabulary: Path, data: Path, steps: int) -> Path:
    """A small directory, trained on a column file."""
    sentences = [([s.text[a:b] for a, b in s.tokens], s.tags) for s in read_corpus(str(data)).sentences]
    examples = place / "examples.json"
    examples.write_text(json.dumps(sentences), encoding="utf-8")
    return Path(ask(python, "trained", place / "raner-small", vocabulary.absolute(), examples, steps, SMALL_CUT))


def some(path: Path, count: int) -> list[str]:
    """So many lines of a file, evenly over it."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[:: max(1, len(lines) // count)][:count]


def say(what: str) -> None:
    """Progress, with the time since the start."""
    sys.stderr.write(f"{time.monotonic() - BEGUN:6.0f} s  {what}\n")


BEGUN = time.monotonic()


def main() -> None:
    """Build, compare, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=Path, required=True, help="vocab.txt of bert-base-chinese")
    parser.add_argument("--train", type=Path, required=True, help="a column file to train the small one on")
    parser.add_argument("--texts", type=Path, nargs=2, required=True, help="short and long texts, one a line")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600, help="how long the small one is trained")
    parser.add_argument("--environments", type=Path, default=Path(".peers/environments"), help="kept environments")
    parser.add_argument("--small", type=Path, help="a small directory that is there already, in place of training one")
    parser.add_argument("--keep", type=Path, help="where the small one is kept (for studies/agreement.py)")
    parser.add_argument("--short", type=int, default=480, help="texts taken from the first file")
    parser.add_argument("--full", type=int, default=60, help="how many of those go through the model of full size")
    parser.add_argument("--long", type=int, default=100, help="texts taken from the second file; a fifth for full size")
    given = parser.parse_args()
    python = python_of("modelscope", given.environments)
    short, long = (some(path, count) for path, count in zip(given.texts, (given.short, given.long), strict=True))
    say(f"Viterbi: {crf_agrees(python)} sequences")
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        say("making the directory of full size")
        full = Path(ask(python, "full-size", place / "raner-base", given.vocab.absolute(), FULL_CUT))
        small = given.small or trained(python, place, given.vocab, given.train, given.steps)
        first, bad = compare(
            *(python, "Full size, random weights", full, [*ODD, *short[: given.full], *long[::5]], FULL_CUT),
            ("fp32", "onnx-int8"),
        )
        second, worse = compare(
            *(python, "Small, trained", small, [*ODD, *short, *long], SMALL_CUT),
            ("fp32", "dynamic-int8", "onnx-fp32", "onnx-int8"),
        )
        if given.keep:
            shutil.copytree(small, given.keep)

    body = "\n\n".join((*first, *second))
    theirs = ", ".join(f"{name} {version}" for name, version in ask(python, "versions").items())
    before = ", with a small directory from an earlier run" if given.small else ""
    write_text(
        given.out,
        f"""# Entities against ModelScope's pipeline

Made by `nox -s parity` (`studies/parity.py`){before}, not edited by hand.

{where_and_when()} ModelScope's side runs in an environment of its own: {theirs}.

Two `transformer-crf` directories, laid out as ModelScope lays out RaNER, go through ModelScope's
`named-entity-recognition` pipeline and through slimner: {len(ODD)} odd texts (empty, white space, full width,
emoji, traditional, other scripts, special tokens typed as text, very long) and lines of news,
sentences and whole documents. The small one is a BERT of three layers of 128, trained on Chinese news for
{given.steps:,} steps.
A CRF is decoded in numpy here, in torch there; on 500 random sequences of up to 40 tags, five at once, the two agree on
every tag.

{body}

## What the differences are
- **raises**: its slow tokenizer looks each token up in the text to find its offset, and raises where the token is not
  in the text as it stands: an unknown character, a stripped accent. A text without tokens raises in its CRF.
- **cuts**: what lies beyond the configured maximum is dropped without a word. slimner cuts a long text into windows
  that overlap, and decodes the CRF over the whole text.
- **offsets**: the same names at another place: it looks tokens up in the lower-cased text, which may be longer than the
  text (İ), and finds an earlier place than the token's where a character was dropped.
- **white space at an edge**: the same name; slimner leaves white space at its edge out.
- **ill-formed tags**: the best sequence under the CRF may still break the scheme (B-PER, then O). The tags are equal;
  ModelScope makes a name of what is there, slimner takes whole names only, as seqeval's strict mode counts them.
- **special tokens as text**: it reads [SEP] typed by a user as the end of the text; to slimner it is text.
- **other**: of the INT8 variants only: tags that rounding turns over, many where the weights are random.
""",
    )
    say(f"written to {given.out}; {bad + worse} answered texts differ")
    raise SystemExit(1 if bad + worse else 0)


if __name__ == "__main__":
    main()
