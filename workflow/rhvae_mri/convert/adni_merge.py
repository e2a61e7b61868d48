"""The visits of ADNI as Clinica reads them: ADNIMERGE, mended where the download has it, else derived.

The derived table follows ADNI's own: visits from REGISTRY and DXSUM, diagnoses from DXSUM, sex and birth
from PTDEMOG, scores from MMSE, the genotype from APOERES. Columns that T1-weighted images do not need are
empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

import pandas

from rhvae_mri.convert.csv_tables import (
    CERTAIN_DATES,
    month_number,
    read_dates,
    read_integers,
    read_numbers,
    visit_code,
    visit_month,
)
from rhvae_mri.convert.study_tables import (
    ADNI_TABLES,
    HIDDEN,
    MERGE_COLUMNS,
    FoundTable,
    Ledger,
    TablesFolder,
)

#: The phases that Clinica 0.12 knows, and the first roster number (RID) of each.
ADNI_PHASES = {"ADNI1": 0, "ADNIGO": 2000, "ADNI2": 3000, "ADNI3": 6000}
ADNI4 = "ADNI4"
NOT_READ = "ADNI4, which Clinica cannot read"
_FIRST_ADNI4 = 10_000

PARTICIPANT = re.compile(r"\d{3}_S_(\d{4,5})", re.ASCII)
#: Identifiers before ADNI4 are as long as this; Clinica 0.12 stops at longer ones.
IDENTIFIER_LENGTH = len("002_S_0295")

_SEXES = {"male": "Male", "m": "Male", "1": "Male", "female": "Female", "f": "Female", "2": "Female"}
_DIAGNOSIS = {
    **dict.fromkeys(("cn", "nl", "normal", "cognitively normal", "smc", "1"), "CN"),
    **dict.fromkeys(("mci", "emci", "lmci", "2"), "MCI"),
    **dict.fromkeys(("dementia", "dem", "ad", "alzheimer's disease", "3"), "Dementia"),
}
#: How ADNIGO and ADNI2 wrote the change of a diagnosis (DXCHANGE): what it is now.
_CHANGED = {"4": "2", "5": "3", "6": "3", "7": "1", "8": "2", "9": "1"}

_DAYS_PER_YEAR = 365.25
_BIRTH = re.compile(r"(?:(\d{1,2})[-/.])?/?((?:18|19)\d\d)")
#: What spreadsheets make of ``12/1934``.
_SPREADSHEET_BIRTH = re.compile(r"([^\W\d_]{3,})\.?[- /](?:19)?(\d\d)")
_ALLELES = r"^[eE\u03b5]?([234])\s*[/,.-]?\s*[eE\u03b5]?([234])$"


def roster_number(subject: str) -> int:
    """Return the roster number (RID) of a participant."""
    return int(subject.rpartition("_")[2])


def roster_numbers(table: pandas.DataFrame) -> pandas.Series:
    """Return the roster number of each row, from PTID or else from RID; empty text where both are missing."""
    numbers = pandas.Series("", index=table.index)
    if "PTID" in table:
        numbers = table["PTID"].str.extract(r"^\d{3}_S_0*(\d{1,15})$", flags=re.ASCII)[0].fillna("")
    return numbers.where(numbers != "", read_integers(table["RID"])) if "RID" in table else numbers


def original_phase(number: int) -> str:
    """Return the phase in which a participant enrolled, by the roster number."""
    return [name for name, first in (*ADNI_PHASES.items(), (ADNI4, _FIRST_ADNI4)) if first <= number][-1]


def phase_name(text: str) -> str:
    """Return a phase as ADNIMERGE writes it, such as ``ADNI1`` of ``ADNI 1``."""
    return re.sub(r"[\s_-]", "", text).upper()


def read_sexes(values: pandas.Series) -> pandas.Series:
    """Read sexes as ADNIMERGE writes them."""
    return values.map(lambda text: _SEXES.get(text.lower(), ""))


def read_diagnosis(text: str) -> str:
    """Read a diagnosis; of a change, such as ``MCI to Dementia``, the last one counts."""
    return _DIAGNOSIS.get(re.split(r"\bto\b", text.lower())[-1].strip(), "")


def read_diagnoses(table: pandas.DataFrame) -> pandas.Series:
    """Read the diagnosis of each row of DXSUM as ADNIMERGE writes it."""
    return diagnosis_codes(table).map(read_diagnosis)


def diagnosis_codes(table: pandas.DataFrame) -> pandas.Series:
    """Return the code of each row of DXSUM's diagnosis, in either generation's columns."""
    codes = pandas.Series("", index=table.index)
    for column in ("DIAGNOSIS", "DXCURREN", "DXCHANGE"):
        if column in table:
            own = table[column].replace(_CHANGED) if column == "DXCHANGE" else table[column]
            codes = codes.where(codes != "", own)
    return codes


def read_births(values: pandas.Series) -> pandas.Series:
    """Read dates of birth of which the day, or day and month, may be missing; the middle stands for them."""
    whole = read_dates(values)
    # of two digits, such as 34, a year of birth is of the century before
    return whole.where(whole != "", read_dates(values.map(_middle))).str.replace(r"^20", "19", regex=True)


def _middle(text: str) -> str:
    if (match := _SPREADSHEET_BIRTH.fullmatch(text)) and (number := month_number(match[1])):
        return f"19{match[2]}-{number}-15"
    match = _BIRTH.fullmatch(re.sub(r"^(\d{4})-(\d\d)$", r"\2/\1", text))
    if not match:
        return ""
    return f"{match[2]}-{match[1]}-15" if match[1] else f"{match[2]}-07-01"


def count_years(moments: pandas.Series, births: pandas.Series) -> pandas.Series:
    """Return ages in years, to a tenth."""
    begin, birth = (pandas.to_datetime(dates, errors="coerce") for dates in (moments, births))
    return ((begin - birth).dt.days / _DAYS_PER_YEAR).round(1)


def read_alleles(table: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Read RID and the two alleles of each row of APOERES; empty text where they are not given."""
    names = ["APGEN1", "APGEN2"]
    if "GENOTYPE" in table and "APGEN1" not in table:
        pairs = table["GENOTYPE"].str.extract(_ALLELES).fillna("").set_axis(names, axis=1)
        ledger.understood("APOERES", "GENOTYPE", table["GENOTYPE"], pairs["APGEN1"])
    else:
        read = {name: read_numbers(table[name], 2, 4) if name in table else "" for name in names}
        pairs = pandas.DataFrame(read, index=table.index)
    return pairs.assign(RID=read_integers(table["RID"]))[["RID", *names]]


