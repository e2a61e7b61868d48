"""The T1-weighted images of a BIDS dataset: where they are, what is said of them, and which is preferred.

Of several images of a session the first in this order is taken that nothing speaks against:

1. plain and combined images (``rec-norm``, ``rec-rms``, ``rec-uni`` …), ``part-mag`` among them;
2. single echoes (``echo-``);
3. single inversions (``inv-``);
4. images with a contrast agent (``ce-``, an ``acq-`` that says so, or ContrastBolusIngredient in JSON);
5. acquisitions of a part of the brain (an ``acq-`` that says so, such as ``acq-hippocampus``);
6. images that were processed before (``desc-``, ``space-``).

Within these, images with an entity that the cohort's key ``prefer`` names come first, in its order, then the
order of the names: ``run-1`` before ``run-2``. An entity in ``prefer`` puts no image into a later group.
``part-phase``, ``part-real`` and ``part-imag`` are no images of the magnitude and are never taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rhvae_mri.cohort.bids_tables import (
    NO_OBJECT,
    USUAL_TERMS,
    is_participant,
    is_session,
    natural_order,
    read_day,
    read_object,
    read_side_table,
)
from rhvae_mri.cohort.cells import read_cell
from rhvae_mri.cohort.listed_values import ListedValues
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.input_folders import bids_files

_IMAGE = re.compile(r"sub-[A-Za-z0-9]+(_[A-Za-z]+-[A-Za-z0-9+]+)*_T1w\.nii(\.gz)?")
_NIFTI = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
#: What names of T1-weighted images have, rightly or wrongly spelt: a part without a label, or their end.
_LIKE_T1W = re.compile(r"(?:^|_)(?:t1|t1w|mprage|spgr)(?![a-z0-9])|[-.](?:t1|t1w)$", re.IGNORECASE)

_CONTRAST = re.compile(r"gad|gd$|(post|with)contrast|contrastenh|^(ce|post|pc)$", re.IGNORECASE)
_PARTIAL = re.compile(
    r"hippo|partial|slab|pons|stem|amygdala|cerebell|spine(?!cho)|spinal|cord|cervic|orbit|pituit|^iac$|neck|scout"
    r"|locali",
    re.IGNORECASE,
)
_INVERSION = re.compile(r"inv-?[0-9]", re.IGNORECASE)
#: What a sidecar has in place of a contrast agent.
_NO_AGENT = re.compile(r"|n/?a|no|none|unknown|no contrast", re.IGNORECASE)
PLAIN, ECHO, INVERSION, CONTRAST, PARTIAL, PROCESSED = range(6)
GROUPS = {
    ECHO: "a single echo",
    INVERSION: "a single inversion",
    CONTRAST: "an image with a contrast agent",
    PARTIAL: "an acquisition of a part of the brain",
    PROCESSED: "an image that was processed before",
}


@dataclass(frozen=True)
class T1wImage:
    """A NIfTI file that is or seems to be T1-weighted, with participant and session (or "") of its folder."""

    participant_id: str
    session_id: str
    path: Path

    @property
    def name(self) -> str:
        """The file's name without its suffixes."""
        return _NIFTI.sub("", self.path.name)

    @property
    def entities(self) -> dict[str, str]:
        """What the file's name says, e.g. ``{"sub": "01", "acq": "fast"}``."""
        return dict(part.split("-", 1) for part in self.name.split("_")[:-1] if "-" in part)

    @property
    def own_entities(self) -> str:
        """What the file's name says beyond participant and session, e.g. ``acq-fast_run-2``."""
        return "_".join(f"{key}-{label}" for key, label in self.entities.items() if key not in ("sub", "ses"))

    @property
    def misnamed(self) -> str | None:
        """Say why the file's name or place is none of BIDS, or return None."""
        folders = (self.session_id,) if self.session_id else ()
        labels = [f"{key}-{self.entities[key]}" for key in ("sub", "ses") if key in self.entities]
        if not is_participant(self.participant_id) or (self.session_id and not is_session(self.session_id)):
            return "a name that BIDS does not allow"
        if self.path.parts[-3 - len(folders) : -1] != (self.participant_id, *folders, "anat"):
            return f"not in the folder anat of a participant or session: {self.path.name}"
        if not _IMAGE.fullmatch(self.path.name):
            return "a name that BIDS does not allow"
        if labels not in ([self.participant_id, *folders], [self.participant_id]):
            place = " ".join([self.participant_id, *folders])
            return f"the file's name says {' '.join(labels)}, its folder {place}"
        return None

    @cached_property
    def sidecar(self) -> Mapping[str, Any]:
        """What the JSON files say of the image, by BIDS' rule of inheritance; damaged ones say nothing."""
        objects = [read_object(path) or {} for path in _sidecars(self)]
        return {key: value for one in objects for key, value in one.items()}

    @property
    def part(self) -> str | None:
        """Say that the image is no image of the magnitude, or return None."""
        part = self.entities.get("part", "mag")
        return None if part == "mag" else f"part-{part} is no image of the magnitude"

    def group(self, prefer: Sequence[str] = ()) -> int:
        """Return the image's group in the order of preference: `PLAIN` … `PROCESSED`."""
        own = {key: label for key, label in self.entities.items() if f"{key}-{label}" not in prefer}
        acquisition = own.get("acq", "")
        agent = str(self.sidecar.get("ContrastBolusIngredient") or "").strip()
        if "desc" in own or "space" in own:
            return PROCESSED
        if _PARTIAL.search(acquisition):
            return PARTIAL
        named = own.get("ce", "none").lower() != "none" or _CONTRAST.search(acquisition)
        if named or (not _NO_AGENT.fullmatch(agent) and len(own) == len(self.entities)):
            return CONTRAST
        if "inv" in own or _INVERSION.search(acquisition):
            return INVERSION
        return ECHO if "echo" in own else PLAIN

    def rank(self, prefer: Sequence[str]) -> tuple[object, ...]:
        """Return the key by which the images of a session are ordered, the best first."""
        entities = [f"{key}-{label}" for key, label in self.entities.items()]
        wish = next((place for place, entity in enumerate(prefer) if entity in entities), len(prefer))
        return (self.group(prefer), wish, natural_order(self.name), self.path.name)


