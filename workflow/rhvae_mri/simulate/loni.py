"""The folders of a download from LONI's Image and Data Archive, as ADNI and AIBL share them."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from rhvae_mri.simulate.records import Participant, Scan, Visit

#: Several scans of one visit start this far apart.
_TIME_BETWEEN_SCANS = datetime.timedelta(minutes=12)


@dataclass(frozen=True)
class SeriesPlace:
    """Where a download holds the files of one series."""

    folder: PurePosixPath
    file_stem: str
    image_id: str
    time: datetime.datetime
    series_number: int


def series_place(participant: Participant, visit: Visit, scan: Scan) -> SeriesPlace:
    """Return where a scan's series lies in its cohort's download."""
    number = visit.scans.index(scan) + 1
    time = datetime.datetime.combine(visit.date, datetime.time(8)) + number * _TIME_BETWEEN_SCANS
    sequence = folder_name(scan.sequence)
    folder = PurePosixPath(
        participant.subject, sequence, time.strftime("%Y-%m-%d_%H_%M_%S.0"), f"I{scan.image_uid}"
    )
    stamp = time.strftime("%Y%m%d%H%M%S000")
    return SeriesPlace(
        folder=folder,
        file_stem=f"{participant.cohort}_{participant.subject}_MR_{sequence}_br_raw_{stamp}",
        image_id=f"S{scan.series_id}_I{scan.image_uid}",
        time=time,
        series_number=number,
    )


def folder_name(sequence: str) -> str:
    """Return a sequence's name as the archive writes it in paths."""
    return re.sub(r"[^A-Za-z0-9-]", "_", sequence)
