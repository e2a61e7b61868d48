"""What is true of each scan of a simulated cohort, and what the study is expected to make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas

from rhvae_mri.simulate.records import Participant, Scan, SimulatedScan, Visit

#: The scans that the study's quality check is to find.
_POOR_IMAGES = ("wrong_field_of_view", "motion_noise")
_DAYS_PER_YEAR = 365.25


def age_at(participant: Participant, visit: Visit) -> float:
    """Return a participant's age at a visit, in years."""
    return participant.age + (visit.date - participant.visits[0].date).days / _DAYS_PER_YEAR


def session_id(visit: Visit) -> str:
    """Return the BIDS session of a visit, as Clinica names it."""
    return f"ses-M{visit.month:03d}"


def chosen_scan(participant: Participant, visit: Visit) -> Scan | None:
    """Return the scan of a visit that the conversion is to take, or None for a visit without scans.

    In ADNI the study's own quality tables decide, then the field strength that is usual in the phase, and
    what they choose has to do. In AIBL the first scan that can be read is taken, preferably no repetition.
    """
    if participant.cohort == "AIBL":
        return min(
            visit.scans,
            key=lambda scan: (not _can_be_read(scan), "repeat" in scan.sequence.lower(), scan.image_uid),
            default=None,
        )
    usable = [scan for scan in visit.scans if scan.usable]
    preferred = 1.5 if participant.phase == "ADNI1" else 3.0
    return min(usable, key=lambda scan: scan.field_strength != preferred, default=None)


def _can_be_read(scan: Scan) -> bool:
    return scan.on_disk and scan.fault != "truncated_series"


def truth_table(
    participants: Sequence[Participant],
    rendered: Mapping[int, SimulatedScan],
    converted: Mapping[int, int] | None = None,
) -> pandas.DataFrame:
    """Return the truth: a row for each visit with scans, and for each participant without any image.

    ``affine_00`` to ``affine_23`` lead from template coordinates (mm) to voxel indices, row by row. Where
    another image of a scan is converted, ``converted`` has the number of that.
    """
    rows = []
    for person in participants:
        imaged = any(scan.on_disk for _, scan in person.scans())
        scans = [(visit, chosen_scan(person, visit)) for visit in person.visits if imaged]
        own = [
            _visit_row(person, visit) | _scan_row(person, visit, scan, rendered.get(scan.image_uid))
            for visit, scan in scans
            if scan is not None
        ]
        nothing = {"session_id": None, "fault": "no_image", "expected_fate": "no image"}
        rows += own or [_visit_row(person, person.visits[0]) | nothing]
    table = pandas.DataFrame(rows)
    if converted:
        numbers = {str(scan): str(image) for scan, image in converted.items()}
        table["image_uid"] = table["image_uid"].replace(numbers)
    return table


def _visit_row(person: Participant, visit: Visit) -> dict[str, object]:
    return {
        "cohort": person.cohort,
        "participant_id": person.participant_id,
        "session_id": session_id(visit),
        "subject": person.subject,
        "diagnosis": visit.diagnosis,
        "age": round(age_at(person, visit), 1),
        "sex": person.sex,
        "site": person.site,
    }


def _scan_row(
    person: Participant, visit: Visit, scan: Scan, truth: SimulatedScan | None
) -> dict[str, object]:
    row: dict[str, object] = {
        "image_uid": str(scan.image_uid),
        "field_strength": scan.field_strength,
        "fault": scan.fault if scan.on_disk else "no_image",
        "expected_fate": _expected_fate(person, visit, scan),
        **{f"voxel_size_{axis}": size for axis, size in zip("xyz", scan.voxel_size, strict=True)},
    }
    if truth is not None:
        row["ventricle_ml"] = truth.ventricle_ml
        row["hippocampus_ml"] = truth.hippocampus_ml
        row |= {f"affine_{i}{j}": float(truth.template_to_voxel[i, j]) for i in range(3) for j in range(4)}
        row |= {f"bias_{k}": float(value) for k, value in enumerate(truth.bias_coefficients.ravel())}
    return row


def _expected_fate(person: Participant, visit: Visit, scan: Scan) -> str:
    """Return what the study is to make of the chosen scan of a visit, by the rules of the protocol."""
    if not _can_be_read(scan):
        return "conversion failed" if scan.on_disk else "no image"
    chosen = ((each, chosen_scan(person, each)) for each in person.visits)
    converted = [each for each, taken in chosen if taken is not None and _can_be_read(taken)]
    # The AIBL tables that the conversion makes know of no other visits.
    known = converted if person.cohort == "AIBL" else person.visits
    diagnoses = {each.diagnosis for each in known}
    if len(diagnoses) > 1:
        return "diagnosis changes"
    if diagnoses == {"MCI"}:
        return "diagnosis not AD/CN"
    if visit != converted[0]:
        return "not baseline"
    return "failed quality" if scan.fault in _POOR_IMAGES else "kept"
