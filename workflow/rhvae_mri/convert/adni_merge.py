"""The visits of ADNI as Clinica reads them: ADNIMERGE, mended where the download has it, else derived.

The derived table follows ADNI's own: visits from REGISTRY and DXSUM, diagnoses from DXSUM, sex and birth
from PTDEMOG, scores from MMSE, the genotype from APOERES. Columns that T1-weighted images do not need are
empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pandas

from rhvae_mri.convert.adni_values import (
    ADNI4,
    ADNI_PHASES,
    AGES,
    IDENTIFIER_LENGTH,
    MMSE_SCORES,
    NOT_READ,
    PARTICIPANT,
    count_years,
    original_phase,
    phase_name,
    read_alleles,
    read_births,
    read_diagnoses,
    read_diagnosis,
    read_sexes,
    roster_number,
    roster_numbers,
)
from rhvae_mri.convert.csv_tables import (
    CERTAIN_DATES,
    read_dates,
    read_integers,
    read_numbers,
    visit_code,
    visit_month,
)
from rhvae_mri.convert.ledger import HIDDEN, Ledger
from rhvae_mri.convert.study_tables import ADNI_TABLES, MERGE_COLUMNS, FoundTable, TablesFolder

_FIRST_DIAGNOSIS = {"CN": "CN", "MCI": "LMCI", "Dementia": "AD"}
_DAYS_PER_MONTH = 30.4375
_SPELLING = "written as Clinica reads it"
_ESTIMATED = "no date in the tables: estimated from the visit's code and the first visit"
_NO_MONTH = "no visit with a month of its own"


@dataclass(frozen=True)
class Visits:
    """ADNIMERGE, PTID and EXAMDATE of visits of ADNI4, and why participants are not in ADNIMERGE."""

    merge: pandas.DataFrame
    others: pandas.DataFrame
    left_out: dict[str, str]


def read_visits(tables: TablesFolder) -> Visits:
    """Read or derive ADNIMERGE; what stands against it goes to the problems of the tables' ledger."""
    found = tables.take(ADNI_TABLES["ADNIMERGE"])
    if found and found.content.empty:
        found.made("ADNIMERGE", 0, "not used: it has no rows")
        found = None
    demography = tables.take(ADNI_TABLES["PTDEMOG"], needed=found is None)
    registry = tables.take(ADNI_TABLES["REGISTRY"], needed=found is None)
    if found:
        table, ids = _mend(found, tables), [found["PTID"]]
        if demography:
            table = _fill_from_demography(table, demography, found.name)
    else:
        table, ids = _derive(tables, demography, registry), []
    ids += [each["PTID"] for each in (demography, registry) if each]
    return _part(table, ids, registry, tables.ledger, derived=found is None)


def _mend(found: FoundTable, tables: TablesFolder) -> pandas.DataFrame:
    """Bring the values of an ADNIMERGE into the form that Clinica reads."""
    ledger, name = tables.ledger, found.name
    lacking = [column for column in MERGE_COLUMNS if column not in found.content]
    before = found.content.assign(**dict.fromkeys(lacking, ""))
    table = before.copy()

    def read(column: str, values: pandas.Series, needed: str = "") -> None:
        table[column] = ledger.understood(name, column, before[column], values, needed)

    table["VISCODE"] = before["VISCODE"].map(visit_code)
    ledger.rewritten(name, "VISCODE", before["VISCODE"], table["VISCODE"], _SPELLING)
    for column in ("EXAMDATE", "EXAMDATE_bl"):
        read(column, read_dates(before[column]), CERTAIN_DATES * (column == "EXAMDATE"))
        other = (table[column] != "") & (before[column] != table[column])
        if other.any():
            # one row of the record for each form
            form = before[column][other].str.replace(r"\d", "9", regex=True)
            ledger.changed(name, column, form, "9999-99-99", "written as an ISO date")
    read("AGE", read_numbers(before["AGE"], *AGES), "ages in years")
    for column in ("MMSE", "MMSE_bl"):
        read(column, read_numbers(before[column], *MMSE_SCORES))
    for column, values, needed in (
        ("PTGENDER", read_sexes(before["PTGENDER"]), "sexes"),
        ("DX", before["DX"].map(read_diagnosis), "diagnoses"),
    ):
        read(column, values, needed)
        ledger.rewritten(name, column, before[column], values, _SPELLING)
    if (table["DX"] == "").all():
        table["DX"] = _diagnoses_of(table, tables, name)
    found.made("ADNIMERGE", len(table), "the download's own")
    return table


