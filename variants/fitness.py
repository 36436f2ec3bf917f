"""Whether a checkpoint's parts fit together: weights and class, tokenizer and embedding, window and positions."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

from .. import zoo
from ..core.errors import CheckpointError
from .checkpoints import Checkpoint
from .configuration import CONFIG, Config, read

# What a token classifier does without: a summary of the whole text, and buffers that are made again.
HARMLESS = re.compile(r"(^|\.)(pooler\.|position_ids$|token_type_ids$|num_batches_tracked$|rotary_emb\.inv_freq$)")

# What weights that the class does not use may be, and the next step.
LEFT_OVER: tuple[tuple[str, str, str], ...] = (
    (
        r"(^|[._])crf[._]|(^|\.)(start_|end_)?transitions$",
        "the scores of a CRF",
        "save it in ModelScope's layout (head.crf.*, docs/guide/modelscope.md), whose CRF is read, or train without",
    ),
    (r"lora_|(^|\.)adapters?(\.|$)|adapter_", "an adapter that is not merged", "merge it: merge_and_unload()"),
    (r"lstm|gru|rnn", "a recurrent layer", "slimner runs classes of transformers only: train one of them"),
    (
        r"(^|\.)(cls|lm_head|predictions|seq_relationship|generator_\w+|discriminator_\w+)(\.|$)",
        "a second head",
        "load it with AutoModelForTokenClassification and save that, if the classifier is the one you want",
    ),
)


def require_whole(directory: Path, module: Any, info: Mapping[str, Any]) -> None:
    """CheckpointError if a loaded class left weights of the file out, lacks some, or is not the one that was saved.

    `info` is what transformers says of the loading.
    """
    made, config = type(module).__name__, read(directory / CONFIG, Config)
    if wrong := sorted(info.get("mismatched_keys") or ()):
        first = wrong[0]  # transformers 4 only names it
        name, *shapes = (first,) if isinstance(first, str) else first
        differs = (
            f"is {_by(shapes[0])} in the weights and {_by(shapes[1])} by" if shapes else "has another size than by"
        )
        raise CheckpointError(
            f"{directory}: {name} {differs} {CONFIG}",
            f"take the {CONFIG} that was saved with these weights",
        )
    if extra := sorted(name for name in info["unexpected_keys"] if not HARMLESS.search(name)):
        what, remedy = _left_over(extra, module)
        raise CheckpointError(f"{directory}: {made} would leave out {what} ({_some(extra)})", remedy)
    if missing := sorted(info["missing_keys"]):
        raise CheckpointError(
            f"{directory}: no weights for {_some(missing)}",
            "the classifier is untrained, or config.json belongs to another model: give the fine-tuned checkpoint",
        )
    if made != config.architecture:
        raise CheckpointError(
            f"{directory / CONFIG}: architecture {config.architecture}, but model type '{config.model_type}' makes a "
            f"{made}",
            f"if the weights are those of {made}, write that in architectures; otherwise correct model_type",
        )


def _left_over(names: list[str], module: Any) -> tuple[str, str]:
    for pattern, what, remedy in LEFT_OVER:
        if found := [name for name in names if re.search(pattern, name, re.IGNORECASE)]:
            names[:] = found
            return what, remedy
    layers = getattr(module.config, "num_hidden_layers", None)
    numbers = {int(number) for name in names for number in re.findall(r"(?:layers?|blocks?|h)\.(\d+)\.", name)}
    if isinstance(layers, int) and numbers and max(numbers) >= layers:
        return (
            f"layers: {CONFIG} counts {layers}, the weights hold {max(numbers) + 1}",
            f"take the {CONFIG} that was saved with these weights",
        )
    return "weights it has no place for", "give a checkpoint of a class of transformers, saved with save_pretrained()"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _by(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "one number"


def fitted(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the window that its model really takes; CheckpointError if its parts do not fit."""
    from .torch_model import as_model, load_reference

    module = load_reference(checkpoint.path)
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))
    require_rows(checkpoint, module, tokenizer)
    model, token = as_model(module), ordinary(tokenizer, getattr(module.config, "pad_token_id", None))
    longest = window_of(model, token, checkpoint.window)
    if longest <= tokenizer.num_special_tokens_to_add(False):
        raise CheckpointError(
            f"{checkpoint.path}: {checkpoint.architecture} cannot run on text alone, not even on one token: "
            f"{_why(model, token)}",
            f"take the {CONFIG} that was saved with these weights; a family that needs more than text, such as places "
            "on a page, is not for slimner: those that work are in docs/evidence/families.md",
        )
    del module
    gc.collect()
    return msgspec.structs.replace(checkpoint, window=longest)


def require_rows(checkpoint: Checkpoint, module: Any, tokenizer: Tokenizer) -> None:
    """CheckpointError if the tokenizer knows a token for which the model has no row."""
    try:
        embeddings = module.get_input_embeddings()
    except NotImplementedError:  # CANINE has none: it hashes characters
        return
    rows = getattr(getattr(embeddings, "weight", None), "shape", (None,))[0]
    token, highest = max(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    if rows is not None and highest >= rows:
        raise CheckpointError(
            f"{checkpoint.path}: the tokenizer gives '{token}' the number {highest:,}, the model has {rows:,} rows",
            "take the tokenizer that it was trained with; or, if the token was added for training, "
            "model.resize_token_embeddings(len(tokenizer)) before it",
        )


def window_of(model: Callable[[np.ndarray], np.ndarray], token: int, most: int) -> int:
    """Longest run of `token` that the model answers, at most `most`; 0 if it answers none."""

    def works(length: int) -> bool:
        try:
            return len(model(np.full(length, token, dtype=np.int64))) == length
        except (IndexError, RuntimeError, ValueError):  # no position for it, or shapes that do not meet
            return False

    if works(most):
        return most
    low, high = 0, most  # low works, high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low


def _why(model: Callable[[np.ndarray], np.ndarray], token: int) -> str:
    from .torch_model import first_line

    try:
        model(np.full(1, token, dtype=np.int64))
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)[:200]}"
    return "no room for its special tokens"


def ordinary(tokenizer: Tokenizer, padding: int | None) -> int:
    """A token that is not special: positions of some families do not count padding."""
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special} | {padding}
    return next((i for i in range(tokenizer.get_vocab_size()) if i not in special), 0)


def parity_windows(checkpoint: Checkpoint, texts: int) -> list[np.ndarray]:
    """Token ids to compare logits on: embedded texts where the tokenizer knows them, as many random ones elsewhere,
    and random ones of the shortest lengths, half the window and the whole of it."""
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    draw, vocabulary = np.random.default_rng(0), tokenizer.get_vocab_size()
    windows: list[np.ndarray] = []
    for text in zoo.workload().read_text(encoding="utf-8").splitlines()[:texts]:
        ids = np.asarray(tokenizer.encode(text).ids[: checkpoint.window], dtype=np.int64)
        known = len(set(ids.tolist())) * 2 > min(len(ids), len(set(text)))  # not one unknown token over and over
        windows.append(ids if known else draw.integers(0, vocabulary, len(ids)))
    for length in (1, 7, 17, checkpoint.window // 2, checkpoint.window):
        windows.append(draw.integers(0, vocabulary, min(length, checkpoint.window)))
    return windows
