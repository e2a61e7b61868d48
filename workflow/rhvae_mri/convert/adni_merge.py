"""The visits of ADNI: ADNIMERGE, mended where the download has it, derived where not, as Clinica reads it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas

from rhvae_mri.convert.adni_derivation import MERGE_COLUMNS, derive_merge, read_people
from rhvae_mri.convert.adni_values import (
    ADNI4,
    ADNI_PHASES,
    AGES,
    IDENTIFIER_LENGTH,
    MMSE_SCORES,
    NOT_READ,
    PARTICIPANT,
    SEXES,
    count_years,
    original_phase,
    phase_name,
    read_diagnoses,
    read_diagnosis,
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

_DAYS_PER_MONTH = 30.4375
_SPELLING = "written as Clinica reads it"
_ESTIMATED = "no date in the tables: estimated from the visit's code and the first visit"


@dataclass(frozen=True)
class Visits:
    """The visits of a study.

    Attributes
    ----------
    merge : pandas.DataFrame
        ADNIMERGE as Clinica reads it.
    others : pandas.DataFrame
        PTID and EXAMDATE of the visits of ADNI4, which Clinica cannot read.
    left_out : dict
        Participants of the tables who have no visit in ``merge``, with the reason.
    """

    merge: pandas.DataFrame
    others: pandas.DataFrame
    left_out: dict[str, str]


def read_visits(tables: TablesFolder) -> Visits:
    """Read or derive ADNIMERGE; what stands against it goes to the problems of the tables' ledger."""
    found = tables.take(ADNI_TABLES["ADNIMERGE"], MERGE_COLUMNS)
    if found and found.content.empty:
        tables.ledger.made("ADNIMERGE", [found.path], 0, 0, "not used: it has no rows")
        found = None
    demography = tables.take(ADNI_TABLES["PTDEMOG"], ("RID", "PTDOBYY", "PTEDUCAT"), needed=found is None)
    registry = tables.take(ADNI_TABLES["REGISTRY"], ("RID", "PHASE", "VISCODE"), needed=found is None)
    if found:
        table, ids = _mend(found, tables), [found.content["PTID"]]
        if demography:
            table = _fill_from_demography(table, demography, found.path.name, tables.ledger)
    else:
        table, ids = derive_merge(tables, demography, registry), []
    ids += [each.content["PTID"] for each in (demography, registry) if each]
    return _part(table, ids, registry, tables.ledger, derived=found is None)


def _mend(found: FoundTable, tables: TablesFolder) -> pandas.DataFrame:
    """Bring the values of an ADNIMERGE into the form that Clinica reads."""
    ledger = tables.ledger
    name, table = found.path.name, found.content.copy()
    for column in MERGE_COLUMNS:
        if column not in table:
            table[column] = ""
    before = table.copy()
    table["VISCODE"] = before["VISCODE"].map(visit_code)
    ledger.rewritten(name, "VISCODE", before["VISCODE"], table["VISCODE"], _SPELLING)
    for column in ("EXAMDATE", "EXAMDATE_bl"):
        table[column] = read_dates(before[column])
        needed = CERTAIN_DATES * (column == "EXAMDATE")
        understood(ledger, name, column, before[column], table[column], needed=needed)
        _note_dates(ledger, name, column, before[column], table[column])
    table["AGE"] = understood(
        ledger, name, "AGE", before["AGE"], read_numbers(before["AGE"], *AGES), needed="ages in years"
    )
    for column in ("MMSE", "MMSE_bl"):
        table[column] = understood(
            ledger, name, column, before[column], read_numbers(before[column], *MMSE_SCORES)
        )
    table["PTGENDER"] = before["PTGENDER"].map(lambda text: SEXES.get(text.lower(), ""))
    understood(ledger, name, "PTGENDER", before["PTGENDER"], table["PTGENDER"], needed="sexes")
    ledger.rewritten(name, "PTGENDER", before["PTGENDER"], table["PTGENDER"], _SPELLING)
    table["DX"] = before["DX"].map(read_diagnosis)
    understood(ledger, name, "DX", before["DX"], table["DX"], needed="diagnoses")
    ledger.rewritten(name, "DX", before["DX"], table["DX"], _SPELLING)
    if (table["DX"] == "").all():
        table["DX"] = _diagnoses_of(table, tables, name)
    ledger.made("ADNIMERGE", [found.path], len(before), len(table), "the download's own")
    return table


