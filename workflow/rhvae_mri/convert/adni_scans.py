"""ADNI's T1-weighted scans: from the lists of the download and from what lies on disk.

LONI has withdrawn MPRAGEMETA, the list that Clinica reads. Where a download has it, it counts; what it
lacks comes from the image tables of today (All_Images and Manifest, Key_MRI, Structural_MRI_Images, the list
of an image collection), and else from the names of folders and files and from DICOM headers.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas

from rhvae_mri.convert.adni_merge import (
    ADNI4,
    NOT_READ,
    PARTICIPANT,
    Visits,
    original_phase,
    phase_name,
    roster_number,
)
from rhvae_mri.convert.archive import Series
from rhvae_mri.convert.csv_tables import (
    CERTAIN_DATES,
    column_key,
    read_dates,
    read_header,
    read_integers,
    read_participants,
    read_table,
    visit_month,
)
from rhvae_mri.convert.series import read_series_header
from rhvae_mri.convert.study_tables import NOT_THERE, Ledger, TablesFolder, table_name

#: What a list says of an image, with the names of the columns in all generations, in lower case.
_FIELDS = {
    "image": ("image_id", "image data id", "imageuid"),
    "subject": ("subject_id", "subject", "subjectid", "ptid"),
    "series": ("series_id", "seriesid"),
    "study": ("study_id", "studyid"),
    "date": ("image_date", "mri_date", "acq date", "scandate"),
    "sequence": ("image_description", "series_description", "mri_description", "description", "sequence"),
    "type": ("image_type", "type", "orig/proc"),
    "visit": ("image_visit", "mri_visit", "visit"),
    "strength": ("mri_field_str", "magstrength", "field_strength"),
    "phase": ("phase", "colprot"),
    "modality": ("modality",),
}

_COLUMNS = [column for columns in _FIELDS.values() for column in columns]

#: The lists, the one that counts most first; others are recognised by their columns.
_PREFERRED = ("MPRAGEMETA", "All_Images", "Manifest", "Key_MRI", "Structural_MRI_Images")

_T1 = re.compile(r"mp[-_ ]?rage|spgr|(?<![a-z])mpr(?![a-z])|(?<![a-z])mt1(?![a-z0-9])", re.IGNORECASE)
_NOT_T1 = re.compile("flair|locali[sz]er|scout|mask", re.IGNORECASE)
_PROCESSED = re.compile(r";|gradwarp|(?<![a-z])n3m?(?![a-z])|scaled|_br_(?!raw)", re.IGNORECASE)
_COMPRESSED_SENSING = re.compile(r"(?<![a-z])[ch]s(?![a-z])|compressed", re.IGNORECASE)
#: What is taken over of a header's free text: words of sequences' names, and the digit that Clinica minds.
_WORDS = re.compile(
    r"mp[-_ ]?rage|(?:ir[-_ ]?)?f?spgr|accel(?:erated)?|repeat|flair|locali[sz]er|scout|mask|gradwarp"
    r"|scaled|2|_nd(?![a-z0-9])|(?<![a-z])(?:mpr|mt1|acc|sag(?:ittal)?|[ch]s|compressed|n3m?)(?![a-z0-9])",
    re.IGNORECASE,
)

_FILE_STAMP = re.compile(r"_((?:19|20)\d{6})\d{6,}_")
_FILE_SERIES = re.compile(r"_S(\d+)(?=[_.])")
_VISIT_NAME = re.compile("adni|month|year", re.IGNORECASE)

_SCREENING, _IGNORED = "ADNI Screening", "ADNI Baseline"

#: A scan further than half a year from every visit belongs to none (days).
_FARTHEST = 183

#: Field strengths in tesla; ADNI has no others.
_LOW, _HIGH, _BETWEEN = "1.5", "3.0", 2.2
_TESLA = re.compile(r"([1-9]\d{0,5}(?:[.,]\d*)?) *(?:T|tesla)?", re.IGNORECASE)
#: Some old headers give gauss.
_GAUSS = 10_000

SCAN_COLUMNS = [*_FIELDS][:-1]

#: The columns of the list that Clinica reads.
_MPRAGEMETA = {
    "type": "Orig/Proc",
    "subject": "SubjectID",
    "visit": "Visit",
    "strength": "MagStrength",
    "sequence": "Sequence",
    "date": "ScanDate",
    "study": "StudyID",
    "series": "SeriesID",
    "number": "ImageUID",
}


#: Date, month (None: a visit of ADNI4) and phase of enrolment.
_Visit = tuple[datetime.date, int | None, str]


def is_t1(sequence: str) -> bool:
    """Whether a sequence's name is that of a T1-weighted one."""
    return bool(_T1.search(sequence)) and not _NOT_T1.search(sequence)