def _fill_from_demography(table: pandas.DataFrame, demography: FoundTable, name: str) -> pandas.DataFrame:
    """Take the ages and sexes that an ADNIMERGE lacks from PTDEMOG."""
    if (table[["AGE", "PTGENDER"]] != "").all(axis=None):
        return table
    people = _read_people(demography, Ledger())
    first = table[table["VISCODE"] == "bl"].drop_duplicates("PTID").set_index("PTID")["EXAMDATE"]
    begin = table["EXAMDATE_bl"].where(table["EXAMDATE_bl"] != "", table["PTID"].map(first))
    ages = count_years(begin, table["PTID"].map(people["BIRTH"]))
    given = {
        "AGE": ages.map("{:g}".format, na_action="ignore"),
        "PTGENDER": table["PTID"].map(people["PTGENDER"]),
    }
    filled = table.copy()
    for column, values in given.items():
        lacking = (table[column] == "") & (values.fillna("") != "")
        filled[column] = table[column].where(~lacking, values)
        shown = values[lacking] if column == "PTGENDER" else HIDDEN
        reason = f"taken from {demography.name}"
        demography.ledger.changed(name, column, table[column][lacking], shown, reason)
    return filled


def _diagnoses_of(table: pandas.DataFrame, tables: TablesFolder, name: str) -> pandas.Series:
    """Take the diagnoses of an ADNIMERGE without any from DXSUM."""
    found = tables.take(ADNI_TABLES["DXSUM"])
    if found is None:
        tables.ledger.problems.append(
            f"the table {name} has no diagnosis (DX), and {tables.absence(ADNI_TABLES['DXSUM'])}"
        )
        return table["DX"]
    keys = zip(roster_numbers(found.content), found["VISCODE2"].map(visit_code), strict=True)
    made = dict(zip(keys, read_diagnoses(found.content), strict=True))
    diagnoses = [
        made.get((number, code)) or (made.get((number, "sc"), "") if code == "bl" else "")
        for number, code in zip(roster_numbers(table), table["VISCODE"], strict=True)
    ]
    found.made(name, len(table), "its diagnoses come from DXSUM")
    return pandas.Series(diagnoses, index=table.index)


def _derive(
    tables: TablesFolder, demography: FoundTable | None, registry: FoundTable | None
) -> pandas.DataFrame:
    """Put ADNIMERGE together from the tables of today."""
    ledger = tables.ledger
    diagnoses = tables.take(ADNI_TABLES["DXSUM"])
    minimental = tables.take(ADNI_TABLES["MMSE"])
    genotypes = tables.take(ADNI_TABLES["APOERES"])
    if not (registry and demography and diagnoses):
        absent = [
            tables.absence(ADNI_TABLES[name])
            for name, table in (("REGISTRY", registry), ("PTDEMOG", demography), ("DXSUM", diagnoses))
            if table is None
        ]
        ledger.problems.append(
            f"{tables.absence(ADNI_TABLES['ADNIMERGE'])}, and it cannot be derived: {'; '.join(absent)}. "
            "Download ADNIMERGE, or all the others that are named"
        )
        return pandas.DataFrame(columns=MERGE_COLUMNS, dtype=str)
    people = _read_people(demography, ledger)
    known = {
        roster_number(subject): subject for subject in registry["PTID"] if PARTICIPANT.fullmatch(subject)
    }
    blocks = [
        _dated(registry, known, EXAMDATE="EXAMDATE"),
        _dated(diagnoses, known, EXAMDATE="EXAMDATE", DX=read_diagnoses(diagnoses.content)),
    ]
    if minimental:
        blocks.append(_dated(minimental, known, MMSE="MMSCORE", EXAMDATE="VISDATE"))
    visits = reduce(lambda one, other: one.combine_first(other), blocks)
    for column in ("EXAMDATE", "DX", "MMSE", "PHASE"):
        visits[column] = visits[column].fillna("") if column in visits else ""
    table = _baselines(visits).reset_index()
    not_held = (table[["EXAMDATE", "DX", "MMSE"]] == "").all(axis=1)
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
        alleles = genotypes.content.assign(RID=read_integers(genotypes["RID"]))
        counts = {
            rid: sum(allele == "4" for allele in pair)
            for rid, *pair in read_alleles(alleles, ledger).itertuples(index=False)
            if all(pair)
        }
        table["APOE4"] = number.astype(str).map(counts).astype("Int64")
    ledger.made(
        "ADNIMERGE",
        [each.path for each in (registry, diagnoses, demography, minimental, genotypes) if each],
        len(registry.content),
        len(table),
        "derived: visits from REGISTRY and DXSUM, the diagnosis from DXSUM",
    )
    table = table.reindex(columns=MERGE_COLUMNS).astype(object)
    return table.where(table.notna(), "").astype(str)


