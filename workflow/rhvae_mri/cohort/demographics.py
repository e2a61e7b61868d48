"""The table of demographics: who is in each set of the study."""

from __future__ import annotations

from collections.abc import Mapping

import pandas

#: Columns of the table: numbers of participants (of women, with a score), ages in years, scores, and number
#: of imaging sites.
COLUMNS = (
    "set",
    "diagnosis",
    "n",
    "age_mean",
    "age_sd",
    "age_min",
    "age_max",
    "n_female",
    "female_percent",
    "n_mmse",
    "mmse_mean",
    "mmse_sd",
    "mmse_min",
    "mmse_max",
    "n_cdr",
    "cdr_mean",
    "cdr_min",
    "cdr_max",
    "n_sites",
)


def describe_sets(sets: Mapping[str, pandas.DataFrame]) -> pandas.DataFrame:
    """Describe the participants of each set, by diagnosis."""
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
                    "age_min": group["age"].min(),
                    "age_max": group["age"].max(),
                    "n_female": int((sexes == "F").sum()),
                    "female_percent": 100 * (sexes == "F").mean(),
                    "n_mmse": int(group["mmse"].notna().sum()),
                    "mmse_mean": group["mmse"].mean(),
                    "mmse_sd": group["mmse"].std(),
                    "mmse_min": group["mmse"].min(),
                    "mmse_max": group["mmse"].max(),
                    "n_cdr": int(group["cdr"].notna().sum()),
                    "cdr_mean": group["cdr"].mean(),
                    "cdr_min": group["cdr"].min(),
                    "cdr_max": group["cdr"].max(),
                    "n_sites": group["site"].nunique() or None,
                }
            )
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"n_sites": "Int64"}).round(2)
