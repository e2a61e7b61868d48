"""The published results, to set the study's own beside them.

They are the means and standard deviations over 20 runs of the two result tables of Chadebec et al. (IEEE
TPAMI 2022), for networks trained on down-sampled images.
"""

from __future__ import annotations

import os

import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.statistics.conditions import CONDITION, check_columns, own_generator

#: The published tables are of networks that see down-sampled images.
PUBLISHED_RESOLUTION = "downsampled"

#: Runs behind each published mean and standard deviation.
N_PUBLISHED_RUNS = 20

#: Participants with AD and CN behind each published number: of ADNI published [P], of AIBL those of the
#: group's public lists [C].
PUBLISHED_SIZES = {"ADNI": (100, 100), "AIBL": (76, 429)}

#: The columns that a published number and one of ours have in common.
PUBLISHED_KEY = (*(column for column in CONDITION if column != "resolution"), "test_cohort", "metric")

_VALUES = ("mean_percent", "sd_percent")


def read_published(path: str | os.PathLike[str]) -> pandas.DataFrame:
    """Read the table of published results, see `check_published`."""
    return check_published(read_tsv(path), where=path)


def check_published(
    table: pandas.DataFrame, where: str | os.PathLike[str] = "the table of published results"
) -> pandas.DataFrame:
    """Check the table of published results; the values get ``published_`` before their names.

    The file does not name the generator, which is the study's own.
    """
    key = [name for name in PUBLISHED_KEY if name != "generator"]
    check_columns(table, (*key, *_VALUES), where=where)
    repeated = table.duplicated(key)
    if repeated.any():
        first = table.loc[repeated, key].iloc[0]
        raise StudyError(
            f"A published result occurs twice: {', '.join(map(str, first))}.",
            where=where,
            remedy="Restore the file from the repository.",
        )
    for column in _VALUES:
        values = pandas.to_numeric(table[column], errors="coerce")
        if not values.between(0, 100).all():
            raise StudyError(f"The column {column} has cells that are not percentages.", where=where)
    table = table.assign(generator=table["training_data"].map(own_generator))
    return table[[*PUBLISHED_KEY, *_VALUES]].rename(columns={name: f"published_{name}" for name in _VALUES})