def find_images(bids: Path) -> list[T1wImage]:
    """Find the files that are or seem to be T1-weighted images, ordered by participant, session and name."""
    images = []
    for path in bids_files(bids):
        *folders, name = path.relative_to(bids).parts
        participant = folders[0] if folders else name.split("_")[0]
        session = folders[1] if folders[1:] and folders[1].startswith("ses-") else ""
        is_image = _NIFTI.search(name) and _LIKE_T1W.search(_NIFTI.sub("", name))
        if is_image and participant.lower().startswith("sub"):
            images.append(T1wImage(participant, session, path))
    return sorted(
        images, key=lambda one: (one.participant_id, natural_order(one.session_id), one.name, one.path)
    )


def read_field_strength(image: T1wImage, listed: ListedValues) -> float | None:
    """Read the field strength of an image, in tesla, from its JSON files or its row in ``*_scans.tsv``."""
    given = image.sidecar.get("MagneticFieldStrength", "")
    given = str(given[0] if isinstance(given, list) and len(given) == 1 else given)
    readings = [
        ("JSON", given, read_cell("field_strength", given)),
        ("scans.tsv", *USUAL_TERMS.read(_scans_row(image, listed), "field_strength")),
    ]
    for table, cell, reading in readings:
        listed.note(image.participant_id, table, "field_strength", cell, reading)
    for path in _sidecars(image):
        if read_object(path) is None:
            listed.note_problem(image.participant_id, "JSON", "file", path.name, NO_OBJECT)
    return next((reading.value for *_, reading in readings if isinstance(reading.value, float)), None)


def read_scan_day(image: T1wImage, listed: ListedValues) -> int | None:
    """Read the day of an image from its row in ``*_scans.tsv``, see `bids_tables.read_day`."""
    # unusable tables are listed where the field strength is read
    time = _scans_row(image, ListedValues()).get("acq_time", "")
    return read_day(time, image.participant_id, "scans.tsv", listed)


def _scans_row(image: T1wImage, listed: ListedValues) -> dict[str, str]:
    """Return the image's row in the ``*_scans.tsv`` of its session, or nothing; list what is of no use."""
    columns = {"filename", "acq_time", *USUAL_TERMS.column_names}
    problem = ""
    for table in sorted(image.path.parent.parent.glob("*_scans.tsv")):
        try:
            rows = read_side_table(table, "scans.tsv", image.participant_id, listed, ("filename",), columns)
        except StudyError as error:
            listed.note_problem(image.participant_id, "scans.tsv", "file", table.name, error.what)
            continue
        problem = f"no row of {image.path.name}"
        for row in rows:
            if Path(row["filename"]).name.strip() == image.path.name:
                return row
    if problem:
        listed.note_problem(image.participant_id, "scans.tsv", "file", table.name, problem)
    return {}


def _sidecars(image: T1wImage) -> Iterator[Path]:
    """Yield the JSON files that concern an image, the one that counts most last."""
    own = set(image.name.split("_"))
    folders = [image.path.parent]
    while folders[-1].name not in ("", image.participant_id) and len(folders) < 4:
        folders.append(folders[-1].parent)
    for folder in reversed([*folders, folders[-1].parent]):
        found = (path for path in folder.glob("*T1w.json") if set(path.stem.split("_")) <= own)
        yield from sorted(found, key=lambda path: (len(path.stem.split("_")), path.name))
