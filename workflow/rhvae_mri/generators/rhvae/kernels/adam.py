"""Adam, which forms the gradients of large weights block by block.

The update is the fused one of `torch.optim.Adam`, with its usual constants. A gradient that a `VoxelLinear`
has collected as factors never exists as a whole: each block of it is formed, used while it is in the
processor's cache, and forgotten. And the import of `torch.optim`, which takes 70 MB, is spared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from rhvae_mri.generators.rhvae.kernels.voxel_layers import VoxelLinear, product

BETAS = (0.9, 0.999)
EPSILON = 1e-8

#: Elements of a block of a gradient: some megabytes fit a cache; a GPU wants large products.
BLOCK = {"cpu": 2**20, "cuda": 2**26}


class Adam:
    """The optimizer of a training, with what a loop and its checkpoints need of `torch.optim.Adam`."""

    def __init__(
        self, weights: Iterable[torch.nn.Parameter], lr: float, layers: Sequence[VoxelLinear] = ()
    ) -> None:
        self.param_groups = [{"lr": lr}]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._weights = list(weights)
        self._layers = list(layers)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight in self._weights:
            weight.grad = None
        for layer in self._layers:
            if layer.gradient_factors:
                layer.gradient_factors.clear()

    @torch.no_grad()
    def step(self) -> None:
        """Take a step along the gradients that there are."""
        factored = {layer.weight: layer.gradient_factors for layer in self._layers if layer.gradient_factors}
        plain = {w: w.grad for w in self._weights if w.grad is not None and w not in factored}
        if plain:
            states = [self._advance(weight) for weight in plain]
            self._update(list(plain), list(plain.values()), states)
        for weight, factors in factored.items():
            state = self._advance(weight)
            rows = max(BLOCK.get(weight.device.type, BLOCK["cuda"]) // weight.shape[1], 1)
            for start in range(0, len(weight), rows):
                block = slice(start, start + rows)
                (left, right), *others = factors
                gradient = product(left[:, block].T, right.T)
                for left, right in others:
                    gradient += product(left[:, block].T, right.T)
                if weight.grad is not None:
                    gradient += weight.grad[block]
                parts = {name: value if name == "step" else value[block] for name, value in state.items()}
                self._update([weight[block]], [gradient], [parts])

    def state_dict(self) -> dict[str, Any]:
        """The state, with weights by their number, in the layout of `torch.optim.Optimizer`."""
        states = {number: self.state[w] for number, w in enumerate(self._weights) if w in self.state}
        return {"state": states, "param_groups": [dict(group) for group in self.param_groups]}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.param_groups = [dict(group) for group in saved["param_groups"]]
        self.state = {
            self._weights[number]: {
                name: value.to(self._weights[number].device) for name, value in state.items()
            }
            for number, state in saved["state"].items()
        }

    def _advance(self, weight: Tensor) -> dict[str, Tensor]:
        """The state of a weight, one step further."""
        if weight not in self.state:
            moments = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            self.state[weight] = {"step": torch.zeros((), device=weight.device), **moments}
        self.state[weight]["step"] += 1
        return self.state[weight]

    def _update(
        self, weights: list[Tensor], gradients: list[Tensor], states: list[dict[str, Tensor]]
    ) -> None:
        torch._fused_adam_(
            weights,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            lr=self.param_groups[0]["lr"],
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