_FIRST_DIAGNOSIS = {"CN": "CN", "MCI": "LMCI", "Dementia": "AD"}
_DAYS_PER_MONTH = 30.4375
_SPELLING = "written as Clinica reads it"
_ESTIMATED = "no date in the tables: estimated from the visit's code and the first visit"
_NO_MONTH = "no visit with a month of its own"

_read_score = partial(read_numbers, low=0, high=30)
#: How a column of ADNIMERGE is read, and what it has to hold where the study cannot do without it.
_READERS: dict[str, tuple[Callable[[pandas.Series], pandas.Series], str]] = {
    "VISCODE": (lambda values: values.map(visit_code), ""),
    "EXAMDATE": (read_dates, CERTAIN_DATES),
    "EXAMDATE_bl": (read_dates, ""),
    "AGE": (partial(read_numbers, low=18, high=110), "ages in years"),
    "MMSE": (_read_score, ""),
    "MMSE_bl": (_read_score, ""),
    "PTGENDER": (read_sexes, "sexes"),
    "DX": (lambda values: values.map(read_diagnosis), "diagnoses"),
}


class Visits(NamedTuple):
    """ADNIMERGE, PTID and EXAMDATE of visits of ADNI4, and why participants are not in ADNIMERGE."""

    merge: pandas.DataFrame
    others: pandas.DataFrame
    left_out: dict[str, str]


