"""Checkpoints of a training run: one safetensors file with everything that the next epoch depends on.

Tensors (weights, optimizer moments, states of the random generators) are stored as tensors, everything
else as JSON in the file's header: no pickle. A run that is resumed from a checkpoint equals one that was
never interrupted bit for bit, on a CPU and on a GPU that `rhvae_mri.runtime.devices` has set up.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path, remove_unfinished
from rhvae_mri.runtime.interrupts import StopRequest, stop_request

logger = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """The live objects of a training run that a checkpoint saves and restores."""

    modules: Mapping[str, torch.nn.Module]
    optimizers: Mapping[str, Any]  # those of `torch.optim`, or such as have their state
    #: random generators; the global ones of torch are always saved
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)
    #: other tensors, such as the best weights so far; replaced on restoring
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    #: everything else, as JSON values: epoch, best metric, history
    progress: dict[str, Any] = field(default_factory=dict)


def run_digest(settings: Mapping[str, Any], *files: str | os.PathLike[str]) -> str:
    """Digest what a training run depends on: settings (and code) as JSON values, and the files it reads.

    These may be larger than the memory, so each counts by size and time of modification, as for Snakemake.
    """
    states = [Path(file).stat() for file in files]
    content = [dict(settings), [[state.st_size, state.st_mtime_ns] for state in states]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_stored(
    path: str | os.PathLike[str], name: str, layout: str, remedy: str
) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Read header and tensors of a safetensors file of the format `layout`, called ``name`` in errors."""
    if not Path(path).is_file():
        raise StudyError(f"The {name} does not exist.", where=path, remedy=remedy)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        cause = f"It is damaged or no safetensors file: {error}."
        raise StudyError(f"The {name} cannot be read.", where=path, cause=cause, remedy=remedy) from error
    if header.get("format") != layout:
        cause = f"Found: {header.get('format', 'no entry format')}; expected: {layout}."
        raise StudyError(f"This is no {name} of this version.", where=path, cause=cause, remedy=remedy)
    return header, tensors


def save_checkpoint(path: str | os.PathLike[str], state: TrainingState, digest: str) -> None:
    """Write a checkpoint, atomically; the digest identifies settings, data and code of the run."""
    tensors: dict[str, torch.Tensor] = {}
    optimizer_values: dict[str, Any] = {}
    for name, module in state.modules.items():
        for key, value in module.state_dict().items():
            tensors[f"module/{name}/{key}"] = value
    for name, optimizer in state.optimizers.items():
        content = optimizer.state_dict()
        values: dict[str, dict[str, Any]] = {}
        for index, moments in content["state"].items():
            for key, value in moments.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{name}/{index}/{key}"] = value
                else:
                    values.setdefault(str(index), {})[key] = value
        optimizer_values[name] = {"groups": content["param_groups"], "values": values}
    for name, generator in state.generators.items():
        tensors[f"generator/{name}"] = generator.get_state()
    tensors["torch/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["torch/cuda"] = torch.cuda.get_rng_state()
    for name, value in state.tensors.items():
        tensors[f"tensor/{name}"] = value
    header = {"digest": digest, "progress": json.dumps(state.progress)}
    header["optimizers"] = json.dumps(optimizer_values)
    # A copy of each: safetensors refuses tensors that share memory.
    content = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(content, temporary, metadata=header)


def restore_checkpoint(path: str | os.PathLike[str], state: TrainingState, digest: str) -> bool:
    """Restore a freshly built training run from its checkpoint; False if there is none of this digest."""
    remove_unfinished(path)
    if not Path(path).is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("digest") != digest:
                logger.warning("The checkpoint %s is of other settings, data or code: starting anew.", path)
                return False
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise StudyError(
            "The checkpoint cannot be read.",
            where=path,
            cause=f"The file was changed or damaged after it was written: {error}.",
            remedy="Delete the file; training then begins anew.",
        ) from error
    for name, module in state.modules.items():
        module.load_state_dict(_below(tensors, f"module/{name}/"))
    for name, optimizer in state.optimizers.items():
        saved = json.loads(header["optimizers"])[name]
        moments: dict[int, dict[str, Any]] = {}
        for key, value in _below(tensors, f"optimizer/{name}/").items():
            index, moment = key.split("/", 1)
            moments.setdefault(int(index), {})[moment] = value
        for index, values in saved["values"].items():
            moments.setdefault(int(index), {}).update(values)
        optimizer.load_state_dict({"state": moments, "param_groups": saved["groups"]})
        _align_layouts(optimizer)
    for name, generator in state.generators.items():
        generator.set_state(tensors[f"generator/{name}"])
    torch.set_rng_state(tensors["torch/cpu"])
    if torch.cuda.is_available() and "torch/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["torch/cuda"])
    state.tensors.clear()
    state.tensors.update(_below(tensors, "tensor/"))
    state.progress.clear()
    state.progress.update(json.loads(header["progress"]))
    return True


class RegularCheckpoints:
    """The checkpoints of one training run; a context in which stop signals are caught.

    The state is saved from time to time, when a signal asks to stop, and at the end. Without a file nothing
    is saved, and signals act as they do elsewhere; with 0 ``seconds`` between two checkpoints, each epoch
    ends with one.
    """

    def __init__(self, path: Path | None, digest: str, seconds: float) -> None:
        self.path = path
        self.digest = digest
        self.seconds = seconds
        self._stop = StopRequest()
        self._signals = ExitStack()
        self._saved_at = time.monotonic()

    def __enter__(self) -> RegularCheckpoints:
        if self.path is not None:
            self._stop = self._signals.enter_context(stop_request())
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.close()

    def restore(self, state: TrainingState) -> bool:
        """Take up the run's checkpoint, if there is one; see `restore_checkpoint`."""
        return self.path is not None and restore_checkpoint(self.path, state, self.digest)

    def after_epoch(self, state: TrainingState, *, is_last: bool = False) -> None:
        """Save the state if it is time, if it is the last, or if a signal has come, and then stop."""
        if self.path is None:
            return
        # Asked once: a signal that comes while the state is written waits for the end of the next epoch.
        is_asked = self._stop.name is not None
        if is_asked or is_last or time.monotonic() - self._saved_at >= self.seconds:
            save_checkpoint(self.path, state, self.digest)
            self._saved_at = time.monotonic()
        if is_asked:
            self._stop.raise_if_asked(self.path)


def _align_layouts(optimizer: Any) -> None:
    """Give each moment the memory layout of its parameter, which the fused optimizers take for granted."""
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            # the counter of steps is no moment, though it has the shape of a scalar parameter
            if name != "step" and isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
