"""From the tables of an ADNI download, of either generation, to exactly those that Clinica needs for T1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas

from rhvae_mri.convert.adni_merge import Visits, read_visits
from rhvae_mri.convert.adni_scans import list_scans
from rhvae_mri.convert.adni_values import (
    NOT_READ,
    diagnosis_codes,
    original_phase,
    read_alleles,
    read_diagnoses,
    roster_numbers,
)
from rhvae_mri.convert.csv_values import (
    read_integers,
    read_numbers,
    visit_code,
    visit_month,
)
from rhvae_mri.convert.ledger import (
    Ledger,
    understood,
)
from rhvae_mri.convert.study_tables import ADNI_TABLES, FoundTable, TablesFolder

_DIAGNOSIS_CODES = {"CN": "1", "MCI": "2", "Dementia": "3"}
_RATINGS = ("0", "0.5", "1", "2", "3")
_MAYO_COLUMNS = ("RID", "loni_image", "series_type", "series_selected", "series_quality")

#: What the Mayo Clinic calls a series that was not judged, and from which grade on it is unusable.
_NOT_JUDGED, _REJECTED = "-1", 4


@dataclass(frozen=True)
class AdniTables:
    """The tables of an ADNI download as the conversion needs them.

    Attributes
    ----------
    visits : Visits
        ADNIMERGE, and the visits and participants that it lacks.
    scans : pandas.DataFrame
        Every image that a table lists, see `rhvae_mri.convert.adni_scans.list_scans`.
    clinical : dict
        Clinica's name to table, without ADNIMERGE and the list of scans.
    """

    visits: Visits
    scans: pandas.DataFrame
    clinical: dict[str, pandas.DataFrame]

    def rejected(self) -> set[str]:
        """Return the numbers of the images that the Mayo Clinic calls unusable and did not select."""
        mayo = self.clinical["MAYOADIRL_MRI_IMAGEQC_05_07_15"]
        quality, selected = (
            pandas.to_numeric(mayo[name], errors="coerce") for name in ("series_quality", "series_selected")
        )
        rows = mayo[(mayo["series_type"] == "T1") & (quality >= _REJECTED) & (selected != 1)]
        return set(rows["loni_image"].str[1:])

    def staged(self, scans: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
        """Return all tables that Clinica reads, with these rows of the list of scans."""
        return {"ADNIMERGE": self.visits.merge, "MPRAGEMETA": scans, **self.clinical}


def read_adni_tables(folder: Path, images: Path, ledger: Ledger) -> AdniTables:
    """Read the tables of an ADNI download.

    Parameters
    ----------
    folder : pathlib.Path
        The tables, in the state in which LONI gives them out.
    images : pathlib.Path
        The images: the list of an image collection is often stored beside them.
    ledger : Ledger
        Where every change is recorded, and what stands against a conversion.
    """
    tables = TablesFolder(folder, ledger)
    visits = read_visits(tables)
    scans = list_scans(tables, images)
    clinical = {
        "DXSUM_PDXCONV_ADNIALL": _diagnoses(tables, visits.merge),
        "APOERES": _genotypes(tables, visits.merge),
        "CDR": _ratings(tables),
        "MRIQUALITY": _quality(tables),
        "MAYOADIRL_MRI_IMAGEQC_05_07_15": _mayo(tables),
    }
    return AdniTables(visits, scans, clinical)


def _diagnoses(tables: TablesFolder, merge: pandas.DataFrame) -> pandas.DataFrame:
    """DXSUM, of which Clinica reads the diagnosis at the screening of ADNI 3."""
    columns = ["PTID", "VISCODE2", "DIAGNOSIS"]
    found = tables.take(ADNI_TABLES["DXSUM"], ("PHASE", "PTID", "RID"))
    rows = pandas.DataFrame(columns=columns, dtype=str)
    if found:
        subjects = dict(zip(merge["RID"], merge["PTID"], strict=True))
        ledger, name = tables.ledger, found.path.name
        diagnoses = read_diagnoses(found.content)
        understood(ledger, name, "DIAGNOSIS", diagnosis_codes(found.content), diagnoses, needed="diagnoses")
        rows = pandas.DataFrame(
            {
                "PTID": roster_numbers(found.content).map(subjects),
                "VISCODE2": found.content["VISCODE2"].map(visit_code),
                "DIAGNOSIS": diagnoses.map(_DIAGNOSIS_CODES),
            }
        ).dropna()
        ledger.made("DXSUM_PDXCONV_ADNIALL", [found.path], len(found.content), len(rows), "with a diagnosis")
    else:
        _note_absence(tables.ledger, "DXSUM", "participants.tsv has no diagnosis of the screening")
    # Clinica 0.12 relies on a visit that is there twice, as in older tables
    return pandas.concat([rows.drop_duplicates(columns[:2]), rows[:1]]).sort_values(columns[:2])


def _genotypes(tables: TablesFolder, merge: pandas.DataFrame) -> pandas.DataFrame:
    """APOERES in the order of ADNIMERGE: Clinica 0.12 takes both for one table, row by row."""
    found = tables.take(ADNI_TABLES["APOERES"], ("APGEN2",))
    if found is None:
        _note_absence(tables.ledger, "APOERES", "the genotype is not known")
        return pandas.DataFrame(columns=["RID", "APGEN1", "APGEN2"])
    alleles = read_alleles(found.content, tables.ledger).drop_duplicates("RID")
    rows = merge[["RID"]].merge(alleles, on="RID", how="left").fillna("")
    tables.ledger.made(
        "APOERES", [found.path], len(found.content), len(rows), "one row for each row of ADNIMERGE"
    )
    return rows


def _ratings(tables: TablesFolder) -> pandas.DataFrame:
    """CDR: one row for each visit; a first visit without a rating has the screening's."""
    ledger = tables.ledger
    columns = ["RID", "VISCODE2", "CDGLOBAL"]
    found = tables.take(ADNI_TABLES["CDR"])
    if found is None:
        _note_absence(ledger, "CDR", "the clinical dementia rating is not known")
        return pandas.DataFrame(columns=columns)
    rows = pandas.DataFrame(
        {
            "RID": _participants(found, ledger),
            "VISCODE2": found.content["VISCODE2"].map(visit_code),
            "CDGLOBAL": read_numbers(found.content["CDGLOBAL"], 0, 3),
        }
    )
    rating = rows["CDGLOBAL"].where(rows["CDGLOBAL"].isin(_RATINGS), "")
    rows["CDGLOBAL"] = understood(ledger, found.path.name, "CDGLOBAL", found.content["CDGLOBAL"], rating)
    nobody = rows["RID"] == ""
    ledger.left_out(found.path.name, "RID", found.content["RID"][nobody], "a row of no participant")
    usual = (rows["VISCODE2"] == "sc") | rows["VISCODE2"].map(visit_month).notna()
    ledger.left_out(
        found.path.name, "VISCODE2", rows["VISCODE2"][~usual & ~nobody], "no visit with a month of its own"
    )
    new = rows["RID"].map(lambda number: original_phase(int(number or 0)) == "ADNI4")
    ledger.left_out(found.path.name, "RID", rows["RID"][new], NOT_READ)
    rows = rows[usual & ~nobody & ~new & (rows["CDGLOBAL"] != "")]
    screening = rows[rows["VISCODE2"] == "sc"].assign(VISCODE2="bl")
    kept = pandas.concat([rows[rows["VISCODE2"] != "sc"], screening]).drop_duplicates(columns[:2])
    ledger.made("CDR", [found.path], len(found.content), len(kept), "one row for each visit")
    return kept


