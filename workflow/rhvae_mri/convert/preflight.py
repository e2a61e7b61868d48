"""The check of raw downloads before anything is computed: folders, archives, and the values of the tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rhvae_mri.convert.adni_tables import read_adni_tables
from rhvae_mri.convert.aibl_tables import read_aibl_tables
from rhvae_mri.convert.archive import is_image_name, name_some, packed_archives, participant_folders
from rhvae_mri.convert.study_tables import Ledger, is_study_table
from rhvae_mri.io.errors import StudyError

_EXAMPLES = {"ADNI": "002_S_0295", "AIBL": "10"}


def check_downloads(downloads: Iterable[tuple[str, str | os.PathLike[str], str | os.PathLike[str]]]) -> None:
    """Check downloads (cohort, images, tables), and say of all of them at once what is missing (StudyError).

    The tables are read and brought into the converter's form just as the conversion does it.
    """
    lines, places = [], []
    for cohort, images, tables in downloads:
        if cohort not in _EXAMPLES:
            raise StudyError(
                f"There is no converter for a cohort named {cohort!r}.",
                remedy=f"Name it {' or '.join(_EXAMPLES)}, or give the cohort as a BIDS folder.",
            )
        if problems := list(_problems(cohort, Path(images), Path(tables))):
            lines.append(f"The {cohort} download cannot be converted: {len(problems)} problem(s).")
            lines += [f"  - {problem}" for problem in problems]
            places.append(f"images: {images}; tables: {tables}")
    if lines:
        raise StudyError(
            "\n".join(lines),
            where="; ".join(places),
            remedy="Do what the lines say, or correct the paths in the configuration. docs/download.md says "
            "what to download.",
        )


def _problems(cohort: str, images: Path, tables: Path) -> Iterator[str]:
    present: set[str] = set()
    if not images.is_dir():
        yield f"the images folder {images} does not exist"
    else:
        packed = list(packed_archives(images, is_image_name))
        yield from packed
        present = {path.name for path in participant_folders(images, cohort)}
        if not present and not packed:
            names = [path.name for path in sorted(images.iterdir(), key=lambda path: (path.is_file(), path))]
            yield (
                f"the images folder {images} has no folder with a participant's name such as "
                f"{_EXAMPLES[cohort]}; it holds {name_some(names) or 'nothing'}"
            )
    if not tables.is_dir():
        yield f"the tables folder {tables} does not exist"
        return
    ledger = Ledger()
    if cohort == "ADNI":
        known = set(read_adni_tables(tables, images, ledger).visits.merge["PTID"])
    else:
        known = set(read_aibl_tables(tables, ledger)["ptdemog"]["RID"])
    packed = list(packed_archives(tables, is_study_table))
    yield from packed
    yield from dict.fromkeys(ledger.problems)
    if present and not (packed or ledger.problems or present & known):
        yield (
            f"none of the {len(present)} participants with images ({name_some(sorted(present))}) has a visit "
            f"in the tables, which have {len(known)} participants: are they tables of this study?"
        )
