"""The forward pass of ConvBERT for training on a processor: the same sums as transformers', in fewer and cheaper steps.

Both local convolutions become products of matrices, which processors are fast at in bfloat16, and there is no dropout
inside the layers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from .vocabulary import PAD

functional = nn.functional


def banded(weights: torch.Tensor) -> torch.Tensor:
    """Kernels (batch, heads, length, kernel) as rows of a matrix (batch, heads, length, length + kernel - 1).

    Row t holds the kernel of position t from column t on: every row is padded by one column more than it needs, so that
    cutting the rows anew moves each by one.
    """
    batch, heads, length, kernel = weights.shape
    rows = functional.pad(weights, (0, length)).flatten(2)
    return rows[..., : length * (length + kernel - 1)].view(batch, heads, length, length + kernel - 1)


def mixed(attention: Any, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Self-attention beside the span-based dynamic convolution (batch, length, width)."""
    batch, length, width = hidden.shape
    heads, size, kernel = attention.num_attention_heads, attention.attention_head_size, attention.conv_kernel_size
    query, key, value = attention.query(hidden), attention.key(hidden), attention.value(hidden)

    separable = attention.key_conv_attn_layer  # depthwise, then pointwise: one dense convolution
    dense = separable.pointwise.weight * separable.depthwise.weight.transpose(0, 1)
    local = functional.conv1d(hidden.transpose(1, 2), dense, separable.bias[:, 0], padding=kernel // 2)
    weights = attention.conv_kernel_layer(local.transpose(1, 2) * query).view(batch, length, heads, kernel)
    weights = weights.transpose(1, 2).float().softmax(-1)
    source = functional.pad(attention.conv_out_layer(hidden), (0, 0, kernel // 2, kernel // 2))
    source = source.view(batch, length + kernel - 1, heads, size).transpose(1, 2)
    convolved = banded(weights.to(source.dtype)) @ source

    query, key, value = (t.view(batch, length, heads, size).transpose(1, 2) for t in (query, key, value))
    scores = (query @ key.transpose(-1, -2)).float() / math.sqrt(size) + mask
    attended = scores.softmax(-1).to(value.dtype) @ value
    return torch.cat([attended, convolved], 1).transpose(1, 2).reshape(batch, length, width)


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Scores (batch, length, labels) of token ids (batch, length) padded with `PAD`."""
    embeddings, config = model.convbert.embeddings, model.config
    drop, training = config.hidden_dropout_prob, model.training
    hidden = embeddings.word_embeddings(ids) + embeddings.position_embeddings.weight[: ids.shape[1]]
    hidden = embeddings.LayerNorm(hidden + embeddings.token_type_embeddings.weight[0])
    hidden = model.convbert.embeddings_project(functional.dropout(hidden, drop, training))
    mask = (ids == PAD).float()[:, None, None, :] * -1e4
    for layer in model.convbert.encoder.layer:
        joined = mixed(layer.attention.self, hidden, mask)
        after = layer.attention.output
        attended = after.LayerNorm(after.dense(joined) + hidden)
        inner = functional.gelu(layer.intermediate.dense(attended))
        hidden = layer.output.LayerNorm(layer.output.dense(inner) + attended)
    scores: torch.Tensor = model.classifier(functional.dropout(hidden, drop, training))
    return scores
