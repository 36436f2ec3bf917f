"""Cutting a checkpoint's vocabulary to what texts need."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from ..bench import read_workload
from ..core import child
from ..core.errors import ArtifactError, CheckpointError, UserError
from ..core.outside import read_text
from ..core.records import Record
from ..core.store import directory_in_place
from ..eval import Corpus, CorpusSource, Unknown, unknown_in_texts
from ..variants import LoadOptions, Reader, resolve_checkpoint
from ..variants.configuration import TOKENIZER, WEIGHTS
from ..variants.trimming import Trimming, changed_texts, copy_rest, trim_weights_in_child
from .bundling import some
from .inputs import corpus_of, require
from .progress import SILENT, Progress

COMPARED, COMPARED_TOKENS = 12, 128

_Way = Callable[[Reader], Encoding]


class Outside(Record, frozen=True, kw_only=True):
    """Texts held back: how many are now split differently, and their unknown tokens before and after."""

    texts: int
    changed: int
    before: Unknown
    after: Unknown


class Trimmed(Record, frozen=True, kw_only=True):
    """A trimmed checkpoint: entries of the vocabulary and bytes of weights before and after.

    `unseen` estimates the share of tokens in further texts of the same kind that were left out: that of the tokens
    which the kept texts have only once (Good and Turing). `unknown` are tokens that the checkpoint never knew.
    """

    checkpoint: str
    out: str
    tokens: int
    kept: int
    weights_bytes: int
    kept_bytes: int
    texts: int
    unseen: float
    unknown: Unknown
    outside: Outside | None = None


def trim(
    checkpoint: str | Path,
    out: str | Path,
    *,
    keep: Sequence[str | Path] = (),
    corpus: str | Path | CorpusSource | Corpus | None = None,
    characters: str | Path | None = None,
    outside: str | Path | None = None,
    load: LoadOptions | None = None,
    timeout_s: float = 900.0,
    progress: Progress = SILENT,
) -> Trimmed:
    """Write a checkpoint that knows the tokens of some texts only, into the directory `out`.

    `keep` are files of texts, one a line; `corpus` has labelled sentences; every character of the file `characters`
    stays, too. All these texts get the tokens and, to the last bit, the logits in FP32 that they had. `outside` are
    texts that are only counted. CheckpointError says which vocabularies cannot be trimmed.
    """
    require("torch", "transformers", "safetensors")
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArtifactError(f"{target} exists", "choose another --out, or remove it")
    if not keep and corpus is None:
        raise UserError("no texts to keep the vocabulary for", "give texts, --keep FILE, or a corpus, --corpus FILE")
    source = resolve_checkpoint(str(checkpoint), load)
    if not source.weights:
        raise CheckpointError(f"{source.path} has no {WEIGHTS}, only a graph", "give the checkpoint it came from")
    trimming = Trimming(source)
    progress.phase("trim", 2)
    progress.now("trim", "vocabulary")
    items = [*_texts(keep), *_sentences(corpus, progress)]
    encoded = [(text, way(trimming.reader), way) for text, way in items]
    counted = collections.Counter[int]()
    for text, encoding, _ in encoded:
        trimming.add(encoding, text)
        counted.update(n for n, special in zip(encoding.ids, encoding.special_tokens_mask, strict=True) if not special)
    for character in dict.fromkeys(read_text(Path(characters)) if characters else ""):
        if not character.isspace():
            trimming.add_character(character)
    if target.exists():
        target.rmdir()
    with directory_in_place(target) as directory:
        numbers = trimming.write(directory)
        copy_rest(source.path, directory)
        reader = Reader(Tokenizer.from_file(str(directory / TOKENIZER)))
        if changed := changed_texts(reader, numbers, encoded):
            raise CheckpointError(
                f"{source.name}: its tokenizer splits {len(changed)} of the kept texts differently when it knows fewer "
                f"tokens, such as {changed[0][:40]!r}",
                "use the checkpoint as it is",
            )
        progress.done("trim", "vocabulary")
        progress.now("trim", "weights")
        longest = min(source.window // 2, COMPARED_TOKENS)
        windows = {text: encoding.ids[:longest] for text, encoding, _ in encoded if encoding.ids}
        compared = [windows[text] for text in some(list(windows), COMPARED)]
        child.call(trim_weights_in_child, source.path, directory, numbers, compared).run(timeout_s=timeout_s)
        progress.done("trim", "weights")
        written = (directory / WEIGHTS).stat().st_size
    seen = [text for text, _, _ in encoded]
    return Trimmed(
        checkpoint=source.name,
        out=str(out),
        tokens=trimming.tokens,
        kept=len(numbers),
        weights_bytes=(source.path / WEIGHTS).stat().st_size,
        kept_bytes=written,
        texts=len(encoded),
        unseen=sum(1 for times in counted.values() if times == 1) / max(1, counted.total()),
        unknown=unknown_in_texts(seen, trimming.reader),
        outside=_outside(outside, trimming.reader, reader, numbers) if outside else None,
    )


def _texts(files: Sequence[str | Path]) -> Iterator[tuple[str, _Way]]:
    for file in files:
        for text in read_workload(str(file)).texts:
            yield text, lambda reader, text=text: reader.encode(text)  # type: ignore[misc]


def _sentences(corpus: str | Path | CorpusSource | Corpus | None, progress: Progress) -> Iterator[tuple[str, _Way]]:
    """Sentences in the form in which they are scored, and in that in which they are served."""
    for sentence in corpus_of(corpus, progress).sentences if corpus is not None else ():
        text, words = sentence.text, sentence.tokens
        yield text, lambda reader, text=text: reader.encode(text)  # type: ignore[misc]
        if sentence.words:
            yield text, lambda reader, text=text, words=words: reader.encode_words(text, words)  # type: ignore[misc]


def _outside(file: str | Path, before: Reader, after: Reader, numbers: Sequence[int]) -> Outside:
    texts = read_workload(str(file)).texts
    ways = [(text, before.encode(text), lambda reader, text=text: reader.encode(text)) for text in texts]
    return Outside(
        texts=len(texts),
        changed=len(changed_texts(after, numbers, ways)),
        before=unknown_in_texts(texts, before),
        after=unknown_in_texts(texts, after),
    )
