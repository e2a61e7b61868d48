"""The layers of a network as a table, with the shapes that they give; computed without memory for weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

#: The columns of `list_layers`.
LAYER_COLUMNS = ("layer", "kind", "detail", "output_shape", "n_parameters")


class _OnMeta(TorchFunctionMode):
    """Puts new tensors on the device ``meta`` also where a call names another device."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        return func(*args, **(kwargs | {"device": "meta"} if "device" in kwargs else kwargs))


@contextmanager
def shapes_only() -> Iterator[None]:
    """Make all new tensors and modules of the block have shapes but no memory, however large they are."""
    with torch.device("meta"), _OnMeta():
        yield


@torch.no_grad()
def list_layers(network: nn.Module, input_shape: Sequence[int]) -> list[dict[str, Any]]:
    """List the layers of a network in the order in which an input passes them.

    Build a large network within `shapes_only`, and call this there. A row has ``layer`` (its name), ``kind``,
    ``detail`` (such as the rate of a dropout), ``output_shape`` without the batch, and ``n_parameters``.

    Examples
    --------
    >>> with shapes_only():
    ...     rows = list_layers(nn.Sequential(nn.Linear(10**6, 500), nn.ReLU()), (10**6,))
    >>> [(row["kind"], row["output_shape"], row["n_parameters"]) for row in rows]
    [('Linear', (500,), 500000500), ('ReLU', (500,), 0)]
    """
    rows: list[dict[str, Any]] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        rows.append(
            {
                "layer": names[module],
                "kind": type(module).__name__,
                "detail": _detail(module),
                "output_shape": tuple(output.shape[1:]),
                "n_parameters": sum(weight.numel() for weight in module.parameters()),
            }
        )

    leaves = [module for module in network.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(note) for module in leaves]
    was_training = network.training
    network.eval()
    try:
        network(torch.zeros(1, *input_shape))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return rows


def _detail(module: nn.Module) -> str:
    if isinstance(module, nn.Conv3d):
        sides = " × ".join(map(str, module.kernel_size))
        return sides if set(module.stride) == {1} else f"{sides}, stride {module.stride[0]}"
    if isinstance(module, nn.Dropout):
        return f"{module.p:g}"
    if isinstance(module, nn.LeakyReLU):
        return f"slope {module.negative_slope:g}"
    return ""