def _read_people(found: FoundTable, ledger: Ledger) -> pandas.DataFrame:
    """Return sex, birth and schooling of each participant, from the first row of PTDEMOG that says so."""
    table = found.content
    given = table["PTDOB"] if "PTDOB" in table else table["PTDOBYY"]
    birth = read_births(given)
    if "PTDOB" in table and "PTDOBYY" in table:
        year = read_births(table["PTDOBYY"])
        instead = given[(given != "") & (birth == "") & (year != "")].map(lambda _: HIDDEN)
        reason = "not understood: the middle of the year of PTDOBYY was taken"
        ledger.changed(found.name, "PTDOB", instead, HIDDEN, reason)
        birth = birth.where(birth != "", year)
    ledger.understood(found.name, "PTDOB", given, birth, "dates of birth", private=True)
    sex = read_sexes(table["PTGENDER"])
    ledger.understood(found.name, "PTGENDER", table["PTGENDER"], sex, "sexes")
    rows = pandas.DataFrame({"PTID": table["PTID"], "PTGENDER": sex, "BIRTH": birth})
    rows["PTEDUCAT"] = read_numbers(table["PTEDUCAT"], 0, 40) if "PTEDUCAT" in table else ""
    by_person = rows.replace("", None).groupby("PTID")
    for column in ("PTGENDER", "BIRTH"):
        several = by_person[column].nunique()
        for subject in several[several > 1].index:
            value = f"different values for {subject}"
            ledger.note(found.name, "the first one was taken", column=column, value=value)
    return by_person.first().fillna("")


def _dated(found: FoundTable, known: dict[int, str], **columns: str | pandas.Series) -> pandas.DataFrame:
    """Return one row for each participant and visit, the first that says something; ``sc`` stays as it is."""
    content, ledger = found.content, found.ledger
    codes = content["VISCODE2"].map(visit_code)
    if "VISCODE" in content:
        # in ADNI 1 a phase's own codes are those over all phases
        own = content["VISCODE"].map(visit_code)
        codes = codes.where((codes != "") | own.map(visit_month).isna(), own)
    people = roster_numbers(content).map(lambda number: known.get(int(number or -1), ""))
    rows = pandas.DataFrame({"PTID": people, "VISCODE": codes, "PHASE": content.get("PHASE", "")})
    for name, column in columns.items():
        if not isinstance(column, str):
            rows[name] = column
        elif column not in content:
            continue
        elif name == "EXAMDATE":
            rows[name] = found.understood(column, read_dates(content[column]), CERTAIN_DATES)
        else:
            rows[name] = found.understood(column, read_numbers(content[column], *MMSE_SCORES))
    usual = (codes == "sc") | codes.map(visit_month).notna()
    nobody = people == ""
    ledger.left_out(found.name, "VISCODE2", codes[~usual & ~nobody], _NO_MONTH)
    given = content.get("PTID", content.get("RID"))
    ledger.left_out(found.name, "PTID", given[nobody], "not a participant of REGISTRY")
    return rows[usual & ~nobody].replace("", None).groupby(["PTID", "VISCODE"]).first()


def _baselines(visits: pandas.DataFrame) -> pandas.DataFrame:
    """Fill what a first visit lacks from the screening, which is a few weeks earlier, and drop the latter."""
    codes = visits.index.get_level_values("VISCODE")
    screening = visits[codes == "sc"].rename(index={"sc": "bl"}, level="VISCODE").replace("", None)
    rest = visits[codes != "sc"].replace("", None)
    # who was screened only has no first visit, as in ADNIMERGE
    enrolled = screening.index.get_level_values("PTID").isin(rest.index.get_level_values("PTID"))
    return rest.combine_first(screening[enrolled]).fillna("")


