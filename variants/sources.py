"""Where a checkpoint's name leads: a directory, the Hugging Face hub, or ModelScope. Fetched files stay in their cache.

What is fetched is what slimner reads, nothing else: the configuration, the tokenizer, and the weights, pickled ones
only where the user allows them and there are no others.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from ..core.errors import CheckpointError, MissingDependencyError
from ..core.install import install_hint
from .configuration import EMBEDDED, SYNTHETIC

MODELSCOPE = "modelscope:"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")

TEXTS = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model"),
)
SAFE = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")
GRAPH_SUFFIX = ".onnx"
FROM_MODELSCOPE = ("configuration.json", "label_mapping.json")

WAYS = (
    f"give a directory, a hub id (organization/name@revision), {MODELSCOPE}organization/name@revision, "
    f"{SYNTHETIC}NAME, or '{EMBEDDED}' for the embedded one"
)


def locate(name: str, *, allow_pickle: bool) -> Path:
    """Directory of a checkpoint that is neither embedded nor synthetic; CheckpointError if there is none."""
    if name.startswith(MODELSCOPE):
        return _from_modelscope(name.removeprefix(MODELSCOPE), allow_pickle)
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{path} is a file", "a checkpoint is a directory")
    if HUB_ID.fullmatch(name):
        return _from_hub(name, allow_pickle)
    raise CheckpointError(f"no checkpoint '{name}'", WAYS)


def _from_hub(name: str, allow_pickle: bool) -> Path:
    """The snapshot of a hub id, from the cache or downloaded; HF_HUB_OFFLINE and HF_HOME work as usual."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingDependencyError("a hub id needs huggingface_hub", install_hint("lab"))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")

    def fetch(*patterns: str) -> Path:
        try:
            return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(patterns)))
        except LocalEntryNotFoundError:
            raise CheckpointError(
                f"no directory '{name}' here, and no checkpoint '{name}' in the hub's cache; the hub was not reached",
                "connect to the network, or give a directory; with HF_HUB_OFFLINE=1 only the cache is searched",
            ) from None
        except (OSError, ValueError, HFValidationError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"hub: {name}: {reason}", "check the id and the revision, or give a directory"
            ) from None

    path = fetch(*TEXTS, *SAFE)
    if allow_pickle and not _any(path, SAFE):
        path = fetch(*TEXTS, *PICKLED)
    return path


def _from_modelscope(name: str, allow_pickle: bool) -> Path:
    if importlib.util.find_spec("modelscope") is None:
        raise MissingDependencyError("a ModelScope id needs modelscope", install_hint("modelscope"))
    from modelscope.hub.snapshot_download import snapshot_download

    identity, _, revision = name.partition("@")

    def fetch(*patterns: str) -> Path:
        try:
            return Path(snapshot_download(identity, revision=revision or None, allow_patterns=list(patterns)))
        except Exception as error:  # its errors share no base that all of its versions have
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"ModelScope: {name}: {type(error).__name__}: {reason}", "check the id, or give a directory"
            ) from None

    path = fetch(*TEXTS, *FROM_MODELSCOPE, *SAFE)
    if allow_pickle and not _any(path, SAFE):
        path = fetch(*TEXTS, *FROM_MODELSCOPE, *PICKLED)
    return path


def graphs_in(directory: Path) -> tuple[Path, ...]:
    """ONNX graphs beside a checkpoint, or below `onnx/`, where the hub has them."""
    found = (*directory.glob(f"*{GRAPH_SUFFIX}"), *directory.glob(f"onnx/*{GRAPH_SUFFIX}"))
    return tuple(sorted(path for path in found if path.is_file()))


def has_weights(directory: Path) -> bool:
    """Whether weights that slimner reads, or pickles of them, lie in a directory."""
    return _any(directory, SAFE) or _any(directory, PICKLED)


def _any(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(next(path.glob(pattern), None) for pattern in patterns)
