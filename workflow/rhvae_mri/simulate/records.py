"""What a simulated cohort consists of: participants, visits, scans, and the folders of these."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy

Diagnosis = Literal["CN", "MCI", "AD"]

#: Year whose names, columns and folders a simulated ADNI download has.
Generation = Literal[2018, 2026]

#: What is planted in a scan. ``none`` is a good scan.
#: ``truncated_series``: files of the DICOM series are cut short, so no converter can read it.
#: ``wrong_field_of_view``: most of the head lies outside the scanned box.
#: ``motion_noise``: strong ghosting, blur and noise.
Fault = Literal["none", "truncated_series", "wrong_field_of_view", "motion_noise"]

#: Several scans of one visit start this far apart.
_TIME_BETWEEN_SCANS = datetime.timedelta(minutes=12)


@dataclass(frozen=True)
class Anatomy:
    """The true anatomy of one participant, at the first visit unless said.

    The scales are factors on the average's volumes (of the hippocampi with the medial temporal lobe around
    them), ``cortical_thinning`` is the part of the cortex that fluid replaces, and the seed that of the
    deformation.
    """

    ventricle_scale: float
    hippocampus_scale: float
    cortical_thinning: float
    head_seed: int


@dataclass(frozen=True)
class Scan:
    """One T1-weighted series; field strength in tesla, voxel size in mm (left-right, back-front, bottom-top).

    ``usable`` is what the study's own quality table says of it; what is not ``on_disk`` is only listed.
    """

    image_uid: int
    series_id: int
    sequence: str
    field_strength: float
    voxel_size: tuple[float, float, float]
    fault: Fault
    usable: bool
    on_disk: bool
    seed: int


@dataclass(frozen=True)
class Visit:
    """One visit: when, the diagnosis and scores then, and its scans (possibly none, possibly several)."""

    month: int
    date: datetime.date
    diagnosis: Diagnosis
    mmse: int
    cdr: float
    scans: tuple[Scan, ...]


@dataclass(frozen=True)
class Participant:
    """A virtual participant; ``age`` in years at the first visit, ``participant_id`` as Clinica labels it."""

    cohort: str
    subject: str
    participant_id: str
    sex: Literal["M", "F"]
    age: float
    education_years: int
    apoe4_alleles: int
    site: int
    phase: str
    anatomy: Anatomy
    visits: tuple[Visit, ...]

    @property
    def roster_number(self) -> int:
        """The roster number (RID): the last digits of the subject."""
        return int(self.subject.split("_")[-1])

    def scans(self) -> Iterator[tuple[Visit, Scan]]:
        """All scans, with their visits."""
        return ((visit, scan) for visit in self.visits for scan in visit.scans)


@dataclass(frozen=True)
class SimulatedScan:
    """A rendered scan: int16 volume (axes RAS+) and affine (mm), and its truth.

    ``template_to_voxel`` leads from template coordinates (MNI, RAS+, mm) to indices; the volumes (ml) are
    those of both sides. ``bias_coefficients``: see `rhvae_mri.simulate.acquisition.bias_field`.
    """

    volume: numpy.ndarray
    affine: numpy.ndarray
    template_to_voxel: numpy.ndarray
    bias_coefficients: numpy.ndarray
    ventricle_ml: float
    hippocampus_ml: float


@dataclass(frozen=True)
class SeriesPlace:
    """The folder of a series in LONI's layout, beginning and end (``S…_I…``) of its files, its start."""

    folder: PurePosixPath
    file_stem: str
    image_id: str
    time: datetime.datetime
    series_number: int


def series_place(participant: Participant, visit: Visit, scan: Scan) -> SeriesPlace:
    """Return where a scan's series lies in its cohort's download, relative to the images folder."""
    number = visit.scans.index(scan) + 1
    time = datetime.datetime.combine(visit.date, datetime.time(8)) + number * _TIME_BETWEEN_SCANS
    sequence, stamp = folder_name(scan.sequence), time.strftime("%Y-%m-%d_%H_%M_%S.0")
    return SeriesPlace(
        folder=PurePosixPath(participant.subject, sequence, stamp, f"I{scan.image_uid}"),
        file_stem=f"{participant.cohort}_{participant.subject}_MR_{sequence}_br_raw_{time:%Y%m%d%H%M%S000}",
        image_id=f"S{scan.series_id}_I{scan.image_uid}",
        time=time,
        series_number=number,
    )


def folder_name(sequence: str) -> str:
    """Return a sequence's name as the archive writes it in paths."""
    return re.sub(r"[^A-Za-z0-9-]", "_", sequence)
