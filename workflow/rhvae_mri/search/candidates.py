"""The candidates of a study's search, drawn for a job, and in files: JSON for the rules, a table to read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from rhvae_mri.files import read_json, write_json, write_tsv
from rhvae_mri.search.space import Candidate, SearchSpace, draw_candidates
from rhvae_mri.seeds import derive_seed
from rhvae_mri.tensor_files import ImageStack

#: The hyper-parameters that are searched, in the order of the tables.
HYPERPARAMETERS = (
    "n_blocks",
    "first_channels",
    "n_convolutions",
    "n_fully_connected",
    "dropout",
    "learning_rate",
    "weight_decay",
)


def draw_for_study(
    stack: str | os.PathLike[str],
    space: Mapping[str, Any],
    batch: str,
    *,
    resolution: str,
    study_seed: int,
) -> list[Candidate]:
    """Draw some candidates of a study's search.

    Parameters
    ----------
    stack : path
        The packed images, for their size.
    space : mapping
        The configuration's section ``search: space``.
    batch : str
        The numbers of the candidates, as ``first-last``.
    resolution : {"full", "downsampled"}
        The size of the images; each has candidates of its own.
    study_seed : int
        The study's seed.
    """
    with ImageStack(stack) as images:
        shape = images.shape
    first, last = map(int, batch.split("-"))
    seed = derive_seed(study_seed, "sample_architectures", resolution)
    return draw_candidates(SearchSpace(**space), range(first, last + 1), shape, seed)


def write_candidates(
    candidates: Sequence[Candidate], file: str | os.PathLike[str], table: str | os.PathLike[str]
) -> None:
    """Write candidates as JSON and as a table, atomically."""
    write_json(file, [candidate.to_dict() for candidate in candidates])
    write_tsv(table, tabulate_candidates(candidates))


def read_candidates(file: str | os.PathLike[str]) -> list[Candidate]:
    """Read the candidates of `write_candidates`."""
    return [Candidate.from_dict(description) for description in read_json(file)]


def tabulate_candidates(candidates: Sequence[Candidate]) -> pandas.DataFrame:
    """Describe candidates in a table.

    Returns
    -------
    pandas.DataFrame
        One row for each: candidate, the columns `HYPERPARAMETERS` (``n_convolutions`` of all blocks
        together), ``convolutions`` and ``channels`` of each block and ``hidden_features`` of each fully
        connected layer but the last as text, n_parameters, and rejected draws by reason.
    """
    rows = []
    for candidate in candidates:
        blocks = candidate.architecture.blocks
        rows.append(
            {
                "candidate": candidate.number,
                "n_blocks": len(blocks),
                "first_channels": blocks[0][-1],
                "n_convolutions": sum(map(len, blocks)),
                "n_fully_connected": len(candidate.architecture.hidden_features) + 1,
                "dropout": candidate.architecture.dropout,
                "learning_rate": candidate.learning_rate,
                "weight_decay": candidate.weight_decay,
                "convolutions": ", ".join(str(len(block)) for block in blocks),
                "channels": ", ".join(str(block[-1]) for block in blocks),
                "hidden_features": ", ".join(map(str, candidate.architecture.hidden_features)) or None,
                "n_parameters": candidate.n_parameters,
                **{f"rejected_{reason}": number for reason, number in candidate.rejected.items()},
            }
        )
    return pandas.DataFrame(rows)
