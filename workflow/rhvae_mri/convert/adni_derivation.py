"""ADNIMERGE, put together from the tables of today where a download has none.

The derived table follows ADNI's own: visits from REGISTRY and DXSUM, diagnoses from DXSUM, sex and birth
from PTDEMOG, scores from MMSE, the genotype from APOERES. Columns that T1-weighted images do not need are
empty.
"""

from __future__ import annotations

from functools import reduce

import pandas

from rhvae_mri.convert.adni_values import (
    MMSE_SCORES,
    PARTICIPANT,
    SEXES,
    count_years,
    original_phase,
    phase_name,
    read_alleles,
    read_births,
    read_diagnoses,
    roster_number,
    roster_numbers,
)
from rhvae_mri.convert.csv_values import (
    CERTAIN_DATES,
    read_dates,
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

#: Columns that Clinica 0.12 reads and whose upper and lower case it minds.
MERGE_COLUMNS = (
    *("RID", "COLPROT", "ORIGPROT", "PTID", "SITE", "VISCODE", "EXAMDATE", "DX_bl", "AGE", "PTGENDER"),
    *("PTEDUCAT", "PTETHCAT", "PTMARRY", "APOE4", "PIB", "AV45", "ABETA", "PTAU", "EXAMDATE_bl", "ADAS11_bl"),
    *("ADAS13_bl", "ADASQ4_bl", "MMSE_bl", "RAVLT_immediate_bl", "TRABSCOR_bl", "mPACCdigit_bl"),
    *("mPACCtrailsB_bl", "MOCA_bl", "DX", "MMSE"),
)

_FIRST_DIAGNOSIS = {"CN": "CN", "MCI": "LMCI", "Dementia": "AD"}


def derive_merge(
    tables: TablesFolder, demography: FoundTable | None, registry: FoundTable | None
) -> pandas.DataFrame:
    """Put ADNIMERGE together from the tables of today."""
    ledger = tables.ledger
    diagnoses = tables.take(ADNI_TABLES["DXSUM"], ("PHASE", "PTID", "RID", "VISCODE", "EXAMDATE"))
    minimental = tables.take(ADNI_TABLES["MMSE"], ("PTID", "RID", "VISDATE"))
    genotypes = tables.take(ADNI_TABLES["APOERES"], ("APGEN2",))
    absent = [
        tables.absence(ADNI_TABLES[name])
        for name, table in (("REGISTRY", registry), ("PTDEMOG", demography), ("DXSUM", diagnoses))
        if table is None
    ]
    if absent:
        ledger.problems.append(
            f"{tables.absence(ADNI_TABLES['ADNIMERGE'])}, and it cannot be derived: {'; '.join(absent)}. "
            "Download ADNIMERGE, or all the others that are named"
        )
    if not (registry and demography and diagnoses):
        return pandas.DataFrame(columns=list(MERGE_COLUMNS), dtype=str)
    people = read_people(demography, ledger)
    known = {
        roster_number(subject): subject
        for subject in registry.content["PTID"]
        if PARTICIPANT.fullmatch(subject)
    }
    visits = reduce(
        lambda one, other: one.combine_first(other),
        [
            _dated(registry, known, ledger, EXAMDATE="EXAMDATE"),
            _dated(diagnoses, known, ledger, EXAMDATE="EXAMDATE", DX=read_diagnoses(diagnoses.content)),
            *([_dated(minimental, known, ledger, MMSE="MMSCORE", EXAMDATE="VISDATE")] if minimental else []),
        ],
    )
    for column in ("EXAMDATE", "DX", "MMSE", "PHASE"):
        visits[column] = visits[column].fillna("") if column in visits else ""
    table = _baselines(visits).reset_index()
    not_held = (table["EXAMDATE"] == "") & (table["DX"] == "") & (table["MMSE"] == "")
    ledger.left_out(
        "ADNIMERGE", "VISCODE2", table["VISCODE"][not_held], "no date, diagnosis or score: not held"
    )
    table = table[~not_held].join(people, on="PTID")
    number = table["PTID"].map(roster_number)
    first = table[table["VISCODE"] == "bl"].set_index("PTID")
    earliest = table[table["EXAMDATE"] != ""].groupby("PTID")["EXAMDATE"].min()
    table["COLPROT"] = table["PHASE"].map(phase_name).where(table["PHASE"] != "", number.map(original_phase))
    table["EXAMDATE_bl"] = table["PTID"].map(first["EXAMDATE"].replace("", None).combine_first(earliest))
    table["DX_bl"] = table["PTID"].map(first["DX"]).map(_FIRST_DIAGNOSIS)
    table["MMSE_bl"] = table["PTID"].map(first["MMSE"])
    table["AGE"] = count_years(table["EXAMDATE_bl"], table["BIRTH"])
    if genotypes:
        alleles = genotypes.content.assign(RID=read_integers(genotypes.content["RID"]))
        counts = {
            rid: sum(allele == "4" for allele in pair)
            for rid, *pair in read_alleles(alleles, ledger).itertuples(index=False)
            if all(pair)
        }
        table["APOE4"] = number.astype(str).map(counts).astype("Int64")
    sources = [each for each in (registry, diagnoses, demography, minimental, genotypes) if each]
    ledger.made(
        "ADNIMERGE",
        [each.path for each in sources],
        len(registry.content),
        len(table),
        "derived: visits from REGISTRY and DXSUM, the diagnosis from DXSUM",
    )
    table = table.reindex(columns=list(MERGE_COLUMNS)).astype(object)
    return table.where(table.notna(), "").astype(str)


def read_people(found: FoundTable, ledger: Ledger) -> pandas.DataFrame:
    """Return sex, birth and schooling of each participant, from the first row of PTDEMOG that says so."""
    table = found.content
    given = table["PTDOB"] if "PTDOB" in table else table["PTDOBYY"]
    birth = read_births(given)
    if "PTDOB" in table and "PTDOBYY" in table:
        year = read_births(table["PTDOBYY"])
        instead = given[(given != "") & (birth == "") & (year != "")].map(lambda _: "(not shown)")
        reason = "not understood: the middle of the year of PTDOBYY was taken"
        ledger.changed(found.path.name, "PTDOB", instead, "(not shown)", reason)
        birth = birth.where(birth != "", year)
    understood(ledger, found.path.name, "PTDOB", given, birth, needed="dates of birth", private=True)
    sex = table["PTGENDER"].map(lambda text: SEXES.get(text.lower(), ""))
    understood(ledger, found.path.name, "PTGENDER", table["PTGENDER"], sex, needed="sexes")
    rows = pandas.DataFrame({"PTID": table["PTID"], "PTGENDER": sex, "BIRTH": birth})
    rows["PTEDUCAT"] = read_numbers(table["PTEDUCAT"], 0, 40) if "PTEDUCAT" in table else ""
    rows = rows.replace("", None).groupby("PTID")
    for column in ("PTGENDER", "BIRTH"):
        several = rows[column].nunique()
        for subject in several[several > 1].index:
            ledger.rows.append(
                {
                    "table": found.path.name,
                    "column": column,
                    "value": f"different values for {subject}",
                    "reason": "the first one was taken",
                }
            )
    return rows.first().fillna("")


def _dated(
    found: FoundTable, known: dict[int, str], ledger: Ledger, **columns: str | pandas.Series
) -> pandas.DataFrame:
    """Return one row for each participant and visit, the first that says something; ``sc`` stays as it is."""
    content = found.content
    rows = pandas.DataFrame(
        {
            "PTID": roster_numbers(content).map(lambda number: known.get(int(number or -1), "")),
            "VISCODE": _codes(content),
            "PHASE": content.get("PHASE", ""),
        }
    )
    for name, column in columns.items():
        before = content.get(column, "") if isinstance(column, str) else column
        if isinstance(before, str):
            continue
        if name == "EXAMDATE":
            rows[name] = understood(
                ledger, found.path.name, str(column), before, read_dates(before), needed=CERTAIN_DATES
            )
        elif name == "MMSE":
            rows[name] = understood(
                ledger, found.path.name, str(column), before, read_numbers(before, *MMSE_SCORES)
            )
        else:
            rows[name] = before
    usual = (rows["VISCODE"] == "sc") | rows["VISCODE"].map(visit_month).notna()
    strange = ~usual & (rows["PTID"] != "")
    ledger.left_out(found.path.name, "VISCODE2", rows["VISCODE"][strange], "no visit with a month of its own")
    nobody = rows["PTID"] == ""
    ledger.left_out(
        found.path.name,
        "PTID",
        content.get("PTID", content.get("RID"))[nobody],
        "not a participant of REGISTRY",
    )
    kept = rows[usual & ~nobody].replace("", None)
    return kept.groupby(["PTID", "VISCODE"]).first()


def _codes(content: pandas.DataFrame) -> pandas.Series:
    """Return the codes of visits over all phases; in ADNI 1 those of the phase are the same."""
    codes = content["VISCODE2"].map(visit_code)
    if "VISCODE" in content:
        own = content["VISCODE"].map(visit_code)
        codes = codes.where((codes != "") | own.map(visit_month).isna(), own)
    return codes


def _baselines(visits: pandas.DataFrame) -> pandas.DataFrame:
    """Fill what a first visit lacks from the screening, which is a few weeks earlier, and drop the latter.

    Who was screened only has no first visit, as in ADNIMERGE.
    """
    codes = visits.index.get_level_values("VISCODE")
    screening = visits[codes == "sc"].rename(index={"sc": "bl"}, level="VISCODE")
    rest = visits[codes != "sc"].replace("", None)
    enrolled = screening.index.get_level_values("PTID").isin(rest.index.get_level_values("PTID"))
    return rest.combine_first(screening[enrolled].replace("", None)).fillna("")
