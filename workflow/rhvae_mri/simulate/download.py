"""Simulated downloads: images folder, study tables and ground truth of a whole cohort."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from tqdm import tqdm

from rhvae_mri.io.files import atomic_folder, write_text, write_tsv
from rhvae_mri.simulate import adni, adni_today, aibl
from rhvae_mri.simulate.adni_today import (
    converted_numbers,
    fourth_phase,
    place_of_today,
    rename_sequences,
    write_collection,
    write_companions,
)
from rhvae_mri.simulate.dicom import write_series
from rhvae_mri.simulate.records import Generation, Participant, Scan, SimulatedScan, Visit, series_place
from rhvae_mri.simulate.truth import truth_table

_NOTE = """All data in this folder are SIMULATED.

They were made by rhvae-mri from an average brain; no image, date, score or identifier belongs to a person.
The layout and the names of the tables follow a {cohort} download, so that the study's software accepts them.
"""


def write_download(
    participants: Sequence[Participant],
    render: Callable[[Participant, Visit, Scan], SimulatedScan],
    seed: int,
    images: str | os.PathLike[str],
    tables: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    progress: bool = True,
    generation: Generation = 2018,
) -> None:
    """Write a cohort as a LONI download; everything follows from it and the seed.

    ``render`` gives the image of a scan. The folders of images (DICOM series) and study tables are each
    complete or absent; the table of the truth is that of `truth_table`. An ADNI download has the form of the
    ``generation`` 2018, which Clinica reads, or of 2026: other tables, and images that the study has no use
    for, of the same participants.
    """
    cohort = participants[0].cohort
    today = cohort == "ADNI" and generation == 2026
    people = rename_sequences(participants) if today else list(participants)
    scans = [(person, visit, scan) for person in people for visit, scan in person.scans() if scan.on_disk]
    later = fourth_phase(people) if today else None
    known = {}
    with atomic_folder(images) as image_folder, atomic_folder(tables) as table_folder:
        for person, visit, scan in tqdm(scans, desc=f"simulated {cohort} scans", disable=not progress):
            rendered = render(person, visit, scan)
            shown = [(person, visit, scan)]
            if later is not None and later.copied == scan.image_uid:
                when, then = later.visit, later.newcomer.visits[0]
                shown += [(later.rollover, when, when.scans[0]), (later.newcomer, then, then.scans[0])]
            for series in shown:
                place = (place_of_today if today else series_place)(*series)
                write_series(image_folder, place, *series, rendered)
                if today:
                    write_companions(image_folder, *series, rendered)
            # The volume has served; keeping all of a cohort's would need gigabytes at full size.
            known[scan.image_uid] = replace(rendered, volume=rendered.volume[:0])
        if today:
            write_collection(image_folder, people)
        if cohort == "AIBL":
            made = aibl.study_tables(people)
        else:
            made = (adni_today if today else adni).study_tables(people, seed)
        for name, table in made.items():
            table.to_csv(table_folder / name, index=False, lineterminator="\n")
        for folder in (image_folder, table_folder):
            write_text(folder / "README.txt", _NOTE.format(cohort=cohort))
        write_tsv(truth, truth_table(people, known, converted_numbers(people) if today else {}))
