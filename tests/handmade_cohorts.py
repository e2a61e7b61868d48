"""Two tiny cohorts made by hand, with everything that downloads have, and smooth random volumes as heads."""

import datetime
from pathlib import Path

import numpy
from scipy import ndimage
from scipy.spatial.transform import Rotation

from rhvae_mri.simulate import adni
from rhvae_mri.simulate.download import write_download
from rhvae_mri.simulate.records import Anatomy, Generation, Participant, Scan, SimulatedScan, Visit

SHAPE = (14, 17, 15)
_START = datetime.date(2006, 4, 18)


def make_scan(number: int, **changes) -> Scan:
    values = {
        "image_uid": 10_000 + number,
        "series_id": 5_000 + number,
        "sequence": "MPRAGE",
        "field_strength": 3.0,
        "voxel_size": (1.2, 1.0, 1.1),
        "fault": "none",
        "usable": True,
        "on_disk": True,
        "seed": number,
    }
    return Scan(**values | changes)


def make_visit(month: int, diagnosis: str, *scans: Scan) -> Visit:
    mmse, cdr = {"CN": (29, 0.0), "MCI": (27, 0.5), "AD": (23, 1.0)}[diagnosis]
    return Visit(month, _START + datetime.timedelta(days=30 * month), diagnosis, mmse, cdr, scans)


def make_participant(subject: str, phase: str, *visits: Visit, **changes) -> Participant:
    cohort = "AIBL" if phase == "AIBL" else "ADNI"
    values = {
        "cohort": cohort,
        "subject": subject,
        "participant_id": f"sub-{cohort}{subject.replace('_', '')}",
        "sex": "F",
        "age": 71.3,
        "education_years": 16,
        "apoe4_alleles": 1,
        "site": int(subject.split("_")[0]) if cohort == "ADNI" else 1,
        "phase": phase,
        "anatomy": Anatomy(1.0, 1.0, 0.0, 0),
        "visits": visits,
    }
    return Participant(**values | changes)


def make_participants(people: dict[tuple[str, str], list[Visit]], men: list[str]) -> list[Participant]:
    """People by subject and phase; all are women but some."""
    sexes = {subject: {"sex": "M"} for subject in men}
    return [make_participant(*who, *visits, **sexes.get(who[0], {})) for who, visits in people.items()]


def adni_cohort() -> list[Participant]:
    accelerated = "Accelerated Sagittal MPRAGE"
    early = {"field_strength": 1.5, "sequence": "MP-RAGE"}
    rejected = make_scan(3, usable=False, sequence="MPRAGE SENSE")
    repeated = make_scan(4, sequence="MPRAGE SENSE repeat")
    people: dict[tuple[str, str], list[Visit]] = {
        ("002_S_0001", "ADNI1"): [
            make_visit(0, "AD", make_scan(1, **early)),
            make_visit(12, "AD", make_scan(2, **early)),
        ],
        ("005_S_4002", "ADNI2"): [make_visit(0, "CN", rejected, repeated)],
        ("009_S_6003", "ADNI3"): [
            make_visit(0, "MCI", make_scan(5, sequence=accelerated)),
            make_visit(12, "MCI"),
        ],
        ("010_S_4004", "ADNI2"): [
            make_visit(0, "CN", make_scan(6, fault="truncated_series")),
            make_visit(24, "CN", make_scan(7)),
        ],
        ("011_S_0005", "ADNI1"): [make_visit(0, "AD")],
        ("012_S_2006", "ADNIGO"): [make_visit(0, "MCI", make_scan(8, on_disk=False))],
        ("013_S_4007", "ADNI2"): [
            make_visit(0, "MCI", make_scan(9)),
            make_visit(12, "AD", make_scan(10, on_disk=False)),
        ],
        ("014_S_6008", "ADNI3"): [make_visit(0, "CN", make_scan(11, sequence=accelerated, usable=False))],
    }
    return make_participants(people, men=["005_S_4002"])


def aibl_cohort() -> list[Participant]:
    dated = "MPRAGE_ADNI_confirmed"
    people: dict[tuple[str, str], list[Visit]] = {
        ("10", "AIBL"): [
            make_visit(0, "AD", make_scan(21, sequence=dated), make_scan(22, sequence=f"{dated}_REPEAT")),
            make_visit(18, "AD", make_scan(23, sequence=dated, field_strength=1.5)),
            make_visit(36, "CN"),
        ],
        ("207", "AIBL"): [make_visit(0, "CN", make_scan(24, sequence="MPRAGE_SAG_ISO_p2"))],
        ("31", "AIBL"): [make_visit(0, "CN", make_scan(25, sequence=dated, fault="truncated_series"))],
        ("48", "AIBL"): [make_visit(0, "MCI", make_scan(26, sequence=dated, on_disk=False))],
    }
    return make_participants(people, men=["207"])


def make_volume(participant: Participant, visit: Visit, scan: Scan) -> SimulatedScan:
    """A smooth random volume without any symmetry, with a tilted affine."""
    random = numpy.random.default_rng(scan.seed)
    smooth = ndimage.gaussian_filter(random.normal(size=SHAPE), 1.5)
    volume = (2000 * (smooth - smooth.min()) / numpy.ptp(smooth)).astype(numpy.int16)
    turn = Rotation.from_euler("xyz", random.uniform(-12, 12, 3), degrees=True).as_matrix()
    affine = numpy.eye(4)
    affine[:3, :3] = turn * numpy.array(scan.voxel_size)
    affine[:3, 3] = random.uniform(-80, -60, 3)
    return SimulatedScan(volume, affine, numpy.linalg.inv(affine), numpy.arange(4.0), 30.0, 6.0)


def write_cohort(
    participants: list[Participant], root: Path, generation: Generation = 2018, with_merge: bool = False
) -> tuple[Path, Path, Path]:
    """Write a download and return its images folder, its tables folder and its truth."""
    places = root / "images", root / "tables", root / "truth.tsv"
    write_download(participants, make_volume, 1, *places, progress=False, generation=generation)
    if with_merge:
        merge = adni.study_tables(participants, 1)["ADNIMERGE.csv"]
        merge.to_csv(places[1] / "ADNIMERGE_28Nov2026.csv", index=False)
    return places
