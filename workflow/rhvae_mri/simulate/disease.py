"""How age, sex and Alzheimer's disease act on the anatomy: the distributions that overlap between classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from rhvae_mri.simulate.records import Anatomy, Diagnosis, Participant, Visit

#: Ventricles and hippocampi of a healthy person of 75 years relative to the average template, whose brains
#: are younger.
VENTRICLES_AT_75, HIPPOCAMPI_AT_75 = 1.45, 0.95

#: Yearly change of the logarithmic volumes with age among the healthy.
VENTRICLES_PER_YEAR, HIPPOCAMPI_PER_YEAR = 0.020, -0.006

#: Standard deviation of the logarithmic volumes between persons of one age, sex and severity.
VENTRICLE_SPREAD, HIPPOCAMPUS_SPREAD = 0.22, 0.07

#: Bounds of the scales, so that every deformation stays invertible.
VENTRICLE_BOUNDS, HIPPOCAMPUS_BOUNDS = (0.7, 3.0), (0.5, 1.2)


@dataclass(frozen=True)
class Course:
    """What a diagnosis does to the anatomy."""

    severity: float
    severity_spread: float
    per_year: float


COURSES: dict[Diagnosis, Course] = {
    "CN": Course(0.0, 0.25, 0.02),
    "MCI": Course(0.5, 0.35, 0.10),
    "AD": Course(1.0, 0.35, 0.18),
}

#: Change of the logarithmic volumes, and of the cortical thinning, at severity 1.
VENTRICLE_EFFECT, HIPPOCAMPUS_EFFECT, CORTEX_EFFECT = 0.45, -0.32, 0.14


def draw_anatomy(diagnosis: Diagnosis, age: float, sex: str, seed: int) -> Anatomy:
    """Draw the anatomy at the first visit."""
    random = numpy.random.default_rng(seed)
    course = COURSES[diagnosis]
    severity = course.severity + course.severity_spread * random.standard_normal()
    # persons differ in the same direction: who has large ventricles tends to have small hippocampi
    shared, ventricle_own, hippocampus_own, cortex_own = random.standard_normal(4)
    years = age - 75
    ventricles = (
        numpy.log(VENTRICLES_AT_75)
        + VENTRICLES_PER_YEAR * years
        + (0.04 if sex == "M" else -0.04)
        + VENTRICLE_EFFECT * severity
        + VENTRICLE_SPREAD * (0.4 * shared + 0.917 * ventricle_own)
    )
    hippocampi = (
        numpy.log(HIPPOCAMPI_AT_75)
        + HIPPOCAMPI_PER_YEAR * years
        + HIPPOCAMPUS_EFFECT * severity
        + HIPPOCAMPUS_SPREAD * (-0.4 * shared + 0.917 * hippocampus_own)
    )
    thinning = 0.08 + 0.002 * years + CORTEX_EFFECT * severity + 0.05 * cortex_own
    return _bounded(ventricles, hippocampi, thinning, int(random.integers(2**62)))


def anatomy_at(participant: Participant, visit: Visit) -> Anatomy:
    """Give a participant's anatomy at a visit: the first one's, after the disease's course since then."""
    start = participant.anatomy
    years = visit.month / 12
    if years == 0:
        return start
    severity = COURSES[visit.diagnosis].per_year * years
    return _bounded(
        numpy.log(start.ventricle_scale) + VENTRICLES_PER_YEAR * years + VENTRICLE_EFFECT * severity,
        numpy.log(start.hippocampus_scale) + HIPPOCAMPI_PER_YEAR * years + HIPPOCAMPUS_EFFECT * severity,
        start.cortical_thinning + 0.002 * years + CORTEX_EFFECT * severity,
        start.head_seed,
    )


def _bounded(log_ventricles: float, log_hippocampi: float, thinning: float, head_seed: int) -> Anatomy:
    """Make an anatomy within the bounds of the deformations."""
    return Anatomy(
        ventricle_scale=float(numpy.clip(numpy.exp(log_ventricles), *VENTRICLE_BOUNDS)),
        hippocampus_scale=float(numpy.clip(numpy.exp(log_hippocampi), *HIPPOCAMPUS_BOUNDS)),
        cortical_thinning=float(numpy.clip(thinning, 0.0, 0.45)),
        head_seed=head_seed,
    )