def list_scans(tables: TablesFolder, images: Path) -> pandas.DataFrame:
    """Gather what the lists of a download say (`SCAN_COLUMNS`), by image; empty where none says it."""
    inside = sorted(images.iterdir()) if images.is_dir() else []
    levels = [images, *(path for path in inside if path.is_dir() and not PARTICIPANT.fullmatch(path.name))]
    beside = [path for level in levels for path in sorted(level.glob("[!.]*.[cC][sS][vV]"))]
    ledger = tables.ledger
    blocks = []
    for path in filter(_is_list, sorted({*tables.files, *beside}, key=_place)):
        try:
            table = read_table(path, _COLUMNS)
        except (OSError, ValueError) as error:
            ledger.problems.append(f"the table {path.name} cannot be read: {error}")
            continue
        blocks.append(_read_list(path.name, table, ledger))
        ledger.made("MPRAGEMETA", [path], len(table), len(blocks[-1]), "images that it lists")
    if not blocks:
        known = "the scans are known from folders, file names and DICOM headers alone"
        ledger.note("MPRAGEMETA", known, source=NOT_THERE)
        return pandas.DataFrame(columns=SCAN_COLUMNS, dtype=str).set_index("image")
    return pandas.concat(blocks).replace("", None).groupby("image", sort=False).first().fillna("")


def complete_scans(
    listed: pandas.DataFrame, series: Iterable[Series], visits: Visits, ledger: Ledger
) -> pandas.DataFrame:
    """Bring the lists together with what is on disk (of participants with a visit), for T1-weighted scans.

    Further columns: ``visit`` as Clinica names it, ``session`` (``ses-M000``), ``reason`` why the scan cannot
    be used, and ``found``, the Series on disk or None.
    """
    numbers = {(row.subject, row.series): row.Index for row in listed[listed["series"] != ""].itertuples()}
    described = [_describe(each, listed, numbers) for each in series]
    own = pandas.DataFrame(described, columns=[*SCAN_COLUMNS, "fault", "found"])
    # a folder `I…` and a folder `S…` of older downloads may hold one image
    copies = own["image"].duplicated()
    own["image"] = own["image"].where(~copies, "copy of I" + own["image"])
    own = own.set_index("image")
    rest = listed[~listed.index.isin(own.index) & listed["sequence"].map(is_t1)]
    scans = pandas.concat([own, rest.assign(fault="", found=None)])
    scans["type"] = scans["type"].where(scans["type"] != "", scans["sequence"].map(_type_by_name))
    calendar: dict[str, list[_Visit]] = defaultdict(list)
    for row in pandas.concat([visits.merge, visits.others.assign(VISCODE="", ORIGPROT=ADNI4)]).itertuples():
        day = datetime.date.fromisoformat(row.EXAMDATE)
        calendar[row.PTID].append((day, visit_month(row.VISCODE), row.ORIGPROT))
    places = [_place_in_time(calendar[row.subject], row, visits.left_out) for row in scans.itertuples()]
    columns = ["visit", "session", "reason"]
    scans[columns] = pandas.DataFrame(places, index=scans.index, columns=columns, dtype=str)
    scans.loc[own.index[copies], "reason"] = "the image is there in another folder, too, which counts"
    scans["strength"] = _fill_strengths(scans, ledger)
    return scans


