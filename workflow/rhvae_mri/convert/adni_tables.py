"""From the tables of an ADNI download, of either generation, to exactly those that Clinica needs for T1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas

from rhvae_mri.convert.adni_merge import (
    ADNI4,
    NOT_READ,
    Visits,
    diagnosis_codes,
    original_phase,
    read_alleles,
    read_diagnoses,
    read_visits,
    roster_numbers,
)
from rhvae_mri.convert.adni_scans import list_scans
from rhvae_mri.convert.csv_tables import read_integers, read_numbers, visit_code, visit_month
from rhvae_mri.convert.study_tables import ADNI_TABLES, MAYO, NOT_THERE, FoundTable, Ledger, TablesFolder

_DIAGNOSIS_CODES = {"CN": "1", "MCI": "2", "Dementia": "3"}
_RATINGS = ("0", "0.5", "1", "2", "3")

#: What the Mayo Clinic calls a series that was not judged, and from which grade on it is unusable.
_NOT_JUDGED, _REJECTED = "-1", 4


class AdniTables(NamedTuple):
    """The tables as the conversion needs them: visits, all listed scans, others by Clinica's names."""

    visits: Visits
    scans: pandas.DataFrame
    clinical: dict[str, pandas.DataFrame]

    def rejected(self) -> set[str]:
        """Return the numbers of the images that the Mayo Clinic calls unusable and did not select."""
        mayo = self.clinical[MAYO]
        is_poor = mayo["series_quality"].astype(float) >= _REJECTED
        rows = mayo[(mayo["series_type"] == "T1") & is_poor & (mayo["series_selected"] != "1")]
        return set(rows["loni_image"].str[1:])

    def staged(self, scans: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
        """Return all tables that Clinica reads, with these rows of the list of scans."""
        return {"ADNIMERGE": self.visits.merge, "MPRAGEMETA": scans, **self.clinical}


def read_adni_tables(folder: Path, images: Path, ledger: Ledger) -> AdniTables:
    """Read the tables of an ADNI download, and lists of collections beside its images."""
    tables = TablesFolder(folder, ledger)
    visits = read_visits(tables)
    scans = list_scans(tables, images)
    clinical = {}
    for name, kind in _KINDS.items():
        found = tables.take(ADNI_TABLES[kind.source])
        if found is None:
            ledger.note(name.removesuffix("_PDXCONV_ADNIALL"), kind.without, source=NOT_THERE)
            clinical[name] = pandas.DataFrame(columns=kind.columns.split(), dtype=str)
        else:
            clinical[name] = kind.read(found, visits.merge)
            found.made(name, len(clinical[name]), kind.how)
    # Clinica 0.12 relies on a visit that is there twice, as in older tables
    name, key = "DXSUM_PDXCONV_ADNIALL", ["PTID", "VISCODE2"]
    rows = clinical[name]
    clinical[name] = pandas.concat([rows.drop_duplicates(key), rows[:1]]).sort_values(key)
    return AdniTables(visits, scans, clinical)


def _diagnoses(found: FoundTable, merge: pandas.DataFrame) -> pandas.DataFrame:
    """DXSUM, of which Clinica reads the diagnosis at the screening of ADNI 3."""
    subjects = merge.drop_duplicates("RID", keep="last").set_index("RID")["PTID"]
    diagnoses, codes = read_diagnoses(found.content), diagnosis_codes(found.content)
    found.ledger.understood(found.name, "DIAGNOSIS", codes, diagnoses, "diagnoses")
    return pandas.DataFrame(
        {
            "PTID": roster_numbers(found.content).map(subjects),
            "VISCODE2": found["VISCODE2"].map(visit_code),
            "DIAGNOSIS": diagnoses.map(_DIAGNOSIS_CODES),
        }
    ).dropna()


def _genotypes(found: FoundTable, merge: pandas.DataFrame) -> pandas.DataFrame:
    """APOERES in the order of ADNIMERGE: Clinica 0.12 takes both for one table, row by row."""
    alleles = read_alleles(found.content, found.ledger).drop_duplicates("RID")
    return merge[["RID"]].merge(alleles, on="RID", how="left").fillna("")


def _ratings(found: FoundTable, _: pandas.DataFrame) -> pandas.DataFrame:
    """CDR: one row for each visit; a first visit without a rating has the screening's."""
    people, codes = _participants(found), found["VISCODE2"].map(visit_code)
    ratings = read_numbers(found["CDGLOBAL"], 0, 3)
    ratings = found.understood("CDGLOBAL", ratings.where(ratings.isin(_RATINGS), ""))
    nobody = people == ""
    usual = (codes == "sc") | codes.map(visit_month).notna()
    new = people.map(lambda number: original_phase(int(number or 0)) == ADNI4)
    found.left_out("RID", found["RID"][nobody], "a row of no participant")
    found.left_out("VISCODE2", codes[~usual & ~nobody], "no visit with a month of its own")
    found.left_out("RID", people[new], NOT_READ)
    rows = pandas.DataFrame({"RID": people, "VISCODE2": codes, "CDGLOBAL": ratings})
    rows = rows[usual & ~nobody & ~new & (ratings != "")]
    screening = rows[rows["VISCODE2"] == "sc"].assign(VISCODE2="bl")
    return pandas.concat([rows[rows["VISCODE2"] != "sc"], screening]).drop_duplicates(["RID", "VISCODE2"])


def _quality(found: FoundTable, _: pandas.DataFrame) -> pandas.DataFrame:
    """MRIQUALITY: ADNI 1's own check of its scans, by series."""
    series = found.understood("LONIUID", read_integers(found["LONIUID"]))
    people, passed = _participants(found), read_numbers(found["PASS"], -9, 9)
    rows = pandas.DataFrame({"RID": people, "LONIUID": "S" + series, "PASS": passed})
    return rows[(people != "") & (series != "") & (passed != "")]


def _mayo(found: FoundTable, _: pandas.DataFrame) -> pandas.DataFrame:
    """The Mayo Clinic's check of the scans at 3 T, by image."""
    quality = read_numbers(found["series_quality"], 1, 9)
    rows = pandas.DataFrame(
        {
            "RID": _participants(found),
            "loni_image": "I" + read_integers(found["loni_image"]),
            "series_type": found["series_type"].str.upper(),
            "series_selected": read_numbers(found["series_selected"], 0, 1).replace("", "0"),
            "series_quality": quality.where(quality != "", _NOT_JUDGED),
        }
    )
    # Clinica 0.12 stops where several series of one visit are selected and all have a poor grade
    selected = (rows["series_selected"] == "1") & (rows["series_quality"].astype(float) >= _REJECTED)
    grades, usable = rows["series_quality"][selected], str(_REJECTED - 1)
    found.ledger.changed(found.name, "series_quality", grades, usable, "selected, so it is usable")
    rows.loc[selected, "series_quality"] = usable
    return rows[(rows["RID"] != "") & (rows["loni_image"] != "I")]


def _participants(found: FoundTable) -> pandas.Series:
    return found.understood("RID", roster_numbers(found.content), "numbers of participants")


class _Kind(NamedTuple):
    """How one of Clinica's tables is made, and of which; what follows without it."""

    source: str
    columns: str
    read: Callable[[FoundTable, pandas.DataFrame], pandas.DataFrame]
    how: str
    without: str


_KINDS = {
    "DXSUM_PDXCONV_ADNIALL": _Kind(
        *("DXSUM", "PTID VISCODE2 DIAGNOSIS", _diagnoses, "with a diagnosis"),
        "participants.tsv has no diagnosis of the screening",
    ),
    "APOERES": _Kind(
        *("APOERES", "RID APGEN1 APGEN2", _genotypes, "one row for each row of ADNIMERGE"),
        "the genotype is not known",
    ),
    "CDR": _Kind(
        *("CDR", "RID VISCODE2 CDGLOBAL", _ratings, "one row for each visit"),
        "the clinical dementia rating is not known",
    ),
    "MRIQUALITY": _Kind(
        *("MRIPROT", "RID LONIUID PASS", _quality, "rows with a series and a verdict"),
        "scans that ADNI 1's quality check rejected are not told from good ones",
    ),
    MAYO: _Kind(
        *(MAYO, "RID loni_image series_type series_selected series_quality", _mayo, "rows with an image"),
        "of several scans at 3 T the first is taken, not the one that was judged best",
    ),
}
