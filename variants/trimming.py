"""A checkpoint with fewer tokens: the rows of its embeddings and the entries of its tokenizer that texts need.

A tokenizer of whole pieces (WordLevel) looks each up; WordPiece takes the longest entry that fits, and goes on behind
it. Either gives the same tokens from fewer entries, as long as these tokens are among them: what was the longest still
is. A word that WordPiece does not know ends where nothing fits, so everything that could fit in such a word stays too.
Unigram and BPE reach their tokens through others, so that leaving one out may change texts that do not contain it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from ..core.errors import CheckpointError
from ..core.store import write_json
from .checkpoints import Checkpoint
from .configuration import CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS, read
from .reading import Reader

SOUND = ("WordLevel", "WordPiece")

# Some families count positions from the number of the padding token, which must then not move; it is a low one there.
LOW_PADDING = 256

Numbers = Mapping[int, int]


class Trimming:
    """The entries of a checkpoint's tokenizer that stay, collected text by text."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.reader = Reader(Tokenizer.from_file(str(checkpoint.tokenizer)))
        self._content = read(checkpoint.tokenizer, dict[str, Any])
        model = self._content["model"]
        kind = model.get("type") or "a tokenizer of another kind"
        if kind not in SOUND:
            raise CheckpointError(
                f"{checkpoint.tokenizer} is {kind}: leaving out tokens may change how other texts are split",
                f"only {' and '.join(SOUND)} vocabularies can be trimmed; use the checkpoint as it is",
            )
        self._vocabulary: dict[str, int] = model["vocab"]
        self._pieces = kind == "WordPiece"
        self._prefix: str = model.get("continuing_subword_prefix", "##") if self._pieces else ""
        self._unknown_words: set[str] = set()
        self.kept = self._needed_by_itself()

    @property
    def tokens(self) -> int:
        """Number of entries before trimming."""
        return len(self.reader.tokenizer.get_vocab(with_added_tokens=True))

    def add(self, encoding: Encoding, text: str) -> None:
        """Keep what a text needs; `encoding` is what `reader` makes of it, or of its words."""
        self.kept.update(encoding.ids)
        if self._pieces:
            for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                if number == self.reader.unknown:
                    self._keep_parts(text[start:end])

    def add_character(self, character: str) -> None:
        """Keep a character as a token of its own, and as a piece inside of a word."""
        self.kept.update(self.reader.encode(character).ids)
        for one in self._normalized(character):
            for piece in (one, self._prefix + one):
                if piece in self._vocabulary:
                    self.kept.add(self._vocabulary[piece])

    def write(self, directory: Path) -> list[int]:
        """Write everything but the weights; the numbers that stay, in the order of their new ones."""
        numbers = sorted(self.kept)
        new = {old: i for i, old in enumerate(numbers)}
        write_json(directory / TOKENIZER, self._tokenizer(new))
        config = read(self.checkpoint.path / CONFIG, dict[str, Any])
        write_json(directory / CONFIG, {**_renumbered_config(config, new), "vocab_size": len(numbers)})
        settings = self.checkpoint.path / TOKENIZER_CONFIG
        if settings.is_file():
            content = read(settings, dict[str, Any])
            if isinstance(added := content.get("added_tokens_decoder"), dict):
                content["added_tokens_decoder"] = {str(new[int(old)]): token for old, token in added.items()}
            write_json(directory / TOKENIZER_CONFIG, content)
        return numbers

    def _needed_by_itself(self) -> set[int]:
        """Special and added tokens, those that the configuration names, and the ones below a low padding token."""
        config = read(self.checkpoint.path / CONFIG, dict[str, Any])
        kept = {int(token["id"]) for token in self._content.get("added_tokens") or ()}
        kept.update(self.reader.encode("").ids)
        if self.reader.unknown is not None:
            kept.add(self.reader.unknown)
        known = set(self.reader.tokenizer.get_vocab(with_added_tokens=True).values())
        for key, value in config.items():
            if key.endswith("_token_id"):
                kept.update(number for number in (value if isinstance(value, list) else [value]) if number in known)
        padding = config.get("pad_token_id")
        if isinstance(padding, int) and padding < LOW_PADDING:
            kept.update(known.intersection(range(padding)))
        return kept

    def _keep_parts(self, word: str) -> None:
        if word in self._unknown_words:
            return
        self._unknown_words.add(word)
        whole = self._normalized(word)
        for start in range(len(whole)):
            for end in range(start + 1, len(whole) + 1):
                for piece in (whole[start:end], self._prefix + whole[start:end]):
                    if piece in self._vocabulary:
                        self.kept.add(self._vocabulary[piece])

    def _normalized(self, text: str) -> str:
        normalizer = self.reader.tokenizer.normalizer
        return normalizer.normalize_str(text) if normalizer else text

    def _tokenizer(self, new: Numbers) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(json.dumps(self._content))
        vocabulary = sorted((number, token) for token, number in self._vocabulary.items() if number in new)
        content["model"]["vocab"] = {token: new[number] for number, token in vocabulary}
        for token in content.get("added_tokens") or ():
            token["id"] = new[token["id"]]
        content["padding"] = content["truncation"] = None  # slimner fills and cuts by itself
        _renumber_processor(content.get("post_processor"), new)
        return content


