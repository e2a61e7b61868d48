"""ADNIMERGE, the table of visits that Clinica reads: mended where the download has it, derived where not.

The derived table follows ADNI's own: visits from REGISTRY and DXSUM, diagnoses from DXSUM, sex and birth
from PTDEMOG, scores from MMSE, the genotype from APOERES. Columns that T1-weighted images do not need are
empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce

import pandas

from rhvae_mri.cohort.csv_tables import (
    MONTHS,
    Ledger,
    read_dates,
    read_integers,
    read_numbers,
    understood,
    visit_code,
    visit_month,
)
from rhvae_mri.cohort.study_tables import ADNI_TABLES, FoundTable, TablesFolder

#: The phases that Clinica 0.12 knows, and the first roster number (RID) of each.
ADNI_PHASES = {"ADNI1": 0, "ADNIGO": 2000, "ADNI2": 3000, "ADNI3": 6000}
ADNI4 = "ADNI4"
_FIRST_ADNI4 = 10_000

PARTICIPANT = re.compile(r"\d{3}_S_(\d{4,5})", re.ASCII)
#: Identifiers before ADNI 4 are as long as this; Clinica 0.12 stops at longer ones.
_LENGTH = len("002_S_0295")

#: Columns that Clinica 0.12 reads and whose upper and lower case it minds. Only those of `_USED` need values.
_COLUMNS = (
    *("RID", "COLPROT", "ORIGPROT", "PTID", "SITE", "VISCODE", "EXAMDATE", "DX_bl", "AGE", "PTGENDER"),
    *("PTEDUCAT", "PTETHCAT", "PTMARRY", "APOE4", "PIB", "AV45", "ABETA", "PTAU", "EXAMDATE_bl", "ADAS11_bl"),
    *("ADAS13_bl", "ADASQ4_bl", "MMSE_bl", "RAVLT_immediate_bl", "TRABSCOR_bl", "mPACCdigit_bl"),
    *("mPACCtrailsB_bl", "MOCA_bl", "DX", "MMSE"),
)

_SEX = {"male": "Male", "m": "Male", "1": "Male", "female": "Female", "f": "Female", "2": "Female"}
_DIAGNOSIS = {
    **{"cn": "CN", "nl": "CN", "normal": "CN", "smc": "CN", "1": "CN"},
    **{"mci": "MCI", "emci": "MCI", "lmci": "MCI", "2": "MCI"},
    **{"dementia": "Dementia", "ad": "Dementia", "3": "Dementia"},
}
#: How ADNIGO and ADNI2 wrote the change of a diagnosis (DXCHANGE): what it is now.
_CHANGED = {"4": "2", "5": "3", "6": "3", "7": "1", "8": "2", "9": "1"}
_FIRST_DIAGNOSIS = {"CN": "CN", "MCI": "LMCI", "Dementia": "AD"}
_MARRIED = {"1": "Married", "2": "Widowed", "3": "Divorced", "4": "Never married", "5": "Unknown"}
_ETHNIC = {"1": "Hisp/Latino", "2": "Not Hisp/Latino", "3": "Unknown"}

_AGES, _MMSE_SCORES = (18, 110), (0, 30)
_DAYS_PER_YEAR, _DAYS_PER_MONTH = 365.25, 30.4375
_BIRTH = re.compile(r"(?:(\d{1,2})[-/])?(?:(\d{1,2})[-/])?/?((?:18|19)\d\d)")
#: What spreadsheets make of ``12/1934``.
_SPREADSHEET_BIRTH = re.compile(r"([A-Za-z]{3})-(\d\d)")
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
        PTID and EXAMDATE of the visits of ADNI 4, which Clinica cannot read.
    left_out : dict
        Participants of the tables who have no visit in ``merge``, with the reason.
    derived : bool
        Whether ``merge`` was put together from other tables.
    """

    merge: pandas.DataFrame
    others: pandas.DataFrame
    left_out: dict[str, str]
    derived: bool