def read_visits(tables: TablesFolder) -> Visits:
    """Read or derive ADNIMERGE, without rows that Clinica cannot read: of ADNI4, or such as would stop it.

    What stands against it goes to the problems of the tables' ledger.
    """
    ledger = tables.ledger
    found = tables.take(ADNI_TABLES["ADNIMERGE"])
    if found and found.content.empty:
        found.made("ADNIMERGE", 0, "not used: it has no rows")
        found = None
    demography = tables.take(ADNI_TABLES["PTDEMOG"], needed=found is None)
    registry = tables.take(ADNI_TABLES["REGISTRY"], needed=found is None)
    ids = [each["PTID"] for each in (found, demography, registry) if each]
    table = _mend(found, demography, tables) if found else _derive(tables, demography, registry)

    def leave_out(column: str, rows: pandas.Series, reason: str) -> None:
        ledger.left_out("ADNIMERGE", column, table[column][rows], reason)

    def rewrite(column: str, values: pandas.Series, reason: str = _SPELLING) -> None:
        table[column] = ledger.rewritten("ADNIMERGE", column, table[column], values, reason)

    table = table[table["PTID"] != ""]
    valid = table["PTID"].str.fullmatch(PARTICIPANT).astype(bool)
    leave_out("PTID", ~valid, "no participant's identifier")
    table = table[valid].copy()
    number = table["PTID"].map(roster_number)
    site = read_integers(table["SITE"])
    site = site.where(site != "", table["PTID"].str[:3].str.lstrip("0"))
    rewrite("SITE", site, "the site is in the participant's identifier")
    table["RID"] = number.astype(str)
    for column in ("ORIGPROT", "COLPROT"):
        phase = table[column].map(phase_name)
        rewrite(column, phase.where(phase.isin([*ADNI_PHASES, ADNI4]), number.map(original_phase)))
    new = (table["ORIGPROT"] == ADNI4) | (table["PTID"].str.len() > IDENTIFIER_LENGTH)
    late = table["COLPROT"] == ADNI4
    leave_out("COLPROT", new | late, NOT_READ)
    others = [table.loc[late, ["PTID", "EXAMDATE"]]]
    if registry and "PHASE" in registry.content:
        rows = registry.content[["PTID"]].assign(EXAMDATE=read_dates(registry["EXAMDATE"]))
        others.append(rows[registry["PHASE"].map(phase_name) == ADNI4])
    coded = table["VISCODE"].map(visit_month).notna()
    leave_out("VISCODE", ~coded, _NO_MONTH)
    newcomers = set(table["PTID"][new])
    listed = set().union(*ids, table["PTID"])
    table = table[~(new | late) & coded]
    repeated = table.duplicated(["PTID", "VISCODE"])
    leave_out("VISCODE", repeated, "a second row of the visit")
    merge = _fill_dates(table[~repeated], ledger).reset_index(drop=True)
    absence = "not in ADNIMERGE" if found else "no first or later visit in the clinical tables"
    left_out = {
        subject: NOT_READ if subject in newcomers or len(subject) > IDENTIFIER_LENGTH else absence
        for subject in sorted(listed - set(merge["PTID"]))
        if PARTICIPANT.fullmatch(subject)
    }
    dated = pandas.concat(others).query("EXAMDATE != ''").drop_duplicates()
    return Visits(merge, dated.reset_index(drop=True), left_out)


