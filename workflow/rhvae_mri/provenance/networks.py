"""All networks of a study as one table of their layers, read from the modules themselves."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas
from torch import nn

from rhvae_mri.cnn.architectures import Architecture, ConvolutionalNetwork
from rhvae_mri.generators.rhvae.networks import build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.provenance.layers import LAYER_COLUMNS, list_layers, shapes_only
from rhvae_mri.search.leaderboard import choose_network

#: The settings of the RHVAE on which its networks depend.
NETWORK_SETTINGS = (
    *("latent_dimension", "networks", "encoder_layers", "decoder_layers", "metric_layers", "channels"),
)

#: The columns of the table.
NETWORK_COLUMNS = ("model", "network", "resolution", "input_shape", *LAYER_COLUMNS)


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
