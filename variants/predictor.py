"""Text in, entities out: one predictor for every variant.

A text is cut into windows of the model's length that overlap. Windows share a run of the model only where building has
proven that this changes no bit of an answer (`batching.py`); elsewhere each goes through by itself. So what a text
yields never depends on its neighbours, which padding through convolutions and activation ranges shared by a batch would
otherwise make it do. The best tags are then found for many texts at once, which is exact.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from tokenizers import Encoding, Tokenizer

from ..core.errors import ArtifactError, MissingDependencyError, SlimnerError
from ..core.machine import describe
from .artifacts import Manifest, read_manifest
from .batching import joins, runs
from .labels import Labels, log_softmax, spans
from .reading import Reader, units_of
from .variant import VARIANTS, Batching, BatchModel, Model, remedy

# Tokens two neighbouring windows share, at most: context for a name at the cut.
OVERLAP = 64

# Tokens of texts whose windows are sorted into runs, and whose tags are found, together: more gain little, and their
# logits wait in memory.
CHUNK_TOKENS = 4096

OnStep = Callable[[str], None]


def ignore(name: str) -> None:
    """Default callback for steps: do nothing."""


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A name found in a text: `text[start:end]` in code points, its type, and the mean probability of its tags."""

    start: int
    end: int
    type: str
    text: str
    score: float


class Tagging(msgspec.Struct, frozen=True, kw_only=True):
    """Tags of a text's units (words or characters, as the tokenizer splits): `offsets` are (start, end) in the text."""

    offsets: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]


Infer = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Windows of any number and length to the logits of each."""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """Logits of a text's units, shape (units, labels), and the positions of the units."""

    offsets: list[tuple[int, int]]
    logits: np.ndarray


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """A text as the model takes it: its windows of token ids, which of their logits count, and where its units stand.

    `units` are indices among the text's own tokens.
    """

    windows: list[np.ndarray]
    kept: list[slice]
    units: list[int]
    offsets: list[tuple[int, int]]


