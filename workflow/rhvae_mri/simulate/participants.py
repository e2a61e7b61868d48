"""The virtual participants of a simulated cohort: who they are, their anatomy, visits and scans.

Age, sex and Alzheimer's disease act on the anatomy so that its distributions overlap between the classes.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy

from rhvae_mri.io.errors import StudyError
from rhvae_mri.simulate.acquisition import site_scanner
from rhvae_mri.simulate.records import Anatomy, Diagnosis, Fault, Participant, Scan, Visit
from rhvae_mri.study.seeds import derive_seed

_FAULTS: tuple[Fault, ...] = get_args(Fault)[1:]


class _Plan(NamedTuple):
    """What the part of the cohort fixes: diagnoses at the first and later visits, and what is wrong."""

    first: Diagnosis
    later: Diagnosis
    fault: Fault = "none"
    imaged: bool = True


#: The parts of a cohort, in the order in which they are listed; their participants have both plans in turn.
_PLANS: dict[str, tuple[_Plan, _Plan]] = {
    "AD": (_Plan("AD", "AD"),) * 2,
    "CN": (_Plan("CN", "CN"),) * 2,
    "MCI": (_Plan("MCI", "MCI"),) * 2,
    "converters": (_Plan("CN", "MCI"), _Plan("MCI", "AD")),
    "without_image": (_Plan("AD", "AD", imaged=False), _Plan("CN", "CN", imaged=False)),
    **{fault: (_Plan("AD", "AD", fault), _Plan("CN", "CN", fault)) for fault in _FAULTS},
}
GROUPS = tuple(_PLANS)

#: The participants of a simulated cohort that are not for the study.
SPECIAL_CASES = {
    "ADNI": {"MCI": 4, "converters": 2, "without_image": 2} | dict.fromkeys(_FAULTS, 1),
    "AIBL": {"MCI": 2, "converters": 1, "without_image": 1, "truncated_series": 1},
}

#: ADNI's phases: share of the participants, first and last screening, range of roster numbers (wider than the
#: real ones, so that a large simulated cohort fits in).
_PHASES = {
    "ADNI1": (0.45, "2005-09-01", "2007-09-01", 1),
    "ADNIGO": (0.05, "2010-05-01", "2011-03-01", 3301),
    "ADNI2": (0.30, "2011-04-01", "2013-09-01", 3301),
    "ADNI3": (0.20, "2017-02-01", "2021-06-01", 6601),
}
_NUMBERS_PER_PHASE = 3299  # a prime number

#: Participants of a part. ADNI's roster numbers have four digits, AIBL's numbers have no end.
_LARGEST_PART = {"ADNI": _NUMBERS_PER_PHASE // len(GROUPS), "AIBL": 100_000}
_AIBL_SCREENING = ("2006-11-01", "2008-09-01")

#: Some of ADNI's sites, and AIBL's two.
_ADNI_SITES = (2, 3, 5, 6, 7, 11, 13, 14, 16, 18, 20, 21, 22, 23, 24, 27)
_AIBL_SITES = (2, 3)

#: Month of the follow-up visit.
_FOLLOW_UP_MONTH = {"ADNI": 12, "AIBL": 18}

#: Shares of participants: with a scan at the follow-up visit, with a visit but no scan, with a repeated scan
#: at the first visit, and (of those of ADNI 1) with another scan at 3 T on the same day.
_FOLLOW_UP_SCAN, _FOLLOW_UP_ONLY, _REPEAT, _SECOND_FIELD = 0.15, 0.30, 0.2, 0.25

#: Mean and standard deviation of the age at the first visit, and its limits.
_AGE, _AGE_LIMITS = {"CN": (74.5, 6.0), "MCI": (74.0, 7.0), "AD": (75.5, 6.5)}, (55.0, 90.0)

#: Chances of 0, 1 and 2 alleles.
_APOE4 = {"CN": (0.72, 0.25, 0.03), "MCI": (0.50, 0.38, 0.12), "AD": (0.34, 0.47, 0.19)}

#: Limits of the MMSE.
_MMSE = {"CN": (27, 30), "MCI": (24, 29), "AD": (18, 26)}

#: Ventricles and hippocampi: volume in a healthy person of 75 years relative to the template, whose brains
#: are younger; of its logarithm the yearly change among the healthy, and the standard deviation between
#: persons of one age, sex and severity.
_VENTRICLES_AT_75, _HIPPOCAMPI_AT_75 = 1.45, 0.95
_VENTRICLES_PER_YEAR, _HIPPOCAMPI_PER_YEAR = 0.020, -0.006
_VENTRICLE_SPREAD, _HIPPOCAMPUS_SPREAD = 0.22, 0.07

#: Bounds of the scales, so that every deformation stays invertible.
_VENTRICLE_BOUNDS, _HIPPOCAMPUS_BOUNDS = (0.7, 3.0), (0.5, 1.2)

#: Atrophy at the first visit (1: a typical case of Alzheimer's disease), its spread and yearly growth.
_COURSES = {"CN": (0.0, 0.25, 0.02), "MCI": (0.5, 0.35, 0.10), "AD": (1.0, 0.35, 0.18)}

#: Change of the logarithmic volumes, and of the cortical thinning, at severity 1.
_VENTRICLE_EFFECT, _HIPPOCAMPUS_EFFECT, _CORTEX_EFFECT = 0.45, -0.32, 0.14


def draw_cohort(cohort: str, counts: Mapping[str, int], voxel_size: float, seed: int) -> list[Participant]:
    """Draw the participants of ``ADNI`` or ``AIBL``, with so many in each part (`GROUPS`).

    ``AD``, ``CN`` and ``MCI`` have a stable diagnosis and good scans; that of ``converters`` changes at the
    second visit. The tables list scans of ``without_image`` that the download does not hold. The only scan of
    each of the last three carries the fault of that name. Slices are 1.2 times as thick as ``voxel_size``
    (mm), and sites have 1 to 1.25 times this size in the plane, as in ADNI with 1 mm. A participant depends
    on the seed and on the place in the part only.
    """
    limit = _LARGEST_PART[cohort]
    if (largest := max(counts.values())) > limit:
        raise StudyError(
            f"A simulated cohort cannot have {largest} participants in one part.",
            where=f"simulation.participants.{cohort}",
            remedy=f"Give at most {limit}.",
        )
    return [
        _draw_participant(cohort, group, number, voxel_size, seed)
        for group in GROUPS
        for number in range(counts.get(group, 0))
    ]


def _draw_participant(cohort: str, group: str, number: int, voxel_size: float, seed: int) -> Participant:
    """Draw the participant with this number, from 0, in a part of a cohort."""
    person_seed = derive_seed(seed, "participant", cohort, group, number)
    random = numpy.random.default_rng(person_seed)
    plan = _PLANS[group][number % 2]
    # no two participants share a place
    place = number * len(GROUPS) + GROUPS.index(group)
    phase, roster_number, first_date = _enrol(cohort, place, derive_seed(seed, "roster", cohort), random)
    site = int(random.choice(_ADNI_SITES if cohort == "ADNI" else _AIBL_SITES))
    subject = f"{site:03d}_S_{roster_number:04d}" if cohort == "ADNI" else str(roster_number)
    mean, spread = _AGE[plan.first]
    age = round(float(numpy.clip(random.normal(mean, spread), *_AGE_LIMITS)), 1)
    sex: Literal["M", "F"] = "M" if random.random() < 0.5 else "F"
    return Participant(
        cohort=cohort,
        subject=subject,
        participant_id=f"sub-{cohort}{subject.replace('_', '')}",
        sex=sex,
        age=age,
        education_years=int(numpy.clip(round(random.normal(15.5, 2.8)), 6, 20)),
        apoe4_alleles=int(random.choice(3, p=_APOE4[plan.first])),
        site=site,
        phase=phase,
        anatomy=draw_anatomy(plan.first, age, sex, derive_seed(person_seed, "anatomy")),
        visits=_draw_visits(cohort, phase, site, plan, place, first_date, voxel_size, person_seed),
    )


def _enrol(
    cohort: str, place: int, roster_seed: int, random: numpy.random.Generator
) -> tuple[str, int, datetime.date]:
    """Draw phase, roster number and date of the first visit."""
    # places become numbers without order, and different places different numbers
    shuffled = (place * (1 + roster_seed % (_NUMBERS_PER_PHASE - 1)) + roster_seed) % _NUMBERS_PER_PHASE
    if cohort == "AIBL":
        block = place // _NUMBERS_PER_PHASE
        phase, number, (begin, end) = "AIBL", 1 + block * _NUMBERS_PER_PHASE + shuffled, _AIBL_SCREENING
    else:
        phase = str(random.choice(list(_PHASES), p=[share for share, *_ in _PHASES.values()]))
        _, begin, end, first_number = _PHASES[phase]
        number = first_number + shuffled
    first, last = datetime.date.fromisoformat(begin), datetime.date.fromisoformat(end)
    return phase, number, _working_day(first + datetime.timedelta(int(random.integers((last - first).days))))


def _draw_visits(
    cohort: str,
    phase: str,
    site: int,
    plan: _Plan,
    place: int,
    first_date: datetime.date,
    voxel_size: float,
    person_seed: int,
) -> tuple[Visit, ...]:
    """Draw the first visit and, for some, one that follows."""
    random = numpy.random.default_rng(derive_seed(person_seed, "visits"))
    converts = plan.first != plan.later
    good = plan.fault == "none" and plan.imaged
    chance = random.random()
    has_second_scan = good and chance < _FOLLOW_UP_SCAN
    # a change of the diagnosis takes a second visit
    has_second_visit = converts or chance < _FOLLOW_UP_SCAN + _FOLLOW_UP_ONLY
    month = _FOLLOW_UP_MONTH[cohort]
    delay = datetime.timedelta(round(month * 30.44 + random.normal(0, 12)))
    times = [(0, first_date, plan.first, True)]
    if has_second_visit:
        times.append((month, _working_day(first_date + delay), plan.later, has_second_scan or converts))

    visits: list[Visit] = []
    images = itertools.count()
    for visit_month, date, diagnosis, scanned in times:
        scans: list[Scan] = []
        wanted = _wanted_scans(cohort, phase, good and visit_month == 0, random) if scanned else []
        for sequence, field_strength, usable in wanted:
            image = next(images)
            number = 20 * place + image  # a place has room for 20 images
            in_plane = voxel_size * site_scanner(cohort, site, field_strength).in_plane
            sizes, seed = (1.2 * voxel_size, in_plane, in_plane), derive_seed(person_seed, "scan", image)
            about = (sequence, field_strength, sizes, plan.fault, usable, plan.imaged, seed)
            scans.append(Scan(30_000 + number, 10_000 + number, *about))
        mmse, cdr = _draw_scores(diagnosis, random)
        visits.append(Visit(visit_month, date, diagnosis, mmse, cdr, tuple(scans)))
    return tuple(visits)


def _wanted_scans(
    cohort: str, phase: str, may_repeat: bool, random: numpy.random.Generator
) -> list[tuple[str, float, bool]]:
    """Draw the scans of one visit: sequence, field strength (tesla), and whether the study accepts it."""
    repeated = may_repeat and random.random() < _REPEAT
    second_field = may_repeat and random.random() < _SECOND_FIELD
    if cohort == "AIBL":
        field_strength = 1.5 if random.random() < 0.3 else 3.0
        scans = [("MPRAGE_ADNI_confirmed", field_strength, True)]
        # AIBL has no table of rejected scans: both are good
        return scans + [("MPRAGE_ADNI_confirmed_REPEAT", field_strength, True)] * repeated
    sequence, field_strength = {
        "ADNI1": ("MP-RAGE", 1.5),
        "ADNIGO": ("MPRAGE", 3.0),
        "ADNI2": ("MPRAGE", 3.0),
        "ADNI3": ("Accelerated Sagittal MPRAGE", 3.0),
    }[phase]
    scans = [(sequence, field_strength, not repeated)]
    if repeated:
        scans.append((f"{sequence} REPEAT", field_strength, True))
    if second_field and phase == "ADNI1":
        scans.append((sequence, 3.0, True))
    return scans


def _draw_scores(diagnosis: Diagnosis, random: numpy.random.Generator) -> tuple[int, float]:
    """Draw MMSE and global CDR."""
    low, high = _MMSE[diagnosis]
    mmse = int(random.integers(low, high + 1))
    if diagnosis == "AD":
        # the more severe cases are rated 1
        return mmse, 1.0 if mmse < 22 or random.random() < 0.3 else 0.5
    return mmse, 0.0 if diagnosis == "CN" else 0.5


def _working_day(date: datetime.date) -> datetime.date:
    """Move a date at a weekend to the Monday after it."""
    return date + datetime.timedelta({5: 2, 6: 1}.get(date.weekday(), 0))


def draw_anatomy(diagnosis: Diagnosis, age: float, sex: str, seed: int) -> Anatomy:
    """Draw the anatomy at the first visit; the head's own seed follows from the seed."""
    random = numpy.random.default_rng(seed)
    usual, spread, _ = _COURSES[diagnosis]
    severity = usual + spread * random.standard_normal()
    # persons differ in the same direction: who has large ventricles tends to have small hippocampi
    shared, ventricle_own, hippocampus_own, cortex_own = random.standard_normal(4)
    years = age - 75
    ventricles = (
        numpy.log(_VENTRICLES_AT_75)
        + _VENTRICLES_PER_YEAR * years
        + (0.04 if sex == "M" else -0.04)
        + _VENTRICLE_EFFECT * severity
        + _VENTRICLE_SPREAD * (0.4 * shared + 0.917 * ventricle_own)
    )
    hippocampi = (
        numpy.log(_HIPPOCAMPI_AT_75)
        + _HIPPOCAMPI_PER_YEAR * years
        + _HIPPOCAMPUS_EFFECT * severity
        + _HIPPOCAMPUS_SPREAD * (-0.4 * shared + 0.917 * hippocampus_own)
    )
    thinning = 0.08 + 0.002 * years + _CORTEX_EFFECT * severity + 0.05 * cortex_own
    return _bounded(ventricles, hippocampi, thinning, int(random.integers(2**62)))


