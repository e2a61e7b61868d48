"""What a simulated cohort consists of: participants, their visits, and the scans of each visit."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Anatomy:
    """The true anatomy of one participant, at the first visit unless said."""

    ventricle_scale: float
    hippocampus_scale: float
    cortical_thinning: float
    head_seed: int


@dataclass(frozen=True)
class Scan:
    """One T1-weighted series."""

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
    """A virtual participant."""

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


@dataclass(frozen=True)
class SimulatedScan:
    """A rendered scan with its ground truth."""

    volume: numpy.ndarray
    affine: numpy.ndarray
    template_to_voxel: numpy.ndarray
    bias_coefficients: numpy.ndarray
    ventricle_ml: float
    hippocampus_ml: float