class Predictor(Reader):
    """An opened artifact."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        model: Model,
        labels: Labels,
        window: int,
        batching: Batching = "alone",
        *,
        concurrent: bool = False,
    ) -> None:
        super().__init__(tokenizer)
        self.model = model
        self.labels = labels
        self.body = window - tokenizer.num_special_tokens_to_add(False)
        self.batching: Batching = batching if isinstance(model, BatchModel) else "alone"
        self.concurrent = concurrent

    def __call__(self, text: str) -> list[Entity]:
        """Entities of one text, in order, not overlapping."""
        return self.many((text,))[0]

    def many(
        self,
        texts: Sequence[str],
        on_step: OnStep = ignore,
        encodings: Iterable[Encoding | None] = (),
        infer: Infer | None = None,
    ) -> list[list[Entity]]:
        """Entities of each text: what it yields alone, with windows and sequences of tags taken together.

        `on_step` is called with the name of what has just been done: "tokenize", "infer" (each run) or "decode"; an
        exception that it raises ends the work. `encodings` are those of the texts, as far as they are there already.
        `infer` replaces the method `infer`.
        """

        def encoded() -> Iterator[_Read]:
            for text, encoding in itertools.zip_longest(texts, encodings):
                if encoding is None:
                    encoding = self.encode(text)
                    on_step("tokenize")
                yield self._read(encoding, *units_of(encoding, text))

        found: list[list[Entity]] = []
        for text, tagging in zip(texts, self._taggings(encoded(), on_step, infer), strict=True):
            found.append(_entities(text, tagging))
            on_step("decode")
        return found

    def units(self, text: str) -> list[tuple[int, int]]:
        """Positions of the units of a text that it tags (words or characters, as the tokenizer splits)."""
        return units_of(self.encode(text), text)[1]

    def tag(self, text: str) -> Tagging:
        """Tags of one text by unit."""
        return next(self.tag_many(((text, None),)))

    def tag_words(self, text: str, words: Sequence[tuple[int, int]]) -> Tagging:
        """Tags of words (start, end) of a text."""
        return next(self.tag_many(((text, words),)))

    def tag_many(self, texts: Iterable[tuple[str, Sequence[tuple[int, int]] | None]]) -> Iterator[Tagging]:
        """Tags of each text, in order: of its words (start, end), or of the tokenizer's units where there are none.

        The first token of a word speaks for it, as in training. Words given go to the tokenizer each by itself, as with
        `is_split_into_words` of transformers; one that the tokenizer makes nothing of is left out.
        """
        return self._taggings(
            self._read_text(text) if words is None else self._read_words(text, words) for text, words in texts
        )

    def _read_text(self, text: str) -> _Read:
        encoding = self.encode(text)
        return self._read(encoding, *units_of(encoding, text))

    def _read_words(self, text: str, words: Sequence[tuple[int, int]]) -> _Read:
        encoding = self.encode_words(text, words)
        own = (
            word for word, special in zip(encoding.word_ids, encoding.special_tokens_mask, strict=True) if not special
        )
        first: dict[int, int] = {}
        for index, word in enumerate(own):
            if word is not None:
                first.setdefault(word, index)
        return self._read(encoding, list(first.values()), [words[word] for word in first])

    def _read(self, encoding: Encoding, units: list[int], offsets: list[tuple[int, int]]) -> _Read:
        ids = np.asarray(encoding.ids, dtype=np.int64)
        body = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
        if not len(body):
            return _Read(windows=[], kept=[], units=[], offsets=[])
        first, last = int(body[0]), int(body[-1]) + 1
        prefix, suffix = ids[:first], ids[last:]
        cut = windows(last - first, self.body)
        return _Read(
            windows=[np.concatenate((prefix, ids[first + start : first + end], suffix)) for start, end, _, _ in cut],
            kept=[slice(first + keep_from - start, first + keep_to - start) for start, _, keep_from, keep_to in cut],
            units=units,
            offsets=offsets,
        )

    def _taggings(
        self, texts: Iterable[_Read], on_step: OnStep = ignore, infer: Infer | None = None
    ) -> Iterator[Tagging]:
        """Tags of each text, in order; some thousand tokens at a time."""
        waiting: list[_Read] = []
        tokens = 0
        for one in texts:
            waiting.append(one)
            tokens += sum(map(len, one.windows))
            if tokens >= CHUNK_TOKENS:
                yield from self._decode(self._scored(waiting, on_step, infer))
                waiting, tokens = [], 0
        yield from self._decode(self._scored(waiting, on_step, infer))

    def _scored(self, texts: Sequence[_Read], on_step: OnStep, infer: Infer | None) -> list[Scored]:
        """Logits of texts by unit, their windows through the model together."""
        every = [window for one in texts for window in one.windows]
        logits = iter(infer(every) if infer else self.infer(every, on_step))
        found = []
        for one in texts:
            pieces = [next(logits)[kept] for kept in one.kept]
            whole = np.concatenate(pieces) if pieces else np.zeros((0, len(self.labels.tags)), dtype=np.float32)
            found.append(Scored(offsets=one.offsets, logits=whole[one.units]))
        return found

    def infer(self, windows: Sequence[np.ndarray], on_step: OnStep = ignore) -> list[np.ndarray]:
        """Logits of each window, in as few runs as the model's batching allows; "infer" is reported after each run."""
        found: dict[int, np.ndarray] = {}
        for run in runs(self.batching, [len(window) for window in windows]):
            found.update(zip(run, self.run([windows[index] for index in run]), strict=True))
            on_step("infer")
        return [found[index] for index in range(len(windows))]

    def joins(self, lengths: Sequence[int], more: int) -> bool:
        """Whether a window of `more` tokens may share a run with windows of these lengths."""
        return joins(self.batching, lengths, more)

    def run(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Logits of each window, from one run; more than one only as `joins` allows."""
        if len(windows) > 1:
            assert isinstance(self.model, BatchModel)
            return self.model.together(windows)
        return [self.model(window) for window in windows]

    def logits(self, encoding: Encoding) -> np.ndarray:
        """Logits of the text's own tokens, shape (tokens, labels), stitched from as many windows as it needs."""
        special = len(encoding.ids) - int(np.count_nonzero(np.asarray(encoding.special_tokens_mask) == 0))
        tokens = list(range(len(encoding.ids) - special))
        return self._scored([self._read(encoding, tokens, [])], ignore, None)[0].logits

    def _decode(self, batch: Sequence[Scored]) -> Iterator[Tagging]:
        for one, indices in zip(batch, self.labels.decode([one.logits for one in batch]), strict=True):
            if not one.offsets:
                yield Tagging(offsets=(), tags=(), probabilities=())
                continue
            probabilities = np.exp(log_softmax(one.logits)[np.arange(len(indices)), indices])
            yield Tagging(
                offsets=tuple(one.offsets),
                tags=self.labels.iob2(indices),
                probabilities=tuple(probabilities.tolist()),
            )


def windows(tokens: int, size: int) -> Sequence[tuple[int, int, int, int]]:
    """Windows (start, end, keep_from, keep_to) over `tokens` tokens, each at most `size` long.

    Neighbours overlap; every token is kept from exactly one window, the one in which it is farther from the edge.
    """
    if tokens <= size:
        return [(0, tokens, 0, tokens)]
    overlap = min(OVERLAP, size // 2)
    starts = [*range(0, tokens - size, size - overlap), tokens - size]
    cuts = [0, *((left + right + size) // 2 for left, right in itertools.pairwise(starts)), tokens]
    return [(s, s + size, cuts[i], cuts[i + 1]) for i, s in enumerate(starts)]


def _entities(text: str, tagging: Tagging) -> list[Entity]:
    entities: list[Entity] = []
    for first, last, kind in spans(tagging.tags):
        start, end = tagging.offsets[first][0], max(end for _, end in tagging.offsets[first:last])
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start < end and (not entities or start >= entities[-1].end):
            score = sum(tagging.probabilities[first:last]) / (last - first)
            entities.append(Entity(start=start, end=end, type=kind, text=text[start:end], score=round(score, 4)))
    return entities


def open_predictor(directory: Path, *, threads: int = 1, on_stage: OnStep = ignore) -> Predictor:
    """Open an artifact: the only door through which a model is loaded.

    `on_stage` is called after each step of loading ("import torch", ..., "tokenizer", "model"), for those who measure.
    Raises ArtifactError if the directory is not a finished artifact or does not load, MissingDependencyError if its
    variant needs a distribution that is not installed, UnknownNameError if no installed plugin carries its variant.
    """
    manifest: Manifest = read_manifest(directory)
    variant = VARIANTS.get(manifest.variant)
    if missing := variant.missing(building=False):
        raise MissingDependencyError(
            f"running '{variant.name}' needs {', '.join(missing)}, not installed here", remedy(variant, missing)
        )
    for module in variant.run_needs:
        importlib.import_module(module)
        on_stage(f"import {module}")
    try:
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        on_stage("tokenizer")
        model = variant.load(directory, threads)
        on_stage("model")
    except (SlimnerError, MemoryError):
        raise
    except Exception as error:
        raise ArtifactError(
            f"{directory} does not load: {type(error).__name__}: {error}", "build the artifact again"
        ) from error
    here = manifest.batching == "alone" or manifest.instructions == describe().instructions
    batching: Batching = manifest.batching if here else "alone"  # other kernels may round otherwise
    return Predictor(tokenizer, model, manifest.labels, manifest.window, batching, concurrent=variant.concurrent)
