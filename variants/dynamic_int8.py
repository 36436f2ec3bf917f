"""`dynamic-int8`: torch's dynamic quantization of Linear and Embedding weights to eight bits.

torch announces the removal of `torch.ao.quantization`, so all that uses it stands in this file. Its quantized modules
cannot be saved without pickle; here their integers, scales and zero points go into safetensors, and loading puts them
into a module that never held float weights (so that memory is what eight bits need, not what they replaced).
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from .configuration import CONFIG
from .torch_model import as_model, hold_threads, load_reference
from .variant import BuildContext, Model, Variant

WEIGHTS = "quantized.safetensors"


class DynamicInt8(Variant):
    """INT8 weights, activations quantized as they come, in torch."""

    name = "dynamic-int8"
    backend = "torch"
    precision = "int8"
    summary = "torch dynamic quantization of Linear and Embedding"
    run_needs = ("torch", "transformers")
    build_needs = ("safetensors",)
    complexity = 1

    def build(self, context: BuildContext) -> None:
        from safetensors.torch import save_file

        module = _quantize(load_reference(context.checkpoint.path))
        save_file(_tensors(module), context.directory / WEIGHTS)
        shutil.copyfile(context.checkpoint.path / CONFIG, context.directory / CONFIG)

    def load(self, directory: Path, threads: int) -> Model:
        hold_threads(threads)
        return as_model(_restore(directory))


def _quantize(module: Any) -> Any:
    import torch
    from torch.ao.quantization import quantize_dynamic
    from torch.ao.quantization.qconfig import float_qparams_weight_only_qconfig, per_channel_dynamic_qconfig

    kinds = {torch.nn.Linear: per_channel_dynamic_qconfig, torch.nn.Embedding: float_qparams_weight_only_qconfig}
    called = {name: kinds[type(part)] for name, part in _called(module).items() if type(part) in kinds}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantize_dynamic(module, called)


def _called(module: Any) -> dict[str, Any]:
    """The parts that a forward pass calls, by name, with what quantized ones take.

    DeBERTa only reads the weights of some embeddings; LayoutLM looks up columns of a table, which are not contiguous.
    """
    import torch

    called: set[Any] = set()

    def call(part: Any, given: tuple[Any, ...]) -> None:
        if all(each.is_contiguous() for each in given if isinstance(each, torch.Tensor)):
            called.add(part)

    hooks = [part.register_forward_pre_hook(call) for part in module.modules()]
    with torch.inference_mode():
        module(input_ids=torch.zeros((1, 4), dtype=torch.int64))
    for hook in hooks:
        hook.remove()
    return {name: part for name, part in module.named_modules() if part in called}


def _tensors(module: Any) -> dict[str, Any]:
    """Everything the module holds, as plain tensors by name; a quantized weight is three of them."""
    from torch.ao.nn.quantized import Embedding
    from torch.ao.nn.quantized.dynamic import Linear

    tensors: dict[str, Any] = {}
    for name, part in module.named_modules():
        if isinstance(part, Linear | Embedding):
            weight = part.weight()
            tensors[f"{name}.weight.int"] = weight.int_repr().contiguous()
            tensors[f"{name}.weight.scale"] = weight.q_per_channel_scales().clone()
            tensors[f"{name}.weight.zero"] = weight.q_per_channel_zero_points().clone()
            bias = part.bias() if isinstance(part, Linear) else None
            if bias is not None:
                tensors[f"{name}.bias"] = bias.detach().contiguous()
        else:
            for key, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
                tensors[f"{name}.{key}" if name else key] = tensor.detach().clone().contiguous()
    return tensors


def _restore(directory: Path) -> Any:
    import torch
    from safetensors.torch import load_file
    from torch.ao.nn.quantized import Embedding
    from torch.ao.nn.quantized.dynamic import Linear
    from transformers import AutoConfig, AutoModelForTokenClassification

    tensors = load_file(directory / WEIGHTS)
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        module = AutoModelForTokenClassification.from_config(config, trust_remote_code=False)
    parts = dict(module.named_modules())
    quantized_tensor: Any = torch._make_per_channel_quantized_tensor  # pyright: ignore[reportPrivateImportUsage]
    for key in [k for k in tensors if k.endswith(".weight.int")]:
        name = key.removesuffix(".weight.int")
        integers, scale, zero = (tensors.pop(f"{name}.weight.{k}") for k in ("int", "scale", "zero"))
        weight = quantized_tensor(integers, scale, zero, 0)
        old = parts[name]
        new: Any
        if isinstance(old, torch.nn.Linear):
            new = Linear(1, 1)
            new.in_features, new.out_features = old.in_features, old.out_features
            new.set_weight_bias(weight, tensors.pop(f"{name}.bias", None))
        else:
            new = Embedding(old.num_embeddings, old.embedding_dim, _weight=weight)
        parent, _, child = name.rpartition(".")
        setattr(parts[parent], child, new)
    for key, tensor in tensors.items():
        parent, _, child = key.rpartition(".")
        part = module.get_submodule(parent)
        if child in part._buffers:
            part._buffers[child] = tensor
        else:
            part._parameters[child] = torch.nn.Parameter(tensor, requires_grad=False)
    return module.eval()


VARIANT = DynamicInt8()