def replace_screenings(scans: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Let a scan of ``ADNI Baseline``, a visit that Clinica ignores, stand for a missing screening scan."""
    screened = set(scans["subject"][scans["visit"] == _SCREENING])
    alone = (scans["visit"] == _IGNORED) & ~scans["subject"].isin(screened)
    reason = "Clinica ignores this visit, and the screening has no scan that can be used"
    ledger.changed("MPRAGEMETA", "Visit", scans["visit"][alone], _SCREENING, reason)
    return scans.assign(visit=scans["visit"].where(~alone, _SCREENING))


def to_mpragemeta(scans: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Return scans as the list that Clinica reads."""
    names = scans["sequence"].str
    fast = names.contains(_COMPRESSED_SENSING) & ~names.contains("accel", case=False)
    sequence = scans["sequence"].where(~fast, "Accelerated " + scans["sequence"])
    reason = "compressed sensing is an acceleration; Clinica looks for the word"
    ledger.changed("MPRAGEMETA", "Sequence", scans["sequence"][fast], sequence[fast], reason)
    number = scans.index.astype(str)
    series = scans["series"].where(scans["series"] != "", number)
    staged = scans.assign(
        sequence=sequence, study=scans["study"].replace("", "0"), series=series, number=number
    )
    return staged[list(_MPRAGEMETA)].rename(columns=_MPRAGEMETA)


def visit_name(phase: str, month: int) -> str:
    """Return the name under which Clinica 0.12 looks for the scans of a visit."""
    if month == 0:
        names = {"ADNI2": "ADNI2 Screening MRI-New Pt", "ADNIGO": "ADNIGO Screening MRI"}
        return names.get(phase, _SCREENING)
    if phase == "ADNI2" and month in (3, 6):
        return f"ADNI2 Month {month}{' MRI' * (month == 3)}-New Pt"
    if phase in ("ADNI2", "ADNI3"):
        return f"{phase} Year {month / 12} Visit"
    return "ADNIGO Month 3 MRI" if month == 3 else f"ADNI{'1/' * (month < 54)}GO Month {month}"


def _place(path: Path) -> tuple[int, str]:
    """Return where a list stands in the order in which lists count."""
    ends = map(table_name(path).lower().endswith, map(str.lower, _PREFERRED))
    return [*ends, True].index(True), str(path)


def _is_list(path: Path) -> bool:
    """Whether a file lists images: of participants, or the series that they belong to."""
    try:
        header = set(map(column_key, read_header(path)))
    except (OSError, ValueError):
        return False
    has = {name for name, columns in _FIELDS.items() if header & set(map(column_key, columns))}
    return "image" in has and (
        "series" in has or ("subject" in has and not has.isdisjoint(("date", "sequence")))
    )


def _read_list(name: str, table: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    named = {field: next(filter(table.__contains__, columns), None) for field, columns in _FIELDS.items()}
    raw = pandas.DataFrame({field: table.get(name, "") for field, name in named.items()}, table.index)
    rows = raw.copy()

    def understood(column: str, values: pandas.Series, needed: str = "") -> None:
        rows[column] = ledger.understood(name, column, raw[column], values, needed)

    for column in ("image", "series", "study"):
        rows[column] = read_integers(raw[column])
    understood("image", rows["image"], "numbers of images")
    # LONI's own lists of collections have the month first
    understood("date", read_dates(raw["date"], american="acq date" in table), CERTAIN_DATES)
    understood("type", raw["type"].map(_read_type))
    understood("strength", raw["strength"].map(_read_strength))
    reason = "to one of the field strengths that Clinica tells apart"
    ledger.rewritten(name, "strength", raw["strength"].replace("3", _HIGH), rows["strength"], reason)
    rows["phase"] = raw["phase"].map(phase_name)
    rows["subject"] = read_participants(raw["subject"])
    nameless = rows["image"] == ""
    ledger.left_out(name, "image", raw["image"][nameless], "a row without the number of an image")
    other = ~rows["modality"].str.upper().isin(["", "MR", "MRI"])
    stranger = (rows["subject"] != "") & ~rows["subject"].str.fullmatch(PARTICIPANT).astype(bool)
    ledger.left_out(name, "subject", rows["subject"][stranger], "no participant's identifier")
    return rows.loc[~nameless & ~other & ~stranger, SCAN_COLUMNS]


def _type_by_name(name: str) -> str:
    return "Processed" if _PROCESSED.search(name) else "Original"


def _read_type(text: str) -> str:
    word = text.lower()
    return "Original" if word.startswith("orig") else "Processed" if "proc" in word else ""


def _read_strength(text: str) -> str:
    """Read a field strength as one of the two that ADNI has; empty text where it is none."""
    if not (match := _TESLA.fullmatch(text)):
        return ""
    tesla = float(match[1].replace(",", "."))
    return _LOW if tesla < _BETWEEN or _BETWEEN * _GAUSS > tesla > _GAUSS else _HIGH


def _fill_strengths(scans: pandas.DataFrame, ledger: Ledger) -> pandas.Series:
    """Return field strengths; an unknown one is that of the series' original, or the phase's usual one."""
    named = scans[(scans["strength"] != "") & (scans["series"] != "")]
    known = named.groupby(["subject", "series"])["strength"].last()
    others = scans[["subject", "series"]].join(known, on=["subject", "series"])["strength"].fillna("")
    own = scans["strength"].where(scans["strength"] != "", others)
    enrolled = scans["subject"].map(lambda subject: original_phase(roster_number(subject)))
    phase = scans["phase"].where(scans["phase"] != "", enrolled)
    usual = phase.map(lambda name: _LOW if name == "ADNI1" else _HIGH)
    assumed = (own == "") & scans["found"].notna() & (scans["reason"] == "")
    reason = "not known: the usual one of the phase"
    ledger.changed("MPRAGEMETA", "MagStrength", phase[assumed], usual[assumed], reason)
    return own.where(own != "", usual)


def _describe(series: Series, listed: pandas.DataFrame, numbers: dict[tuple[str, str], str]) -> list[object]:
    """Return what is known of an image on disk: from the lists, else from names, else from its header."""
    image = str(series.image)
    if image not in listed.index:
        # a folder `S…` whose files do not name the image
        image = numbers.get((series.subject, image), image)
    known = listed.loc[image] if image in listed.index else dict.fromkeys(SCAN_COLUMNS, "")
    name = series.files[0].name
    stamp, number = _FILE_STAMP.search(name), _FILE_SERIES.search(name)
    date = known["date"] or _read_date(series.date) or (_read_date(stamp[1]) if stamp else "")
    sequence = known["sequence"] or re.sub("(?i)mp_rage", "MP RAGE", series.sequence)
    strength, fault = known["strength"], ""
    if not (date and sequence and strength):
        header = read_series_header(series)
        date = date or _read_date(header.date)
        sequence = sequence or " ".join(_WORDS.findall(header.description))
        strength, fault = strength or _read_strength(header.strength), header.fault
    kind = known["type"] or _type_by_name(f"{sequence} {name}")
    return [
        *(image, series.subject, known["series"] or (number[1] if number else "")),
        *(known["study"], date, sequence, kind, known["visit"], strength, known["phase"], fault, series),
    ]


def _read_date(text: str) -> str:
    return read_dates(pandas.Series([text])).iloc[0]


def _place_in_time(calendar: list[_Visit], scan: Any, left_out: dict[str, str]) -> tuple[str, str, str]:
    """Return the visit of a scan as Clinica names it, its session, and why it cannot be used."""
    if all(month is None for _, month, _ in calendar):
        return "", "", left_out.get(scan.subject, "the clinical tables lack the participant")
    if scan.fault and not (scan.sequence and scan.date):
        return "", "", scan.fault
    if not is_t1(scan.sequence):
        return "", "", f"not a T1-weighted sequence: {scan.sequence or '(no name)'}"
    if not scan.date:
        return "", "", "the date of the scan is not known"
    day = datetime.date.fromisoformat(scan.date)
    nearest, month, phase = min(calendar, key=lambda visit: abs(visit[0] - day))
    new = phase_name(scan.visit).startswith(ADNI4) or scan.visit.startswith("4_") or scan.phase == ADNI4
    if new or month is None:
        return "", "", f"a scan of a visit in {NOT_READ}"
    session = f"ses-M{month:03d}"
    # what is called like a visit of the tables is of this visit, however dates were typed; Clinica takes any
    # other name for the nearest visit, and be it years away
    names = {visit_name(own, number) for _, number, own in calendar if number is not None}
    if scan.visit not in names and abs(nearest - day).days > _FARTHEST:
        return "", "", "no visit in the clinical tables within half a year of the scan"
    if scan.visit in names or _VISIT_NAME.search(scan.visit):
        return scan.visit, session, ""
    return visit_name(phase, month), session, ""
