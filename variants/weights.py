"""The weights of a checkpoint as files: which files, and what their safetensors headers say."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ..core.errors import CheckpointError
from .configuration import WEIGHTS, read
from .sources import PICKLED, SAFE

SAVE_SAFE = "save it with save_pretrained(..., safe_serialization=True)"
WHOLE = "copy or download the directory again, whole"
LONGEST_HEADER = 100_000_000  # bytes; the safetensors library refuses a longer one too

BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}

Shapes = Mapping[str, tuple[int, ...]]

# Other people's formats, and the way from them to one that is read.
_BY_TRANSFORMERS = (
    "convert them with transformers 4: AutoModelForTokenClassification.from_pretrained(DIR, {}).save_pretrained(DIR)"
)
FOREIGN = (
    (("tf_model.h5", "tf_model-*.h5", "*.ckpt.index"), "TensorFlow's weights", _BY_TRANSFORMERS.format("from_tf=True")),
    (("flax_model.msgpack",), "Flax's weights", _BY_TRANSFORMERS.format("from_flax=True")),
    (("*.gguf",), "weights of llama.cpp", "give the checkpoint that they were made from"),
)


class _Tensor(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def weight_files(source: Path, *, allow_pickle: bool) -> list[Path]:
    """The files of the weights: one, or the parts that an index names; safetensors before pickles."""
    for patterns, pickled in ((SAFE, False), (PICKLED, True)):
        if (source / patterns[0]).is_file():
            found = [source / patterns[0]]
        elif (source / patterns[1]).is_file():
            found = _parts(source / patterns[1])
        else:
            continue
        if pickled and not allow_pickle:
            raise CheckpointError(
                f"{source} has no {WEIGHTS}, only the pickle {found[0].name}, which is not loaded without permission",
                f"{SAVE_SAFE}, or trust it with --allow-pickle (it is read as weights only: no code in it is run)",
            )
        return found
    if parts := sorted(source.glob(SAFE[2])):
        raise CheckpointError(
            f"{source} has {parts[0].name}, but no {SAFE[1]}, which lists the parts",
            "copy or download the directory again, whole",
        )
    for files, what, remedy in FOREIGN:
        if there := next((path.name for pattern in files for path in source.glob(pattern)), None):
            raise CheckpointError(f"{source} has no {WEIGHTS}, only {what} ({there})", remedy)
    raise CheckpointError(f"{source} has no {WEIGHTS}", SAVE_SAFE)


def _parts(index: Path) -> list[Path]:
    listed = read(index, _Index).weight_map
    names = sorted(set(listed.values()))
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index} names a file elsewhere: {name}", "download the checkpoint again")
        if not (index.parent / name).is_file():
            missing = sum(not (index.parent / other).is_file() for other in names)
            raise CheckpointError(
                f"{index.parent} lacks {name}, {missing} of {len(names)} parts that {index.name} names",
                "copy or download the missing part" + ("s" if missing > 1 else ""),
            )
    if not names:
        raise CheckpointError(f"{index} names no files", "save the checkpoint again")
    for name in names:
        if not name.endswith(".safetensors"):
            continue
        promised, held = {tensor for tensor in listed if listed[tensor] == name}, set(shapes(index.parent / name))
        if lacking := sorted(promised - held):
            raise CheckpointError(f"{index} has {lacking[0]} in {name}, which does not hold it", WHOLE)
        if more := sorted(held - promised):
            raise CheckpointError(
                f"{index.parent / name} holds {more[0]}, which {index.name} does not have there", WHOLE
            )
    return [index.parent / name for name in names]


def shapes(path: Path) -> Shapes:
    """Shape of each tensor of a safetensors file; CheckpointError if its header is damaged or the file cut short."""
    again = "copy or download the checkpoint again"
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(LONGEST_HEADER, path.stat().st_size):
                raise ValueError("its header is longer than the file")
            header = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            tensors = {name: msgspec.json.decode(raw, type=_Tensor) for name, raw in header.items()}
        end = 0
        for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
            begin, stop = tensor.data_offsets
            size = math.prod(tensor.shape) * BITS.get(tensor.dtype, 0) // 8
            if begin != end or stop < begin or min(tensor.shape, default=0) < 0:
                raise ValueError(f"{name} does not begin where the tensor before it ends")
            if tensor.dtype in BITS and stop - begin != size:
                raise ValueError(f"{name} has {stop - begin:,} bytes, its shape makes {size:,}")
            end = stop
        if not tensors:
            raise ValueError("it holds no tensors")
    except (OSError, ValueError, struct.error, RecursionError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}", again) from None
    if (size := path.stat().st_size) != 8 + length + end:
        what = "cut short" if size < 8 + length + end else "longer than its header says"
        raise CheckpointError(f"{path} is {what}: {size:,} bytes of {8 + length + end:,}", again)
    if strange := sorted({t.dtype for t in tensors.values()} - {"F64", "F32", "F16", "BF16", "I64", "BOOL"}):
        raise CheckpointError(
            f"{path} holds {strange[0]}: weights that were quantized before", "give the checkpoint in full precision"
        )
    return {name: tensor.shape for name, tensor in tensors.items()}


def outputs(tensors: Shapes) -> int | None:
    """Rows of the classifier, if it is where most families have it."""
    for name, shape in tensors.items():
        if shape and re.fullmatch(r"(head\.)?(classifier|linear)\.(weight|bias)", name):
            return shape[0]
    return None


def parameters(tensors: Shapes) -> int:
    """Number of weights."""
    return sum(map(math.prod, tensors.values()))


def require_plausible(config: Path, sizes: Mapping[str, object], tensors: Shapes) -> None:
    """CheckpointError if a configuration counts more than a file of these tensors can hold, so that nothing of such a
    size is ever made."""
    counts = re.compile(r"(?<!max_window_)(layers|size|heads|dim|positions|embeddings)$")  # Qwen's: the first to slide
    for key, value in sizes.items():
        limit = len(tensors) if key.endswith("layers") else parameters(tensors)
        if isinstance(value, int) and counts.search(key) and value > limit:
            raise CheckpointError(
                f"{config}: {key} is {value:,}, but {WEIGHTS} has {parameters(tensors):,} weights in {len(tensors):,} "
                "tensors",
                f"take the {config.name} that was saved with these weights",
            )
