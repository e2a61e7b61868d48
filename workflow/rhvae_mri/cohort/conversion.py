"""The conversion of a raw download to BIDS, by Clinica's own converters.

Clinica 0.12 leaves images out without a word, and one unreadable AIBL series stops it altogether. So the
download is checked first, broken series are set aside, and a report says what became of every promised
image.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas

from rhvae_mri.cohort.aibl_visits import assign_sessions, read_scan_dates
from rhvae_mri.cohort.bids_validity import mend_dataset
from rhvae_mri.cohort.clinica import ClinicaRun, run_clinica
from rhvae_mri.cohort.conversion_report import Row, report_adni, report_aibl, report_table
from rhvae_mri.cohort.preflight import check_download
from rhvae_mri.cohort.privacy import remove_personal_data
from rhvae_mri.cohort.series import Series, find_broken_series, list_adni_series, list_aibl_series
from rhvae_mri.cohort.staging import (
    choose_aibl_series,
    stage_adni_images,
    stage_aibl_images,
    stage_tables,
)
from rhvae_mri.cohort.study_tables import find_table
from rhvae_mri.errors import StudyError
from rhvae_mri.files import write_text, write_tsv
from rhvae_mri.folders import atomic_folder

logger = logging.getLogger(__name__)

#: What Clinica prints before it stops at an AIBL series that dcm2niix could not convert.
_NOT_CREATED = re.compile(r"sub-AIBL(\d+)_(ses-M\d+)_T1w\.nii\.gz should have been created")

_REMEDY = "Read Clinica's messages in this job's log; mend or remove what they name, and start again."


def convert_to_bids(
    cohort: str,
    images: str | os.PathLike[str],
    tables: str | os.PathLike[str],
    bids: str | os.PathLike[str],
    report: str | os.PathLike[str],
    processes: int = 1,
    log_folder: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> None:
    """Convert a raw download to BIDS, and report what became of every image that its tables promise.

    Parameters
    ----------
    cohort : str
        ``ADNI`` or ``AIBL``.
    images, tables : path
        The download: folder of the images and folder of the study tables. Neither is changed.
    bids : path
        Folder to write; it is complete or absent. Only T1-weighted images are converted. What the converter
        leaves invalid is mended (see `rhvae_mri.cohort.bids_validity.mend_dataset`), and what it leaves of
        persons is removed (see `rhvae_mri.cohort.privacy.remove_personal_data`).
    report : path
        Table to write: cohort, participant_id, session_id (missing for a participant as a whole), status
        (``converted``, ``missing`` or ``unreadable``), source (relative to ``images``) and reason.
    processes : int
        How many processes to use; never more than the machine has CPUs are used.
    log_folder : path, optional
        Where Clinica keeps its own log files; what it prints goes to standard output in any case.
    progress : bool
        Show a progress bar of the check of the series on standard error.

    Raises
    ------
    StudyError
        If the download is incomplete (see `rhvae_mri.cohort.preflight.check_download`), none of its series
        can be read, or the converter fails.
    """
    check_download(cohort, images, tables)
    images, tables = Path(images).resolve(), Path(tables).resolve()
    series = list_aibl_series(images) if cohort == "AIBL" else list_adni_series(images, _known_images(tables))
    processes = max(1, min(processes, multiprocessing.cpu_count()))
    broken = find_broken_series(series, processes, progress)
    for each, problem in broken.items():
        logger.warning("set aside: %s: %s", each.folder.relative_to(images), problem)
    if len(broken) == len(series):
        raise StudyError(
            f"None of the {len(series)} T1-weighted series of the {cohort} download can be converted.",
            where=images,
            cause=next(iter(broken.values()), "The tables list none of the images that are there."),
            remedy="Download images and tables again, in the layout of LONI's archive.",
        )
    convert = {"ADNI": _convert_adni, "AIBL": _convert_aibl}[cohort]
    with atomic_folder(bids) as output, tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary).resolve()
        download = _Download(images, tables, Path(log_folder or staging / "log"), processes)
        rows = convert(download, series, broken, staging, output)
        mend_dataset(output)
        remove_personal_data(output, processes)
        _make_reproducible(output, staging / "images", images)
        table = report_table(cohort, images, rows)
        write_tsv(report, table)
    logger.info("%s: %s", cohort, table["status"].value_counts().to_dict())


@dataclass(frozen=True)
class _Download:
    """A download that has passed the preflight, and how to convert it."""

    images: Path
    tables: Path
    log_folder: Path
    processes: int

    def run(self, converter: str, staging: Path, output: Path, *options: str) -> ClinicaRun:
        words = ("convert", converter, *options, "-np", str(self.processes))
        return run_clinica((*words, staging / "images", staging / "tables", output), self.log_folder)


def _known_images(tables: Path) -> set[int]:
    """Return the numbers of ADNI's T1-weighted images."""
    numbers = pandas.read_csv(find_table("ADNI", "MPRAGEMETA", tables), usecols=["ImageUID"])["ImageUID"]
    return set(numbers.dropna().astype(int))


def _convert_adni(
    download: _Download, series: list[Series], broken: dict[Series, str], staging: Path, output: Path
) -> list[Row]:
    stage_adni_images(download.images, broken, staging / "images")
    stage_tables("ADNI", download.tables, staging / "tables")
    run = download.run("adni-to-bids", staging, output, "-m", "T1")
    if run.exit_code != 0:
        raise run.error(_REMEDY)
    return report_adni(download.images, download.tables, output, series, broken)


def _convert_aibl(
    download: _Download, series: list[Series], broken: dict[Series, str], staging: Path, output: Path
) -> list[Row]:
    promised = read_scan_dates(download.tables)
    sessions = assign_sessions(series, promised)
    stage_tables("AIBL", download.tables, staging / "tables")
    while True:
        chosen = choose_aibl_series((each for each in series if each not in broken), sessions)
        stage_aibl_images(chosen, staging / "images")
        run = download.run("aibl-to-bids", staging, output)
        if run.exit_code == 0:
            break
        # The headers were good, but dcm2niix failed: Clinica stops there, so it has to start again without.
        failed = {match.groups() for line in run.lines if (match := _NOT_CREATED.search(line))}
        failures = [each for each in chosen if (each.subject, sessions[each]) in failed]
        if not failures:
            raise run.error(_REMEDY)
        broken |= dict.fromkeys(failures, "dcm2niix could not convert it; the log has its message")
        for folder in (staging / "images", output):
            shutil.rmtree(folder)
        output.mkdir()
    return report_aibl(download.images, download.tables, output, sessions, chosen, broken, promised)


def _make_reproducible(output: Path, staged: Path, images: Path) -> None:
    """Give the converter's tables an order that does not depend on the file system, and the true paths."""
    for path in sorted(output.rglob("*.tsv")):
        header, *lines = path.read_text(encoding="utf-8").replace(str(staged), str(images)).splitlines()
        write_text(path, "\n".join([header, *sorted(lines)]) + "\n")