def read_visits(tables: TablesFolder) -> Visits:
    """Read or derive ADNIMERGE; what stands against it goes to the problems of the tables' ledger."""
    found = tables.take(ADNI_TABLES["ADNIMERGE"], _COLUMNS)
    demography = tables.take(
        ADNI_TABLES["PTDEMOG"], ("RID", "PTDOBYY", "PTEDUCAT", "PTMARRY", "PTETHCAT"), needed=found is None
    )
    registry = tables.take(
        ADNI_TABLES["REGISTRY"], ("RID", "PHASE", "VISCODE", "RGCONDCT"), needed=found is None
    )
    if found:
        table, ids = _mend(found, tables), [found.content["PTID"]]
        if demography:
            table = _fill_from_demography(table, demography, found.path.name, tables.ledger)
    else:
        table, ids = _derive(tables, demography, registry), []
    ids += [each.content["PTID"] for each in (demography, registry) if each]
    return _part(table, ids, registry, tables.ledger, derived=found is None)


def roster_number(subject: str) -> int:
    """Return the roster number (RID) of a participant.

    Examples
    --------
    >>> roster_number("002_S_0295")
    295
    """
    return int(subject.rpartition("_")[2])


def original_phase(number: int) -> str:
    """Return the phase in which a participant enrolled, by the roster number.

    Examples
    --------
    >>> original_phase(295), original_phase(6007), original_phase(10123)
    ('ADNI1', 'ADNI3', 'ADNI4')
    """
    if number >= _FIRST_ADNI4:
        return ADNI4
    return max((first, name) for name, first in ADNI_PHASES.items() if first <= number)[1]


def phase_name(text: str) -> str:
    """Return a phase as ADNIMERGE writes it.

    Examples
    --------
    >>> phase_name("ADNI 1"), phase_name("adni go"), phase_name("ADNI4")
    ('ADNI1', 'ADNIGO', 'ADNI4')
    """
    return re.sub(r"[\s_-]", "", text).upper()


def read_diagnoses(table: pandas.DataFrame) -> pandas.Series:
    """Read the diagnosis of each row of DXSUM, in either generation's columns, as ADNIMERGE writes it."""
    codes = pandas.Series("", index=table.index)
    for column in ("DIAGNOSIS", "DXCURREN", "DXCHANGE"):
        if column in table:
            own = table[column].str.replace(r"\.0+$", "", regex=True)
            own = own.replace(_CHANGED) if column == "DXCHANGE" else own
            codes = codes.where(codes != "", own)
    return codes.map(_read_diagnosis)


def roster_numbers(table: pandas.DataFrame) -> pandas.Series:
    """Return the roster number of each row, from PTID or else from RID; empty text where both are missing."""
    numbers = pandas.Series("", index=table.index)
    if "PTID" in table:
        numbers = table["PTID"].str.extract(r"^\d{3}_S_0*(\d+)$", flags=re.ASCII)[0].fillna("")
    if "RID" in table:
        numbers = numbers.where(numbers != "", read_integers(table["RID"]))
    return numbers


def _mend(found: FoundTable, tables: TablesFolder) -> pandas.DataFrame:
    """Bring the values of an ADNIMERGE into the form that Clinica reads."""
    ledger = tables.ledger
    name, table = found.path.name, found.content.copy()
    for column in _COLUMNS:
        if column not in table:
            table[column] = ""
    before = table.copy()
    table["VISCODE"] = before["VISCODE"].map(visit_code)
    ledger.rewritten(name, "VISCODE", before["VISCODE"], table["VISCODE"], _SPELLING)
    for column in ("EXAMDATE", "EXAMDATE_bl"):
        table[column] = read_dates(before[column])
        understood(
            ledger, name, column, before[column], table[column], needed="dates" * (column == "EXAMDATE")
        )
        _note_dates(ledger, name, column, before[column], table[column])
    table["AGE"] = understood(
        ledger, name, "AGE", before["AGE"], read_numbers(before["AGE"], *_AGES), needed="ages in years"
    )
    for column in ("MMSE", "MMSE_bl"):
        table[column] = understood(
            ledger, name, column, before[column], read_numbers(before[column], *_MMSE_SCORES)
        )
    table["PTGENDER"] = before["PTGENDER"].map(lambda text: _SEX.get(text.lower(), ""))
    understood(ledger, name, "PTGENDER", before["PTGENDER"], table["PTGENDER"], needed="sexes")
    ledger.rewritten(name, "PTGENDER", before["PTGENDER"], table["PTGENDER"], _SPELLING)
    table["DX"] = before["DX"].map(_read_diagnosis)
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
    people = _people(demography, Ledger())
    first = table[table["VISCODE"] == "bl"].drop_duplicates("PTID").set_index("PTID")["EXAMDATE"]
    begin = table["EXAMDATE_bl"].where(table["EXAMDATE_bl"] != "", table["PTID"].map(first))
    given = {
        "AGE": _ages(begin, table["PTID"].map(people["BIRTH"])).map("{:g}".format, na_action="ignore"),
        "PTGENDER": table["PTID"].map(people["PTGENDER"]),
    }
    filled = table.copy()
    for column, values in given.items():
        lacking = (table[column] == "") & (values.fillna("") != "")
        filled[column] = table[column].where(~lacking, values)
        shown = values[lacking] if column == "PTGENDER" else "(not shown)"
        ledger.changed(name, column, table[column][lacking], shown, f"taken from {demography.path.name}")
    return filled