def _mend(found: FoundTable, demography: FoundTable | None, tables: TablesFolder) -> pandas.DataFrame:
    """Bring the values of an ADNIMERGE into the form that Clinica reads, and fill what it lacks."""
    ledger, name = tables.ledger, found.name
    lacking = [column for column in MERGE_COLUMNS if column not in found.content]
    before = found.content.assign(**dict.fromkeys(lacking, ""))
    table = before.copy()
    for column, (read, needed) in _READERS.items():
        given, values = before[column], read(before[column])
        table[column] = ledger.understood(name, column, given, values, needed)
        if column.startswith("EXAMDATE"):
            # one row of the record for each form
            form = given[(values != "") & (given != values)].str.replace(r"\d", "9", regex=True)
            ledger.changed(name, column, form, "9999-99-99", "written as an ISO date")
        elif column in ("VISCODE", "PTGENDER", "DX"):
            ledger.rewritten(name, column, given, values, _SPELLING)
    if (table["DX"] == "").all():
        table["DX"] = _diagnoses_of(table, tables, name)
    found.made("ADNIMERGE", len(table), "the download's own")
    if demography is None or (table[["AGE", "PTGENDER"]] != "").all(axis=None):
        return table
    people = _read_people(demography, Ledger())
    first = table[table["VISCODE"] == "bl"].drop_duplicates("PTID").set_index("PTID")["EXAMDATE"]
    begin = table["EXAMDATE_bl"].where(table["EXAMDATE_bl"] != "", table["PTID"].map(first))
    ages = count_years(begin, table["PTID"].map(people["BIRTH"]))
    filled = {
        "AGE": ages.map("{:g}".format, na_action="ignore"),
        "PTGENDER": table["PTID"].map(people["PTGENDER"]),
    }
    for column, values in filled.items():
        empty = (table[column] == "") & (values.fillna("") != "")
        shown = values[empty] if column == "PTGENDER" else HIDDEN
        ledger.changed(name, column, table[column][empty], shown, f"taken from {demography.name}")
        table[column] = table[column].where(~empty, values)
    return table


def _diagnoses_of(table: pandas.DataFrame, tables: TablesFolder, name: str) -> pandas.Series:
    """Take the diagnoses of an ADNIMERGE without any from DXSUM."""
    found = tables.take(ADNI_TABLES["DXSUM"])
    if found is None:
        absence = tables.absence(ADNI_TABLES["DXSUM"])
        tables.ledger.problems.append(f"the table {name} has no diagnosis (DX), and {absence}")
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
    diagnoses, minimental, genotypes = (
        tables.take(ADNI_TABLES[name]) for name in ("DXSUM", "MMSE", "APOERES")
    )
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
    known = {roster_number(name): name for name in registry["PTID"] if PARTICIPANT.fullmatch(name)}
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
    reason = "no date, diagnosis or score: not held"
    ledger.left_out("ADNIMERGE", "VISCODE2", table["VISCODE"][not_held], reason)
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
    content = found.content
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
        elif column in content:
            read, needed = _READERS[name]
            rows[name] = found.understood(column, read(content[column]), needed)
    usual = (codes == "sc") | codes.map(visit_month).notna()
    nobody = people == ""
    found.left_out("VISCODE2", codes[~usual & ~nobody], _NO_MONTH)
    given = content.get("PTID", content.get("RID"))
    found.left_out("PTID", given[nobody], "not a participant of REGISTRY")
    return rows[usual & ~nobody].replace("", None).groupby(["PTID", "VISCODE"]).first()


def _baselines(visits: pandas.DataFrame) -> pandas.DataFrame:
    """Fill what a first visit lacks from the screening, which is a few weeks earlier, and drop the latter."""
    codes = visits.index.get_level_values("VISCODE")
    screening = visits[codes == "sc"].rename(index={"sc": "bl"}, level="VISCODE").replace("", None)
    rest = visits[codes != "sc"].replace("", None)
    # who was screened only has no first visit, as in ADNIMERGE
    enrolled = screening.index.get_level_values("PTID").isin(rest.index.get_level_values("PTID"))
    return rest.combine_first(screening[enrolled]).fillna("")


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
    return merge.assign(EXAMDATE_bl=begin.where(begin != "", earliest))
