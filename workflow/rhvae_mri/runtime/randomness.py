"""The random state of one run, apart from every other run in the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Give the block global random generators of its own, and put the previous states back afterwards.

    Initial weights and dropout draw from torch's global generators. Inside this block these start from
    ``seed``, so what a run draws depends on nothing that ran before it or runs after it.
    """
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            torch.cuda.manual_seed(seed)
        yield