def _part(
    table: pandas.DataFrame,
    ids: list[pandas.Series],
    registry: FoundTable | None,
    ledger: Ledger,
    *,
    derived: bool,
) -> Visits:
    """Part the visits that Clinica can read from those of ADNI4 and from rows that would stop it."""
    table = table[table["PTID"] != ""]
    valid = table["PTID"].str.fullmatch(PARTICIPANT).astype(bool)
    ledger.left_out("ADNIMERGE", "PTID", table["PTID"][~valid], "no participant's identifier")
    table = table[valid].copy()
    number = table["PTID"].map(roster_number)
    site = read_integers(table["SITE"])
    site = site.where(site != "", table["PTID"].str[:3].str.lstrip("0"))
    reason = "the site is in the participant's identifier"
    table["SITE"] = ledger.rewritten("ADNIMERGE", "SITE", table["SITE"], site, reason)
    table["RID"] = number.astype(str)
    for column in ("ORIGPROT", "COLPROT"):
        phase = table[column].map(phase_name)
        phase = phase.where(phase.isin([*ADNI_PHASES, ADNI4]), number.map(original_phase))
        table[column] = ledger.rewritten("ADNIMERGE", column, table[column], phase, _SPELLING)
    new = (table["ORIGPROT"] == ADNI4) | (table["PTID"].str.len() > IDENTIFIER_LENGTH)
    late = table["COLPROT"] == ADNI4
    ledger.left_out("ADNIMERGE", "COLPROT", table["COLPROT"][new | late], NOT_READ)
    others = [table.loc[late, ["PTID", "EXAMDATE"]]]
    if registry and "PHASE" in registry.content:
        rows = registry.content[["PTID"]].assign(EXAMDATE=read_dates(registry["EXAMDATE"]))
        others.append(rows[registry["PHASE"].map(phase_name) == ADNI4])
    coded = table["VISCODE"].map(visit_month).notna()
    ledger.left_out("ADNIMERGE", "VISCODE", table["VISCODE"][~coded], _NO_MONTH)
    merge = table[~(new | late) & coded]
    repeated = merge.duplicated(["PTID", "VISCODE"])
    ledger.left_out("ADNIMERGE", "VISCODE", merge["VISCODE"][repeated], "a second row of the visit")
    merge = _fill_dates(merge[~repeated], ledger)
    newcomers = set(table["PTID"][new])
    absence = "no first or later visit in the clinical tables" if derived else "not in ADNIMERGE"
    left_out = {
        subject: NOT_READ if subject in newcomers or len(subject) > IDENTIFIER_LENGTH else absence
        for subject in sorted(set().union(*ids, table["PTID"]) - set(merge["PTID"]))
        if PARTICIPANT.fullmatch(subject)
    }
    dated = pandas.concat(others).query("EXAMDATE != ''").drop_duplicates()
    return Visits(merge.reset_index(drop=True), dated.reset_index(drop=True), left_out)


def _fill_dates(merge: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Give each visit a date and the date of the first visit; leave out those for which there is none."""
    first = merge[merge["VISCODE"] == "bl"].set_index("PTID")["EXAMDATE"]
    begin = merge["EXAMDATE_bl"].where(merge["EXAMDATE_bl"] != "", merge["PTID"].map(first).fillna(""))
    days = merge["VISCODE"].map(lambda code: round((visit_month(code) or 0) * _DAYS_PER_MONTH))
    moment = pandas.to_datetime(begin, errors="coerce") + pandas.to_timedelta(days, unit="D")
    missing = merge["EXAMDATE"] == ""
    estimate = moment.dt.strftime("%Y-%m-%d").fillna("")
    filled = missing & (estimate != "")
    ledger.changed("ADNIMERGE", "EXAMDATE", merge["VISCODE"][filled], estimate[filled], _ESTIMATED)
    hopeless = missing & ~filled
    ledger.left_out("ADNIMERGE", "EXAMDATE", merge["VISCODE"][hopeless], "a visit without any date")
    merge = merge.assign(EXAMDATE=merge["EXAMDATE"].where(~filled, estimate), EXAMDATE_bl=begin)[~hopeless]
    # without a first visit ages count from the earliest one
    earliest = merge.groupby("PTID")["EXAMDATE"].transform("min")
    return merge.assign(EXAMDATE_bl=merge["EXAMDATE_bl"].where(merge["EXAMDATE_bl"] != "", earliest))