def _fill_from_demography(
    table: pandas.DataFrame, demography: FoundTable, name: str, ledger: Ledger
) -> pandas.DataFrame:
    """Take the ages and sexes that an ADNIMERGE lacks from PTDEMOG."""
    if (table[["AGE", "PTGENDER"]] != "").all(axis=None):
        return table
    people = read_people(demography, Ledger())
    first = table[table["VISCODE"] == "bl"].drop_duplicates("PTID").set_index("PTID")["EXAMDATE"]
    begin = table["EXAMDATE_bl"].where(table["EXAMDATE_bl"] != "", table["PTID"].map(first))
    given = {
        "AGE": count_years(begin, table["PTID"].map(people["BIRTH"])).map("{:g}".format, na_action="ignore"),
        "PTGENDER": table["PTID"].map(people["PTGENDER"]),
    }
    filled = table.copy()
    for column, values in given.items():
        lacking = (table[column] == "") & (values.fillna("") != "")
        filled[column] = table[column].where(~lacking, values)
        shown = values[lacking] if column == "PTGENDER" else "(not shown)"
        ledger.changed(name, column, table[column][lacking], shown, f"taken from {demography.path.name}")
    return filled


def _diagnoses_of(table: pandas.DataFrame, tables: TablesFolder, name: str) -> pandas.Series:
    """Take the diagnoses of an ADNIMERGE without any from DXSUM."""
    found = tables.take(ADNI_TABLES["DXSUM"], ("PTID", "RID"))
    if found is None:
        tables.ledger.problems.append(
            f"the table {name} has no diagnosis (DX), and {tables.absence(ADNI_TABLES['DXSUM'])}"
        )
        return table["DX"]
    numbers = roster_numbers(found.content)
    codes = found.content["VISCODE2"].map(visit_code)
    made = dict(zip(zip(numbers, codes, strict=True), read_diagnoses(found.content), strict=True))
    wanted = zip(roster_numbers(table), table["VISCODE"], strict=True)
    diagnoses = [
        made.get((number, code)) or (made.get((number, "sc"), "") if code == "bl" else "")
        for number, code in wanted
    ]
    tables.ledger.made(name, [found.path], len(found.content), len(table), "its diagnoses come from DXSUM")
    return pandas.Series(diagnoses, index=table.index)


def _part(
    table: pandas.DataFrame,
    ids: list[pandas.Series],
    registry: FoundTable | None,
    ledger: Ledger,
    *,
    derived: bool,
) -> Visits:
    """Part the visits that Clinica can read from those of ADNI4 and from rows that would stop it."""
    table = table[table["PTID"] != ""].copy()
    valid = table["PTID"].str.fullmatch(PARTICIPANT).astype(bool)
    ledger.left_out("ADNIMERGE", "PTID", table["PTID"][~valid], "no participant's identifier")
    table = table[valid]
    number = table["PTID"].map(roster_number)
    site = read_integers(table["SITE"])
    site = site.where(site != "", table["PTID"].str[:3].str.lstrip("0"))
    ledger.rewritten("ADNIMERGE", "SITE", table["SITE"], site, "the site is in the participant's identifier")
    table["SITE"] = site
    table["RID"] = number.astype(str)
    for column in ("ORIGPROT", "COLPROT"):
        phase = table[column].map(phase_name)
        phase = phase.where(phase.isin([*ADNI_PHASES, ADNI4]), number.map(original_phase))
        ledger.rewritten("ADNIMERGE", column, table[column], phase, _SPELLING)
        table[column] = phase
    new = (table["ORIGPROT"] == ADNI4) | (table["PTID"].str.len() > IDENTIFIER_LENGTH)
    late = table["COLPROT"] == ADNI4
    ledger.left_out("ADNIMERGE", "COLPROT", table["COLPROT"][new | late], NOT_READ)
    others = [table.loc[late, ["PTID", "EXAMDATE"]]]
    if registry and "PHASE" in registry.content:
        rows = registry.content[["PTID"]].assign(EXAMDATE=read_dates(registry.content["EXAMDATE"]))
        others.append(rows[registry.content["PHASE"].map(phase_name) == ADNI4])
    coded = table["VISCODE"].map(visit_month).notna()
    ledger.left_out("ADNIMERGE", "VISCODE", table["VISCODE"][~coded], "no visit with a month of its own")
    merge = table[~(new | late) & coded].drop_duplicates(["PTID", "VISCODE"])
    repeated = table[~(new | late) & coded].duplicated(["PTID", "VISCODE"])
    ledger.left_out(
        "ADNIMERGE", "VISCODE", table["VISCODE"][repeated[repeated].index], "a second row of the visit"
    )
    merge = _fill_dates(merge, ledger)
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


def _note_dates(ledger: Ledger, table: str, column: str, before: pandas.Series, after: pandas.Series) -> None:
    """Record that dates were written in another form, one row for each form."""
    other = (after != "") & (before != after)
    if other.any():
        form = before[other].str.replace(r"\d", "9", regex=True)
        ledger.changed(table, column, form, "9999-99-99", "written as an ISO date")
