"""The table of demographics: who is in each set of the study."""

from __future__ import annotations

from collections.abc import Mapping

import pandas

#: Columns of the table: number of participants, ages in years, scores, and number of imaging sites.
COLUMNS = (
    "set",
    "diagnosis",
    "n",
    "age_mean",
    "age_sd",
    "female_percent",
    "mmse_mean",
    "mmse_sd",
    "cdr_mean",
    "n_sites",
)


def describe_sets(sets: Mapping[str, pandas.DataFrame]) -> pandas.DataFrame:
    """Describe the participants of each set, by diagnosis.

    Parameters
    ----------
    sets : mapping of str to pandas.DataFrame
        Name of the set to its images, one for each participant, with the columns diagnosis, age, sex, site,
        mmse and cdr.

    Returns
    -------
    pandas.DataFrame
        One row for each set and diagnosis, in the order of the sets. Standard deviations are those of a
        sample (n - 1). Participants without a value are left out of its mean; a value that nobody has is
        missing.
    """
    rows = []
    for name, images in sets.items():
        for diagnosis, group in images.groupby("diagnosis"):
            sexes = group["sex"].dropna()
            rows.append(
                {
                    "set": name,
                    "diagnosis": diagnosis,
                    "n": len(group),
                    "age_mean": group["age"].mean(),
                    "age_sd": group["age"].std(),
                    "female_percent": 100 * (sexes == "F").mean(),
                    "mmse_mean": group["mmse"].mean(),
                    "mmse_sd": group["mmse"].std(),
                    "cdr_mean": group["cdr"].mean(),
                    "n_sites": group["site"].nunique() or None,
                }
            )
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"n_sites": "Int64"}).round(2)
