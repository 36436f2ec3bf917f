"""Packed rows: a module of transformers that sends the tokens of all its texts through its layers as one matrix.

Padding costs as much as text, and rounding in padded attention depends on how much of it there is. So padding is
dropped behind the embeddings, the layers see one row a token, and attention, which looks from one token at others of
the same text, goes from text to text. What goes into the module and comes out of it has the shapes it had before.

It is done with hooks and an attention function of our own, which transformers calls in families whose layers mix
positions nowhere but in attention. Others (ConvBERT, DeBERTa ...) have attention of their own and are not packed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTENTION = "slimner_packed"

# What the families call the part behind the embeddings.
ENCODERS = ("encoder", "transformer")

# The operator that stands in the exported graph until `expand` puts what onnxruntime knows in its place.
DOMAIN, OPERATOR = "slimner", "PackedAttention"


def pack(module: Any) -> bool:
    """Turn a token classifier into one with packed rows; False, with no change, if its family does not allow it."""
    base = getattr(module, module.base_model_prefix, None)
    encoder = next((getattr(base, name) for name in ENCODERS if hasattr(base, name)), None)
    if base is None or encoder is None or not module._supports_attention_backend:
        return False
    from transformers import AttentionInterface, AttentionMaskInterface

    rows = _Rows()
    AttentionInterface.register(ATTENTION, rows.attend)
    AttentionMaskInterface.register(ATTENTION, lambda *given, **named: None)
    module.config._attn_implementation = ATTENTION
    base.register_forward_pre_hook(rows.begin, with_kwargs=True)
    encoder.register_forward_pre_hook(rows.take, with_kwargs=True)
    module.register_forward_hook(rows.give_back)
    return True


class _Rows:
    """Where the tokens of a batch stand, between the hooks of one call."""

    tokens: Any  # (tokens of all texts,): the place of each among all places of the batch, padding counted
    places: Any  # (texts, places): the token at each place; any token where there is padding
    edges: Any  # (texts + 1,): the first token of each text, and the number of all

    def begin(self, base: Any, arguments: Any, named: dict[str, Any]) -> None:
        import torch

        mask = named["attention_mask"]
        flat = mask.reshape(-1)
        self.tokens = flat.nonzero().squeeze(1)
        self.places = (flat.cumsum(0) - 1).clamp(min=0).reshape(mask.shape)
        self.edges = torch.nn.functional.pad(mask.sum(1).cumsum(0), (1, 0))

    def take(self, encoder: Any, arguments: Any, named: dict[str, Any]) -> Any:
        """The padded rows become packed ones, (1, tokens, width)."""
        padded, *others = arguments or (named.pop("hidden_states"),)
        return (padded.reshape(-1, padded.shape[-1])[self.tokens][None], *others), named

    def give_back(self, module: Any, arguments: Any, output: Any) -> Any:
        """Packed logits become padded ones."""
        output.logits = output.logits[0][self.places]
        return output

    def attend(self, module: Any, query: Any, key: Any, value: Any, *others: Any, **named: Any) -> tuple[Any, None]:
        """Attention within each text; query, key and value are packed, (1, heads, tokens, width of a head)."""
        heads, width = int(query.shape[1]), int(query.shape[3])  # constants in what is traced
        if int(key.shape[1]) != heads or int(value.shape[3]) != width:
            raise NotImplementedError("heads of other widths than those of the queries")
        q, k, v = (given.transpose(1, 2).reshape(1, -1, heads * width) for given in (query, key, value))
        seen = _attention(q, k, v, self.edges, heads, named.get("scaling") or width**-0.5)
        return seen.reshape(1, -1, heads, width), None


def _attention(query: Any, key: Any, value: Any, edges: Any, heads: int, scale: float) -> Any:
    """Attention, text by text, over rows of the shape (1, tokens, heads x width)."""
    import torch

    if torch.compiler.is_exporting():  # the exporter `dynamo`
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OPERATOR}",
            (query, key, value, edges),
            {"heads": heads, "scale": scale},
            dtype=query.dtype,
            shape=query.shape,
            version=1,
        )

    class Packed(torch.autograd.Function):  # type: ignore[misc]  # torch has no types here
        """The operator by its name for the exporters that trace, and what it yields for whoever runs it."""

        @staticmethod
        def forward(context: Any, query: Any, key: Any, value: Any, edges: Any) -> Any:
            pieces = []
            for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                q, k, v = (
                    given[:, start:end].reshape(1, end - start, heads, -1).transpose(1, 2)
                    for given in (query, key, value)
                )
                seen = torch.softmax(q @ k.transpose(2, 3) * scale, dim=-1) @ v
                pieces.append(seen.transpose(1, 2).reshape(1, end - start, -1))
            return torch.cat(pieces, 1)

        @staticmethod
        def symbolic(graph: Any, query: Any, key: Any, value: Any, edges: Any) -> Any:
            return graph.op(f"{DOMAIN}::{OPERATOR}", query, key, value, edges, heads_i=heads, scale_f=scale).setType(
                query.type()
            )

    return Packed.apply(query, key, value, edges)


def expand(graph: Path) -> None:
    """Replace our operator by what onnxruntime knows: its fused attention, in a loop over the texts.

    One text, which needs no loop, goes through the same fused attention without copies of its rows.
    """
    import onnx

    model = onnx.load(graph)
    nodes: list[Any] = []
    for node in model.graph.node:
        nodes += _expanded(node) if (node.domain, node.op_type) == (DOMAIN, OPERATOR) else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    kept = [one for one in model.opset_import if one.domain not in (DOMAIN, "com.microsoft")]
    del model.opset_import[:]
    model.opset_import.extend([*kept, onnx.helper.make_opsetid("com.microsoft", 1)])
    onnx.save_model(model, graph)


def _expanded(node: Any) -> list[Any]:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    query, key, value, edges = node.input
    named = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    own = node.output[0]

    def make(operator: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(operator, inputs, [f"{own}/{output}"], f"{own}/{output}", **attributes)

    def constant(name: str, value: Any) -> Any:
        return make("Constant", [], name, value=numpy_helper.from_array(np.asarray(value)))

    def at(*names: str) -> list[str]:
        return [f"{own}/{name}" for name in names]

    def attention(inputs: list[str], output: str) -> Any:
        return make(
            "MultiHeadAttention",
            inputs,
            output,
            domain="com.microsoft",
            num_heads=named["heads"],
            scale=named["scale"],
        )

    def typed(name: str, kind: int, shape: list[int] | None) -> Any:
        return helper.make_tensor_value_info(f"{own}/{name}", kind, shape)

    several = helper.make_graph(
        [
            make("Add", at("text", "1"), "next"),
            make("Gather", [edges, *at("text")], "begin"),
            make("Gather", [edges, *at("next")], "end"),
            make("Unsqueeze", at("begin", "[0]"), "from"),
            make("Unsqueeze", at("end", "[0]"), "to"),
            *(
                make("Slice", [given, *at("from", "to", "[1]")], name)
                for name, given in (("q", query), ("k", key), ("v", value))
            ),
            attention(at("q", "k", "v"), "seen"),
            make("Concat", at("before", "seen"), "after", axis=1),
            make("Identity", at("on"), "still"),
        ],
        "text",
        [
            typed("text", TensorProto.INT64, []),
            typed("on", TensorProto.BOOL, []),
            typed("before", TensorProto.FLOAT, None),
        ],
        [typed("still", TensorProto.BOOL, []), typed("after", TensorProto.FLOAT, None)],
    )
    looped = helper.make_graph(
        [
            make("Slice", [query, *at("[0]", "[0]", "[1]")], "nothing"),
            make("Loop", at("texts", "true", "nothing"), "looped", body=several),
        ],
        "texts",
        [],
        [typed("looped", TensorProto.FLOAT, None)],
    )
    alone = helper.make_graph(
        [attention([query, key, value], "alone")], "alone", [], [typed("alone", TensorProto.FLOAT, None)]
    )
    return [
        *(constant(name, value) for name, value in (("1", 1), ("2", 2), ("[0]", [0]), ("[1]", [1]), ("true", True))),
        make("Size", [edges], "edges"),
        make("Sub", at("edges", "1"), "texts"),
        make("Equal", at("edges", "2"), "one"),
        helper.make_node("If", at("one"), [own], f"{own}/if", then_branch=alone, else_branch=looped),
    ]