def _renumber_processor(processor: Any, new: Numbers) -> None:
    """Numbers in what adds special tokens to a text."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors") or ():
        _renumber_processor(inner, new)
    for key in ("sep", "cls"):  # of BERT's and RoBERTa's own kinds
        if isinstance(processor.get(key), list):
            processor[key][1] = new[processor[key][1]]
    special = processor.get("special_tokens")
    for token in special.values() if isinstance(special, dict) else ():
        token["ids"] = [new[number] for number in token["ids"]]


def _renumbered_config(config: Mapping[str, Any], new: Numbers) -> dict[str, Any]:
    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(one) for one in value]
        return new.get(value) if isinstance(value, int) else value

    return {key: changed(value) if key.endswith("_token_id") else value for key, value in config.items()}


def changed_texts(
    trimmed: Reader, numbers: Sequence[int], texts: Iterable[tuple[str, Encoding, Callable[[Reader], Encoding]]]
) -> list[str]:
    """Texts that a trimmed tokenizer splits differently; each is given with its tokens and their function."""
    back = np.asarray(numbers)
    return [
        text
        for text, before, encode in texts
        if back[(after := encode(trimmed)).ids].tolist() != before.ids or after.offsets != before.offsets
    ]


def trim_weights_in_child(source: Path, target: Path, numbers: list[int], windows: list[list[int]]) -> None:
    """The child's job: the weights with these rows of the embeddings; CheckpointError unless the answers are the same.

    `windows` are token ids of the source, which both answer; their logits must be the same to the last bit.
    """
    import torch
    from safetensors.torch import save_file

    from .torch_model import as_model, load_reference

    module = load_reference(source)
    table = getattr(module.get_input_embeddings(), "weight", None)
    name = next((name for name, weight in module.named_parameters() if weight is table), None)
    if table is None or name is None or table.shape[0] <= max(numbers):
        raise CheckpointError(
            f"{source}: {type(module).__name__} does not look its tokens up in a table", "use the checkpoint as it is"
        )
    tensors = dict(module.state_dict())
    tensors[name] = table.detach()[torch.tensor(numbers)]
    save_file(
        {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()},
        target / WEIGHTS,
        {"format": "pt"},
    )
    new = {old: i for i, old in enumerate(numbers)}
    before, after = as_model(module), as_model(load_reference(target))
    for window in windows:
        expected = before(np.asarray(window, dtype=np.int64))
        if not np.array_equal(expected, after(np.asarray([new[number] for number in window], dtype=np.int64))):
            raise CheckpointError(
                f"{source}: {type(module).__name__} gives other answers when its tokens are renumbered",
                "use the checkpoint as it is",
            )


def copy_rest(source: Path, target: Path) -> None:
    """The names of special tokens, which have no numbers."""
    if (source / "special_tokens_map.json").is_file():
        shutil.copyfile(source / "special_tokens_map.json", target / "special_tokens_map.json")