def _ages(moments: pandas.Series, births: pandas.Series) -> pandas.Series:
    """Return ages in years, to a tenth."""
    days = (
        pandas.to_datetime(moments, errors="coerce") - pandas.to_datetime(births, errors="coerce")
    ).dt.days
    return (days / _DAYS_PER_YEAR).round(1)


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


def _derive(
    tables: TablesFolder, demography: FoundTable | None, registry: FoundTable | None
) -> pandas.DataFrame:
    """Put ADNIMERGE together from the tables of today."""
    ledger = tables.ledger
    diagnoses = tables.take(ADNI_TABLES["DXSUM"], ("PHASE", "PTID", "RID", "VISCODE", "EXAMDATE"))
    minimental = tables.take(ADNI_TABLES["MMSE"], ("PTID", "RID", "VISDATE"))
    genotypes = tables.take(ADNI_TABLES["APOERES"], ("APGEN2",))
    for table, content in (("REGISTRY", registry), ("PTDEMOG", demography), ("DXSUM", diagnoses)):
        if content is None:
            merge, part = (tables.absence(ADNI_TABLES[name]) for name in ("ADNIMERGE", table))
            ledger.problems.append(f"{part}, and {merge}: download one of them")
    if not (registry and demography and diagnoses):
        return pandas.DataFrame(columns=list(_COLUMNS), dtype=str)
    people = _people(demography, ledger)
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
    table["AGE"] = _ages(table["EXAMDATE_bl"], table["BIRTH"])
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
    table = table.reindex(columns=list(_COLUMNS)).astype(object)
    return table.where(table.notna(), "").astype(str)


