"""The optimiser's side of a phase of training: steps, rates, averaged weights, and the state a run resumes from."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Trainer:
    """AdamW with an average of weights.

    The rate warms up, stays, and falls as a cosine over the last share `decay` of the steps.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        work: Path,
        steps: int,
        rate: float,
        *,
        decay: float = 1.0,
        mean: float = 0.9985,
    ) -> None:
        self.name, self.model, self.steps, self.rate, self.decay, self.mean = name, model, steps, rate, decay, mean
        self.path = work / f"{name}.pt"
        matrices = [p for p in model.parameters() if p.ndim > 1]
        vectors = [p for p in model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
            lr=rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.average = copy.deepcopy(model)
        self.step = 0
        self.chunk = 0
        self.loss = 0.0  # a running mean
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.chunk = state["step"], state.get("chunk", 0)
            print(f"{name}: resumed at step {self.step}", flush=True)

    def save(self) -> None:
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "chunk": self.chunk,
        }
        torch.save(state, self.path.with_suffix(".tmp"))
        os.replace(self.path.with_suffix(".tmp"), self.path)

    def update(self, loss: torch.Tensor) -> None:
        warm = max(1, min(1000, self.steps // 20))
        done = min(1.0, self.step / self.steps)
        cooled = max(0.0, done - (1 - self.decay)) / self.decay if self.decay else 0.0
        factor = min(1.0, (self.step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * cooled))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * max(factor, 0.005)
        seen = loss.item()
        self.loss = 0.98 * self.loss + 0.02 * seen if self.loss else seen
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        decay = min(self.mean, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
