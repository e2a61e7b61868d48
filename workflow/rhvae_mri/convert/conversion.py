"""The conversion of a raw download to BIDS, by Clinica's own converters.

Clinica 0.12 leaves images out without a word, and one unreadable AIBL series stops it altogether. So the
download is checked first, broken series are set aside, and a report says what became of every promised
image.
"""

from __future__ import annotations

import gzip
import logging
import multiprocessing
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rhvae_mri.convert.adni_scans import complete_scans, replace_screenings, to_mpragemeta
from rhvae_mri.convert.adni_tables import read_adni_tables
from rhvae_mri.convert.aibl_tables import read_aibl_tables, read_scan_dates, stage_aibl_tables
from rhvae_mri.convert.archive import Series, list_series
from rhvae_mri.convert.bids_cleaning import mend_dataset, remove_personal_data
from rhvae_mri.convert.clinica import ClinicaRun, run_clinica
from rhvae_mri.convert.conversion_report import (
    Choice,
    Row,
    image_path,
    read_choice,
    report_adni,
    report_aibl,
    report_table,
)
from rhvae_mri.convert.oasis import check_oasis, convert_oasis
from rhvae_mri.convert.preflight import check_downloads
from rhvae_mri.convert.series import find_broken_series
from rhvae_mri.convert.staging import (
    Promised,
    assign_sessions,
    choose_aibl_series,
    stage_adni_images,
    stage_aibl_images,
    write_tables,
)
from rhvae_mri.convert.study_tables import NOT_THERE, Ledger
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_folder, atomic_path, write_json, write_text, write_tsv

logger = logging.getLogger(__name__)

#: What Clinica prints before it stops at an AIBL series that dcm2niix could not convert.
_NOT_CREATED = re.compile(r"sub-AIBL(\d+)_(ses-M\d+)_T1w\.nii\.gz should have been created")


def convert_to_bids(
    cohort: str,
    images: str | os.PathLike[str],
    tables: str | os.PathLike[str],
    bids: str | os.PathLike[str],
    report: str | os.PathLike[str],
    table_report: str | os.PathLike[str],
    processes: int = 1,
    source: str = "download",
) -> None:
    """Convert a raw download to BIDS, and report what became of every image and of every table.

    Parameters
    ----------
    cohort, source : str
        ``ADNI`` or ``AIBL``; any name if the source is ``oasis1``, a download of OASIS-1.
    images, tables : path
        The download: folder of the images and folder of the study tables. Neither is changed.
    bids : path
        Folder to write; it is complete or absent. Only T1-weighted images are converted. What the converter
        leaves invalid is mended, and what it leaves of persons is removed.
    report : path
        Table to write, a row for each image of the download and for each participant without any: cohort,
        participant_id, session_id (missing for an image of no visit, or a participant as a whole), status
        (``converted``, ``missing``, ``unreadable`` or ``passed over``), source (relative to ``images``) and
        reason.
    table_report : path
        Table to write: of what each table was made that the converter read, with the number of rows, and
        every value that was changed or left out (see `rhvae_mri.convert.study_tables.Ledger`).
    processes : int
        How many processes to use; never more than the machine has CPUs are used.

    Raises
    ------
    StudyError
        If the download is incomplete, none of its series can be read, or the converter fails.
    """
    if source == "oasis1":
        check_oasis(Path(images), Path(tables))
        convert, prefix = convert_oasis, "OASIS1"
    else:
        check_downloads([(cohort, images, tables)])
        convert, prefix = {"ADNI": _convert_adni, "AIBL": _convert_aibl}[cohort], cohort
    with atomic_folder(bids) as output, tempfile.TemporaryDirectory() as temporary:
        processes = max(1, min(processes, multiprocessing.cpu_count()))
        given, listed, staging = (Path(place).resolve() for place in (images, tables, temporary))
        download = Download(cohort, given, listed, staging, processes)
        rows = convert(download, output)
        mend_dataset(output)
        remove_personal_data(output, processes)
        table = report_table(cohort, download.images, rows, prefix)
        write_tsv(report, table)
        write_tsv(table_report, download.ledger.table())
    logger.info("%s: %s", cohort, table["status"].value_counts().to_dict())


@dataclass(frozen=True)
class Download:
    """A download that has passed the preflight, and where and with how many processes to convert it."""

    cohort: str
    images: Path
    tables: Path
    staging: Path
    processes: int
    ledger: Ledger = field(default_factory=Ledger)

    def find_broken(self, series: list[Series]) -> dict[Series, str]:
        """Check that series can be read; StudyError if none can."""
        broken = find_broken_series(series, self.processes)
        for each, problem in broken.items():
            logger.warning("set aside: %s: %s", each.folder.relative_to(self.images), problem)
        if len(broken) == len(series):
            raise StudyError(
                f"None of the {len(series)} T1-weighted series of the {self.cohort} download can be used.",
                where=self.images,
                cause=next(iter(broken.values()), "No image is a T1-weighted one of a visit in the tables."),
                remedy="Download images and tables again, in the layout of LONI's archive.",
            )
        return broken

    def run(self, converter: str, *options: str | Path, check: bool = True) -> ClinicaRun:
        """Run a converter; options end with the folders of images and tables and the one to write."""
        words = ("convert", converter, "-np", str(self.processes), *options)
        run = run_clinica(words, self.staging / "log")
        if check and run.exit_code != 0:
            raise run.error()
        return run

    def warn(self) -> None:
        """Say in the log which tables are not there, and what follows."""
        for row in self.ledger.rows:
            if row.get("source") == NOT_THERE:
                logger.warning("There is no table %s: %s.", row["table"], row["reason"])


