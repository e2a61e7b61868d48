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
    """The true anatomy of one participant, at the first visit unless said.

    Attributes
    ----------
    ventricle_scale : float
        Factor on the volume of the lateral ventricles relative to the average template.
    hippocampus_scale : float
        Factor on the volume of the hippocampi and the medial temporal lobe around them.
    cortical_thinning : float
        Fraction of the cortical ribbon's intensity that is replaced by cerebrospinal fluid, 0 to 1.
    head_seed : int
        Seed of the smooth individual deformation; the same at every visit of the participant.
    """

    ventricle_scale: float
    hippocampus_scale: float
    cortical_thinning: float
    head_seed: int


@dataclass(frozen=True)
class Scan:
    """One T1-weighted series.

    Attributes
    ----------
    image_uid, series_id : int
        The numbers behind "I" and "S" in a LONI download.
    sequence : str
        Name of the sequence, as in the download's folder (e.g. ``MPRAGE``).
    field_strength : float
        In tesla, 1.5 or 3.0.
    voxel_size : tuple of float
        In mm, along the patient's left-right, posterior-anterior and inferior-superior axes.
    fault : Fault
        What is planted in it.
    usable : bool
        What the study's own quality table says of it (a repeated scan whose first attempt was rejected).
    on_disk : bool
        False where the tables list a scan that the download does not contain.
    seed : int
        Seed of pose, bias field and noise.
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
    """A virtual participant.

    Attributes
    ----------
    cohort : str
        ``ADNI`` or ``AIBL``.
    subject : str
        The identifier in the download: ``002_S_0295`` (ADNI) or ``10`` (AIBL).
    participant_id : str
        The BIDS label that Clinica makes of it: ``sub-ADNI002S0295`` or ``sub-AIBL10``.
    age : float
        In years, at the first visit.
    phase : str
        ``ADNI1``, ``ADNIGO``, ``ADNI2`` or ``ADNI3``, in downloads of today ``ADNI4`` too; ``AIBL`` for AIBL.
    """

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
    """A rendered scan with its ground truth.

    Attributes
    ----------
    volume : numpy.ndarray
        int16, axes in RAS+ order (left to right, posterior to anterior, inferior to superior).
    affine : numpy.ndarray
        Shape (4, 4), voxel index to scanner coordinates (RAS+, mm).
    template_to_voxel : numpy.ndarray
        Shape (4, 4): the true affine, from template coordinates (MNI, RAS+, mm) to indices of ``volume``.
    bias_coefficients : numpy.ndarray
        Coefficients of the log bias field, see `rhvae_mri.simulate.heads.bias_field`.
    ventricle_ml, hippocampus_ml : float
        True volumes of the lateral ventricles and of the hippocampi, both sides together, in millilitres.
    """

    volume: numpy.ndarray
    affine: numpy.ndarray
    template_to_voxel: numpy.ndarray
    bias_coefficients: numpy.ndarray
    ventricle_ml: float
    hippocampus_ml: float
