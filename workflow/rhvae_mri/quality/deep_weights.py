"""The pretrained weights of the deep quality check: fetched or given, checked, and kept without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rhvae_mri.downloads import check_file, obtain_file
from rhvae_mri.errors import StudyError
from rhvae_mri.files import atomic_path, write_json
from rhvae_mri.imaging.sidecars import sidecar_path, software_versions
from rhvae_mri.quality.deep_networks import NETWORKS, build_network

#: Entries that no prediction needs: counters of the training, and the ImageNet head that DARQ's file has.
_UNUSED = (".num_batches_tracked", "fc.weight", "fc.bias")

#: What `torch.load` raises on files that are not its own.
_UNREADABLE = (
    UnpicklingError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)

_LISTED = 3

_REMEDY = "Give the file that ClinicaDL downloads for this network, or a state dict of the same network."


def prepare_deep_quality_weights(
    source: str,
    network: str,
    target: str | os.PathLike[str],
    *,
    downloads: str | os.PathLike[str] | None = None,
) -> None:
    """Bring a network's weights to one format and check that they fit it.

    Parameters
    ----------
    source : str
        The path of a file of descriptors with an entry for the network (such as resources/deep_quality.json),
        or of the weights themselves (see `read_weights`).
    network : str
        A name of `deep_networks.NETWORKS`.
    target : path
        The safetensors file to write, with a JSON file beside it (network, origin, SHA-256 of what was read).
    downloads : path, optional
        Folder for the downloaded file; by default the target's.

    Raises
    ------
    StudyError
        If the weights cannot be downloaded or read, are not the pinned file, or do not fit the network.
    """
    file, origin = obtain_file(source, downloads or Path(target).parent, entry=network)
    weights = read_weights(file, network)
    with atomic_path(target) as temporary:
        save_file(weights, temporary, metadata={"network": network})
    content = {
        "Description": "Weights of the network that checks the registration",
        "Network": network,
        **origin,
        "SoftwarePackages": software_versions("torch", "safetensors"),
    }
    write_json(sidecar_path(target), content)


def read_weights(path: str | os.PathLike[str], network: str) -> dict[str, torch.Tensor]:
    """Read the weights of a network.

    Parameters
    ----------
    path : path
        A state dict: ``.safetensors``, or a file of ``torch.save`` under any other name (``.pth``,
        ``.pth.tar``), of which nothing but tensors is read.
    network : str
        A name of `deep_networks.NETWORKS`.

    Returns
    -------
    dict of str to torch.Tensor
        The weights, float32, on the CPU; `load_state_dict` of the network takes them.

    Raises
    ------
    StudyError
        If the file is missing or damaged, holds something else than tensors, or the tensors are not those of
        the network.
    """
    expected = _expected_shapes(network)
    file = check_file(path)
    tensors = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith(_UNUSED)}
    problems = _differences(found, expected)
    if problems:
        listed = "; ".join(problems[:_LISTED])
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        fitting = [name for name in NETWORKS if not _differences(found, _expected_shapes(name))]
        raise StudyError(
            f"The weights do not fit the network {network}: {listed}{more}.",
            where=file,
            cause=f"They are the weights of {' or '.join(fitting)}." if fitting else None,
            remedy=_REMEDY,
        )
    damaged = [name for name, tensor in found.items() if not torch.isfinite(tensor).all()]
    if damaged:
        raise StudyError(f"The weights {damaged[0]} are NaN or infinite.", where=file, remedy=_REMEDY)
    return {name: found[name].float().contiguous() for name in expected}


def _expected_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a network's weights."""
    with torch.device("meta"):
        weights = build_network(network).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in weights.items() if not name.endswith(_UNUSED)}


def _differences(found: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say how tensors differ from what a network expects."""
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not one of its weights" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        shape = tuple(found[name].shape)
        if shape != expected[name]:
            problems.append(f"{name} has the shape {shape}, not {expected[name]}")
    return problems


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file."""
    try:
        return load_file(file)
    except SafetensorError as error:
        raise StudyError(
            "The file of weights cannot be read.",
            where=file,
            cause=f"It is damaged or no safetensors file: {error}.",
            remedy=_REMEDY,
        ) from error


def _read_torch(file: Path) -> dict[str, torch.Tensor]:
    """Read a state dict that torch has saved; pickled objects other than tensors are refused unread."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        summary = str(error).partition("\n")[0] or type(error).__name__
        raise StudyError(
            "The file of weights cannot be read.",
            where=file,
            cause="It is damaged, is no file of torch (a web page, for example), or holds Python objects, "
            f"which are not loaded because that could run their code: {summary}",
            remedy=_REMEDY,
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        raise StudyError(
            "The file holds something else than a state dict.",
            where=file,
            cause="It is a whole checkpoint or a single tensor; the weights are to be its only content.",
            remedy=_REMEDY,
        )
    return dict(content)