def _convert_adni(download: Download, output: Path) -> list[Row]:
    ledger, staging = download.ledger, download.staging
    tables = read_adni_tables(download.tables, download.images, ledger)
    download.warn()
    series = list_series(download.images, "ADNI")
    known = set(tables.visits.merge["PTID"])
    own = [each for each in series if each.subject in known]
    scans = complete_scans(tables.scans, own, tables.visits, ledger)
    possible = scans[(scans["reason"] == "") & ~scans.index.isin(tables.rejected())]
    candidates = scans[scans["found"].notna() & (scans["reason"] == "")]
    broken = download.find_broken(list(candidates["found"]))
    is_there = possible["found"].map(lambda each: each is not None and each not in broken)
    usable = replace_screenings(possible[is_there], ledger)

    preferred = Choice({}, {})
    visits, absent = (
        set(some[["subject", "visit"]].itertuples(index=False, name=None))
        for some in (usable, possible[~is_there])
    )
    if visits & absent:
        # Clinica says which scans it would take if all were there, and stops since it finds no files
        logger.info("Clinica is asked what it would take of all that is listed; its warnings mean nothing.")
        place = staging / "listed"
        listed = possible[possible["subject"].isin(usable["subject"])]
        stage_adni_images({}, listed["subject"].unique(), place / "images")
        write_tables(tables.staged(to_mpragemeta(listed, Ledger())), place / "tables")
        folders = (place / "images", place / "tables", place / "bids")
        run = download.run("adni-to-bids", "-m", "T1", *folders, check=False)
        try:
            preferred = read_choice(place / "bids")
        except FileNotFoundError:
            raise run.error() from None

    sources = stage_adni_images(dict(usable["found"]), usable["subject"].unique(), staging / "images")
    write_tables(tables.staged(to_mpragemeta(usable, ledger)), staging / "tables")
    ledger.made("MPRAGEMETA", [], len(tables.scans), len(usable), "scans on disk that can be used")
    download.run("adni-to-bids", "-m", "T1", staging / "images", staging / "tables", output)
    _make_reproducible(output, sources)
    chosen = read_choice(output)
    kinds = scans.loc[list(chosen.images.values()), "type"]
    processed = int((kinds == "Processed").sum())
    ledger.made("MPRAGEMETA", [], len(kinds), processed, "chosen scans that ADNI pre-processed")
    return report_adni(tables, scans, series, broken, chosen, preferred, output)


def _convert_aibl(download: Download, output: Path) -> list[Row]:
    images, staged_tables = download.staging / "images", download.staging / "tables"
    tables = read_aibl_tables(download.tables, download.ledger)
    download.warn()
    promised = read_scan_dates(tables)
    sessions = assign_sessions(list_series(download.images, "AIBL"), promised)
    broken = download.find_broken([each for each, session in sessions.items() if session])
    write_tables(stage_aibl_tables(tables), staged_tables)
    while True:
        chosen = choose_aibl_series((each for each in sessions if each not in broken), sessions)
        sources = stage_aibl_images(chosen, promised, images)
        _place_nifti(chosen, sessions, promised, output)
        run = download.run("aibl-to-bids", images, staged_tables, output, check=False)
        if run.exit_code == 0:
            break
        # The headers were good, but dcm2niix failed: Clinica stops there, so it has to start again without.
        failed = {match.groups() for line in run.lines if (match := _NOT_CREATED.search(line))}
        failures = [each for each in chosen if (each.subject, sessions[each]) in failed]
        if not failures:
            raise run.error()
        broken |= dict.fromkeys(failures, "dcm2niix could not convert it; the log has its message")
        for folder in (images, output):
            shutil.rmtree(folder)
        output.mkdir()
    _make_reproducible(output, sources)
    return report_aibl(output, set(tables["ptdemog"]["RID"]), sessions, chosen, broken, promised)


def _place_nifti(
    chosen: list[Series], sessions: Mapping[Series, str | None], promised: Promised, output: Path
) -> None:
    """Put NIfTI images where Clinica's AIBL converter, which knows DICOM only, takes them for made."""
    for each in filter(lambda one: one.is_nifti, chosen):
        content = each.files[0].read_bytes()
        if not each.files[0].name.lower().endswith(".gz"):
            content = gzip.compress(content, mtime=0)
        path = image_path("AIBL", output, each.subject, sessions[each] or "")
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        if visit := promised.get((each.subject, each.date)):
            sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
            write_json(sidecar, {"MagneticFieldStrength": visit[1]})


def _make_reproducible(output: Path, sources: Mapping[str, Path]) -> None:
    """Give the converter's tables an order that does not depend on the file system, and the true paths."""
    for path in sorted(output.rglob("*.tsv")):
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        rows = ["\t".join(str(sources.get(cell, cell)) for cell in line.split("\t")) for line in lines]
        write_text(path, "\n".join([header, *sorted(rows)]) + "\n")
