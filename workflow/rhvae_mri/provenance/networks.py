"""All networks of a study as one table of their layers, read from the modules themselves.

The shapes that the layers give are computed without memory for weights.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from rhvae_mri.cnn.architectures import Architecture, ConvolutionalNetwork
from rhvae_mri.generators.rhvae.networks import build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.search.leaderboard import choose_network

#: The settings of the RHVAE on which its networks depend.
NETWORK_SETTINGS = (
    *("latent_dimension", "networks", "encoder_layers", "decoder_layers", "metric_layers", "channels"),
    "encoder_last_activation",
)

#: The columns of the table; the last are those of `list_layers`.
NETWORK_COLUMNS = (
    *("model", "network", "resolution", "input_shape"),
    *("layer", "kind", "detail", "output_shape", "n_parameters"),
)


def tabulate_networks(
    architectures: Mapping[tuple[str, str], Architecture],
    shapes: Mapping[str, Sequence[int]],
    settings: RHVAESettings | None,
) -> pandas.DataFrame:
    """List the layers of the classifiers and of the RHVAE's networks."""
    rows: list[dict[str, Any]] = []
    with shapes_only():
        for (name, resolution), architecture in architectures.items():
            shape = tuple(shapes[resolution])
            network = ConvolutionalNetwork(architecture, shape)
            # one layer after the other: the network itself computes several in one go
            parts = {"convolutions": network.convolutions, "classifier": network.classifier}
            place = {"model": "CNN", "network": name, "resolution": resolution}
            rows += [place | row for row in _rows(nn.Sequential(OrderedDict(parts)), (1, *shape))]
        if settings is not None:
            shape = tuple(shapes["downsampled"])
            networks = build_networks(settings, shape)
            inputs = {"encoder": shape, "metric": shape, "decoder": (settings.latent_dimension,)}
            for name, of_one in inputs.items():
                place = {"model": "RHVAE", "network": name, "resolution": "downsampled"}
                rows += [place | row for row in _rows(getattr(networks, name), of_one)]
    return pandas.DataFrame(rows, columns=list(NETWORK_COLUMNS))


def choose_classifiers(
    conditions: Iterable[Mapping[str, Any]],
    architectures: str | os.PathLike[str],
    searches: Mapping[str, str | os.PathLike[str]],
) -> dict[tuple[str, str], Architecture]:
    """Choose the architectures that the conditions of a study train."""
    chosen = {}
    for one in conditions:
        name, resolution = one["architecture"], one["resolution"]
        search = searches.get(resolution) if name == "optimized" else None
        if (name, resolution) not in chosen:
            chosen[name, resolution] = choose_network(architectures, name, resolution, 0.0, 0.0, search)[0]
    return chosen


def read_shapes(stacks: Mapping[str, str | os.PathLike[str]]) -> dict[str, tuple[int, ...]]:
    """Read the shape of the images of each resolution from its stack."""
    shapes = {}
    for resolution, path in stacks.items():
        with ImageStack(path) as stack:
            shapes[resolution] = stack.shape
    return shapes


def _rows(network: Any, input_shape: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"input_shape": _text(input_shape)} | row | {"output_shape": _text(row["output_shape"])}
        for row in list_layers(network, input_shape)
    ]


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


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
