"""What the training of networks cost: for the metrics beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rhvae_mri.cnn.trained import TrainedNetwork
from rhvae_mri.jobs import peak_memory


def training_metrics(
    trained: Mapping[int, TrainedNetwork], n_train: int, precision: str, device: torch.device
) -> dict[str, Any]:
    """Collect what the runs of a job cost.

    Parameters
    ----------
    trained : mapping of int to TrainedNetwork
        The networks by the number of their seed.
    n_train : int
        The number of training images.
    precision : str
        In which type the networks multiplied.
    device : torch.device
        Where they were trained.

    Returns
    -------
    dict
        JSON values: ``device``, its name, ``threads`` of the CPU, ``precision``, ``peak_memory_mb`` (in MB of
        1,000,000 bytes: of a GPU what torch held there, otherwise the largest resident memory of this
        process), and for each seed ``images_per_second`` (training images, validation included),
        ``seconds_per_epoch``, ``epochs``, ``selected_epoch``. A run that was interrupted counts the time of
        all its parts; the memory is that of the last.
    """
    is_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if is_gpu else "CPU",
        "threads": torch.get_num_threads(),
        "precision": precision,
        "training_images": n_train,
        "peak_memory_mb": (torch.cuda.max_memory_allocated(device) if is_gpu else peak_memory()) / 1e6,
        "seeds": {
            str(number): {
                "images_per_second": run.images_per_second,
                "seconds_per_epoch": n_train / run.images_per_second,
                "epochs": len(run.history),
                "selected_epoch": run.selected_epoch,
            }
            for number, run in trained.items()
        },
    }