def anatomy_at(participant: Participant, visit: Visit) -> Anatomy:
    """Give a participant's anatomy at a visit: the first one's, after the disease's course since then."""
    start = participant.anatomy
    years = visit.month / 12
    if years == 0:
        return start
    severity = _COURSES[visit.diagnosis][2] * years
    return _bounded(
        numpy.log(start.ventricle_scale) + _VENTRICLES_PER_YEAR * years + _VENTRICLE_EFFECT * severity,
        numpy.log(start.hippocampus_scale) + _HIPPOCAMPI_PER_YEAR * years + _HIPPOCAMPUS_EFFECT * severity,
        start.cortical_thinning + 0.002 * years + _CORTEX_EFFECT * severity,
        start.head_seed,
    )


def _bounded(log_ventricles: float, log_hippocampi: float, thinning: float, head_seed: int) -> Anatomy:
    """Make an anatomy within the bounds of the deformations."""
    return Anatomy(
        ventricle_scale=float(numpy.clip(numpy.exp(log_ventricles), *_VENTRICLE_BOUNDS)),
        hippocampus_scale=float(numpy.clip(numpy.exp(log_hippocampi), *_HIPPOCAMPUS_BOUNDS)),
        cortical_thinning=float(numpy.clip(thinning, 0.0, 0.45)),
        head_seed=head_seed,
    )