def read_alleles(table: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Read RID and the two alleles of each row of APOERES; empty text where they are not given."""
    if "GENOTYPE" in table and "APGEN1" not in table:
        pairs = (
            table["GENOTYPE"].str.extract(r"^[eE\u03b5]?([234])\s*[/,-]?\s*[eE\u03b5]?([234])$").fillna("")
        )
        understood(ledger, "APOERES", "GENOTYPE", table["GENOTYPE"], pairs[0])
        columns = [pairs[0], pairs[1]]
    else:
        columns = [read_numbers(table[name], 2, 4) if name in table else "" for name in ("APGEN1", "APGEN2")]
    return pandas.DataFrame({"RID": read_integers(table["RID"]), "APGEN1": columns[0], "APGEN2": columns[1]})


def _people(found: FoundTable, ledger: Ledger) -> pandas.DataFrame:
    """Return sex, birth and schooling of each participant, from the first row of PTDEMOG that says so."""
    table = found.content
    given = table["PTDOB"] if "PTDOB" in table else table["PTDOBYY"]
    birth = given.map(_read_birth)
    if "PTDOB" in table and "PTDOBYY" in table:
        year = table["PTDOBYY"].map(_read_birth)
        instead = given[(given != "") & (birth == "") & (year != "")].map(lambda _: "(not shown)")
        reason = "not understood: the middle of the year of PTDOBYY was taken"
        ledger.changed(found.path.name, "PTDOB", instead, "(not shown)", reason)
        birth = birth.where(birth != "", year)
    understood(ledger, found.path.name, "PTDOB", given, birth, needed="dates of birth", private=True)
    sex = table["PTGENDER"].str.replace(r"\.0+$", "", regex=True).map(lambda text: _SEX.get(text.lower(), ""))
    understood(ledger, found.path.name, "PTGENDER", table["PTGENDER"], sex, needed="sexes")
    rows = pandas.DataFrame({"PTID": table["PTID"], "PTGENDER": sex, "BIRTH": birth})
    for column, words in (("PTEDUCAT", {}), ("PTMARRY", _MARRIED), ("PTETHCAT", _ETHNIC)):
        codes = table[column].str.replace(r"\.0+$", "", regex=True) if column in table else ""
        rows[column] = codes if isinstance(codes, str) else codes.replace(words)
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
            rows[name] = understood(ledger, found.path.name, str(column), before, read_dates(before))
        elif name == "MMSE":
            rows[name] = understood(
                ledger, found.path.name, str(column), before, read_numbers(before, *_MMSE_SCORES)
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


def _part(
    table: pandas.DataFrame,
    ids: list[pandas.Series],
    registry: FoundTable | None,
    ledger: Ledger,
    *,
    derived: bool,
) -> Visits:
    """Part the visits that Clinica can read from those of ADNI 4 and from rows that would stop it."""
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
    new = (table["ORIGPROT"] == ADNI4) | (number >= _FIRST_ADNI4) | (table["PTID"].str.len() > _LENGTH)
    late = table["COLPROT"] == ADNI4
    ledger.left_out("ADNIMERGE", "COLPROT", table["COLPROT"][new | late], "ADNI 4, which Clinica cannot read")
    others = [table.loc[late, ["PTID", "EXAMDATE"]]]
    if registry and "PHASE" in registry.content:
        rows = registry.content[registry.content["PHASE"].map(phase_name) == ADNI4]
        others.append(rows[["PTID"]].assign(EXAMDATE=read_dates(rows["EXAMDATE"])))
    coded = table["VISCODE"].map(visit_month).notna()
    ledger.left_out("ADNIMERGE", "VISCODE", table["VISCODE"][~coded], "no visit with a month of its own")
    merge = table[~(new | late) & coded].drop_duplicates(["PTID", "VISCODE"])
    repeated = table[~(new | late) & coded].duplicated(["PTID", "VISCODE"])
    ledger.left_out(
        "ADNIMERGE", "VISCODE", table["VISCODE"][repeated[repeated].index], "a second row of the visit"
    )
    merge = _fill_dates(merge, ledger)
    newcomers = set(table["PTID"][new])
    left_out = {
        subject: "ADNI 4, which Clinica cannot read"
        if original_phase(roster_number(subject)) == ADNI4 or subject in newcomers or len(subject) > _LENGTH
        else "no first or later visit in the clinical tables"
        for subject in sorted(set().union(*ids, table["PTID"]) - set(merge["PTID"]))
        if PARTICIPANT.fullmatch(subject)
    }
    dated = pandas.concat(others).query("EXAMDATE != ''").drop_duplicates()
    return Visits(merge.reset_index(drop=True), dated.reset_index(drop=True), left_out, derived)


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


def _read_diagnosis(text: str) -> str:
    """Read a diagnosis; of a change, such as ``MCI to Dementia``, the last one counts."""
    return _DIAGNOSIS.get(re.split(r"\bto\b", text.lower())[-1].strip(), "")


def _read_birth(text: str) -> str:
    """Read a date of birth of which the day, or day and month, may be missing; the middle stands for them."""
    if (match := _SPREADSHEET_BIRTH.fullmatch(text)) and match[1].lower() in MONTHS:
        return f"19{match[2]}-{1 + MONTHS.index(match[1].lower()):02d}-15"
    match = _BIRTH.fullmatch(re.sub(r"^(\d{4})-(\d\d)$", r"\2/\1", text.removesuffix(".0")))
    if not match:
        return read_dates(pandas.Series([text])).iloc[0]
    month, day = (match[1], match[2]) if match[1] else (None, None)
    if month is None:
        return f"{match[3]}-07-01"
    return read_dates(pandas.Series([f"{match[3]}-{month}-{day or 15}"])).iloc[0]


def _note_dates(ledger: Ledger, table: str, column: str, before: pandas.Series, after: pandas.Series) -> None:
    """Record that dates were written in another form, one row for each form."""
    other = (after != "") & (before != after)
    if other.any():
        form = before[other].str.replace(r"\d", "9", regex=True)
        ledger.changed(table, column, form, "9999-99-99", "written as an ISO date")