def _quality(tables: TablesFolder) -> pandas.DataFrame:
    """MRIQUALITY: ADNI 1's own check of its scans, by series."""
    found = tables.take(ADNI_TABLES["MRIPROT"])
    if found is None:
        _note_absence(
            tables.ledger,
            "MRIQUALITY",
            "scans that ADNI 1's quality check rejected are not told from good ones",
        )
        return pandas.DataFrame(columns=["RID", "LONIUID", "PASS"])
    content = found.content
    series = understood(
        tables.ledger, found.path.name, "LONIUID", content["LONIUID"], read_integers(content["LONIUID"])
    )
    rows = pandas.DataFrame(
        {
            "RID": _participants(found, tables.ledger),
            "LONIUID": "S" + series,
            "PASS": read_numbers(content["PASS"], -9, 9),
        }
    )
    kept = rows[(rows["RID"] != "") & (series != "") & (rows["PASS"] != "")]
    tables.ledger.made("MRIQUALITY", [found.path], len(rows), len(kept), "rows with a series and a verdict")
    return kept


def _mayo(tables: TablesFolder) -> pandas.DataFrame:
    """The Mayo Clinic's check of the scans at 3 T, by image."""
    name = "MAYOADIRL_MRI_IMAGEQC_05_07_15"
    found = tables.take(ADNI_TABLES[name])
    if found is None:
        _note_absence(
            tables.ledger,
            name,
            "of several scans at 3 T the first is taken, not the one that was judged best",
        )
        return pandas.DataFrame(columns=list(_MAYO_COLUMNS))
    content = found.content
    quality = read_numbers(content["series_quality"], 1, 9)
    rows = pandas.DataFrame(
        {
            "RID": _participants(found, tables.ledger),
            "loni_image": "I" + read_integers(content["loni_image"]),
            "series_type": content["series_type"].str.upper(),
            "series_selected": read_numbers(content["series_selected"], 0, 1).replace("", "0"),
            "series_quality": quality.where(quality != "", _NOT_JUDGED),
        }
    )
    # Clinica 0.12 stops where several series of one visit are selected and all have a poor grade
    selected = (rows["series_selected"] == "1") & (rows["series_quality"].astype(float) >= _REJECTED)
    usable = str(_REJECTED - 1)
    grades = rows["series_quality"][selected]
    tables.ledger.changed(found.path.name, "series_quality", grades, usable, "selected, so it is usable")
    rows.loc[selected, "series_quality"] = usable
    kept = rows[(rows["RID"] != "") & (rows["loni_image"] != "I")]
    tables.ledger.made(name, [found.path], len(rows), len(kept), "rows with an image")
    return kept


def _participants(found: FoundTable, ledger: Ledger) -> pandas.Series:
    """Return the roster number of each row of a table with RID."""
    numbers = roster_numbers(found.content)
    return understood(
        ledger, found.path.name, "RID", found.content["RID"], numbers, needed="numbers of participants"
    )


def _note_absence(ledger: Ledger, table: str, consequence: str) -> None:
    ledger.rows.append({"table": table, "source": "(not there)", "reason": consequence})
