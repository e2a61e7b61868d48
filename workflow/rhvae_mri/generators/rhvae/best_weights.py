"""The weights of the best epoch of a training: one copy, and while they are new, the model's own.

Best is the lowest training loss; `training` decides it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rhvae_mri.runtime.checkpoints import TrainingState


class BestWeights:
    """Keeps the weights to which a training goes back, in the ``tensors`` of its state.

    The loss of an epoch is known before its last optimizer step has been tried. So the weights at the end of
    the best epoch are only a candidate, without a copy, until the next batch has shown them to be good; the
    copy still has the best weights before them. With a GPU the copy is in pinned memory of the host. The
    ``progress`` of the state has the epochs of the copy (``best``) and of the candidate; 0 stands for weights
    from before the first epoch, or for no candidate.
    """

    def __init__(self, model: nn.Module, state: TrainingState) -> None:
        self._model = model
        self._state = state
        state.progress.update(best=0, candidate=0)
        for name, value in self._live().items():
            state.tensors[name] = _kept(value, pinned=value.is_cuda)

    @property
    def epoch(self) -> int:
        """The epoch of the best weights; 0 before there are any."""
        return self._state.progress["candidate"] or self._state.progress["best"]

    def propose(self, epoch: int) -> None:
        """Make the model's weights the candidate."""
        self._state.progress["candidate"] = epoch

    def confirm(self) -> None:
        """Copy the candidate, if there is one."""
        progress = self._state.progress
        if progress["candidate"]:
            progress.update(best=progress["candidate"], candidate=0)
            for name, value in self._live().items():
                self._state.tensors[name].copy_(value)

    def go_back(self) -> None:
        """Give the model the copied weights; a candidate that was not confirmed is forgotten."""
        self._state.progress["candidate"] = 0
        for name, value in self._live().items():
            value.copy_(self._state.tensors[name])

    def resume(self) -> None:
        """Take up a copy that was restored into the state."""
        for name, value in self._live().items():
            if value.is_cuda:
                self._state.tensors[name] = _kept(self._state.tensors[name], pinned=True)

    def each(self) -> Iterator[int]:
        """Give the model the candidate, if there is one, then the copied weights; yield the epoch of each."""
        if self._state.progress["candidate"]:
            yield self._state.progress["candidate"]
            self._swap()
            yield self._state.progress["best"]
            self._swap()
        else:
            self.go_back()
            yield self._state.progress["best"]

    def _swap(self) -> None:
        for name, value in self._live().items():
            kept = self._state.tensors[name]
            live = value.to(kept.device, copy=True)
            value.copy_(kept)
            kept.copy_(live)

    def _live(self) -> dict[str, Tensor]:
        """What training changes in the model: everything but the final metric."""
        values = self._model.state_dict().items()
        return {f"best/{name}": value for name, value in values if name not in ("centroids", "matrices")}


def _kept(value: Tensor, *, pinned: bool) -> Tensor:
    """A copy in the memory of the host."""
    return torch.empty_like(value, device="cpu", pin_memory=pinned).copy_(value)
