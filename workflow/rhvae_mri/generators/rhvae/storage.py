"""Model files: one safetensors file with weights, final metric and settings; no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save_file

from rhvae_mri.generators.rhvae.model import RHVAE, Autoencoder
from rhvae_mri.generators.rhvae.networks import Networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path
from rhvae_mri.runtime.checkpoints import read_stored

#: Tells these files from others, by the name of the model's class, and their version.
FORMAT = "rhvae-mri {} 1"

#: Settings that came after the first files, with the values that models without them were trained with.
LATER_SETTINGS = {"encoder_last_activation": "relu", "fixed_point_tolerance": 0.0}

REMEDY = "Train the model again, or give the file that its training wrote."


def save_model(
    path: str | os.PathLike[str], model: Autoencoder, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a trained model, an RHVAE with its final metric, atomically.

    ``metadata`` is free text for the header.
    """
    if isinstance(model, RHVAE):
        model.final_metric()  # an error without
    header = {
        **(metadata or {}),
        "format": FORMAT.format(type(model).__name__),
        "settings": json.dumps(asdict(model.settings)),
        "image_shape": json.dumps(model.image_shape),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load_model(
    path: str | os.PathLike[str],
    device: torch.device | str = "cpu",
    networks: Networks | None = None,
    kind: type[Autoencoder] = RHVAE,
) -> Any:
    """Read a model of a class that `save_model` wrote; your own ``networks``, if it was trained with such.

    Returns
    -------
    Autoencoder
        The model in evaluation mode, an RHVAE with its final metric, in the precision in which it was stored.

    Raises
    ------
    StudyError
        If the file is missing or damaged, is of another kind, or lacks an entry or has one too many.
    """
    header, tensors = read_stored(path, f"{kind.__name__} model file", FORMAT.format(kind.__name__), REMEDY)
    settings, image_shape = _parse_header(path, header)
    model = kind(settings, image_shape, networks)
    if isinstance(model, RHVAE):
        n, d = len(tensors.get("centroids", ())), settings.latent_dimension
        model.centroids, model.matrices = torch.empty(n, d), torch.empty(n, d, d)
    expected = model.state_dict()
    missing, unknown = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    if missing or unknown:
        listed = {"missing": sorted(missing), "unknown": sorted(unknown)}
        names = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in listed.items() if names)
        raise _fault(path, f"The model file has other entries than the model ({names}).")
    for name, value in expected.items():
        if tensors[name].shape != value.shape:
            shapes = f"{tuple(tensors[name].shape)}, not {tuple(value.shape)}"
            raise _fault(path, f"The entry {name} has the shape {shapes}.")
    model.load_state_dict(tensors, assign=True)
    return model.to(device).requires_grad_(False).eval()


def _fault(path: str | os.PathLike[str], message: str, cause: str | None = None) -> StudyError:
    return StudyError(message, where=path, cause=cause, remedy=REMEDY)


def _parse_header(
    path: str | os.PathLike[str], header: Mapping[str, str]
) -> tuple[RHVAESettings, tuple[int, ...]]:
    try:
        stored, image_shape = json.loads(header["settings"]), json.loads(header["image_shape"])
    except (KeyError, json.JSONDecodeError) as error:
        raise _fault(path, "The header of the model file is not complete.", repr(error)) from error
    stored = {**LATER_SETTINGS, **stored}
    different = stored.keys() ^ RHVAESettings.__dataclass_fields__.keys()
    if different:
        raise _fault(path, f"The settings in the model file differ in: {', '.join(sorted(different))}.")
    return RHVAESettings(**stored), tuple(image_shape)
