"""The image folders of a download, however its archives were unpacked.

LONI's layout is ``<subject>/<sequence>/<date_time>/I<image>/``, in older downloads ``S<series>`` at the end;
each archive has a root such as ``ADNI/``. Archives may have been merged or lie side by side. Files are known
by their suffix or, without a usual one, by DICOM's mark; anything else (XML, PDF, hidden files) is passed
over.
"""

from __future__ import annotations

import os
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

SUBJECTS = {
    "ADNI": re.compile(r"\d{3}_S_\d{4,5}", re.ASCII),
    "AIBL": re.compile(r"[1-9]\d*", re.ASCII),
}

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)_.*", re.ASCII | re.DOTALL)
_LEAF = re.compile(r"([IS])(\d+)")
#: LONI's numbers are smaller than these.
_NAMELESS = 10**9
#: What browsers and file managers add to the name of a second copy.
_COPY = re.compile(r"(?: ?\(\d+\)| - Copy| copy| \d)(?=\.[^.]*$)")
_IMAGE_NUMBER = re.compile(rf"_I(\d+)(?={_COPY.pattern}|\.|$)")

NIFTI = (".nii", ".nii.gz")
_DICOM = (".dcm", ".ima")
_NO_IMAGE = (
    *(".xml", ".csv", ".tsv", ".txt", ".pdf", ".json", ".html", ".db", ".zip", ".gz", ".tar", ".md"),
    *(".doc", ".docx", ".xls", ".xlsx", ".jpg", ".png"),
)
_CATALOGUES = ("thumbs.db", "dicomdir")

#: As many names are shown where there may be thousands.
_NAMES_SHOWN = 5

#: How deep archives may lie below the images folder.
_DEPTH = 4


@dataclass(frozen=True)
class Series:
    """The files of one image, sorted; ``date`` is ``YYYY-MM-DD``. What folders do not say is empty.

    ``image`` is the number behind "I" in names, where they have none that of the series. Of parts of an image
    in several archives, ``folder`` is the first one, and ``others`` are the rest.
    """

    subject: str
    image: int
    folder: Path
    files: tuple[Path, ...] = field(compare=False, repr=False)
    sequence: str = field(default="", compare=False)
    date: str = field(default="", compare=False)
    others: tuple[Path, ...] = field(default=(), compare=False)

    @property
    def is_nifti(self) -> bool:
        """Whether the image is NIfTI and not DICOM."""
        return all(is_nifti(path) for path in self.files)


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI, going by its name."""
    return path.name.lower().endswith(NIFTI)


def is_image_name(name: str) -> bool:
    """Whether a file's name has the suffix of an image and is not hidden."""
    return name.lower().endswith((*_DICOM, *NIFTI)) and not name.startswith(".")


def name_some(names: Sequence[str]) -> str:
    """Name the first of several things, and say how many more there are."""
    rest = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def list_series(images: Path, cohort: str) -> list[Series]:
    """Return all images of a download, T1-weighted or not, sorted; parts in several archives are merged."""
    found: dict[tuple[str, int], list[Series]] = {}
    for folder, names in _image_folders(images):
        subject, sequence, date = _read_place(folder.relative_to(images), SUBJECTS[cohort])
        numbered: dict[int, list[Path]] = {}
        for name in names:
            numbered.setdefault(_image_number(folder, name), []).append(folder / name)
        for number, files in numbered.items():
            series = Series(subject, number, folder, tuple(_one_kind(files)), sequence, date)
            found.setdefault((subject, number), []).append(series)
    return sorted(map(_merge, found.values()), key=lambda each: (each.subject, each.image, str(each.folder)))


def participant_folders(images: Path, cohort: str) -> list[Path]:
    """Return the participants' folders, those in the roots of several archives included."""
    folders, level = [], [images]
    for _ in range(_DEPTH):
        inside = {path: _is_participant(path, cohort) for place in level for path in _plain_folders(place)}
        folders += [path for path, is_one in inside.items() if is_one]
        level = [path for path, is_one in inside.items() if not is_one]
    return folders


def packed_archives(folder: Path, counts: Callable[[str], bool]) -> Iterator[str]:
    """Name zip archives of which a file that counts (by its name) was not unpacked, and the command."""
    present: set[str] | None = None
    for path in _archives(folder):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [PurePosixPath(name).name for name in archive.namelist()]
        except (zipfile.BadZipFile, OSError):
            yield f"the archive {path} cannot be read: download it again"
            continue
        names = list(filter(counts, names))
        if names and present is None:
            present = {name for _, _, files in os.walk(folder, followlinks=True) for name in files}
        if absent := [name for name in names if name not in (present or ())]:
            command = f"unzip -n -q {shlex.quote(str(path))} -d {shlex.quote(str(folder))}"
            yield f"{len(absent)} of {len(names)} files of the archive {path} were not unpacked: {command}"


def _archives(folder: Path) -> Iterator[Path]:
    """Yield the zip archives of a folder, but for participants' folders, which hold thousands of files."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not SUBJECTS["ADNI"].fullmatch(name))
        if len(Path(place).relative_to(folder).parts) == _DEPTH:
            folders.clear()
        yield from (Path(place, name) for name in sorted(names) if name.lower().endswith(".zip"))


def _plain_folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _is_participant(folder: Path, cohort: str) -> bool:
    """Whether a folder is a participant's; of AIBL's numbers, any other folder may have one for a name."""
    if cohort == "ADNI" or not SUBJECTS[cohort].fullmatch(folder.name):
        return SUBJECTS[cohort].fullmatch(folder.name) is not None
    inside = _plain_folders(folder)
    return not inside or any(_STAMP.fullmatch(path.name) for each in inside for path in each.iterdir())


def _image_folders(images: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders that hold images, with the names of these; a link to a folder is followed once."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(images, followlinks=True):
        inside = {name: os.path.realpath(Path(folder, name)) for name in sorted(folders) if name[0] != "."}
        folders[:] = [name for name, path in inside.items() if path not in seen]
        seen.update(inside.values())
        if own := sorted(name for name in names if _is_image(Path(folder, name))):
            yield Path(folder), own


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    if is_image_name(name) or name.startswith(".") or name.endswith(_NO_IMAGE) or name in _CATALOGUES:
        return is_image_name(name)
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _read_place(place: Path, pattern: re.Pattern[str]) -> tuple[str, str, str]:
    """Return subject, sequence and date from the folders above an image."""
    parts = place.parts
    stamps = [(number, match[1]) for number, part in enumerate(parts) if (match := _STAMP.fullmatch(part))]
    end, date = stamps[0] if stamps else (len(parts), "")
    subjects = [number for number, part in enumerate(parts[:end]) if pattern.fullmatch(part)]
    if not subjects:
        return "", "", ""
    # of several numbers the one that is nearest to the sequence is AIBL's participant
    number = subjects[-1 if stamps else 0]
    sequence = next((part for part in parts[number + 1 : end][:1] if not _LEAF.fullmatch(part)), "")
    return parts[number], sequence, date


def _image_number(folder: Path, name: str) -> int:
    if match := _IMAGE_NUMBER.search(name):
        return int(match[1])
    if match := _LEAF.fullmatch(folder.name):
        return int(match[2])
    # no name says it: the files of a folder are one image
    return _NAMELESS + zlib.crc32(str(folder).encode())


def _one_kind(files: list[Path]) -> list[Path]:
    """Return the DICOM files where there are some: a NIfTI file beside them was made of them.

    A file that was copied or downloaded a second time, such as ``x (1).dcm`` beside ``x.dcm``, counts once.
    """
    names = {path.name for path in files}
    once = [path for path in files if (own := _COPY.sub("", path.name)) == path.name or own not in names]
    dicom = [path for path in once if not is_nifti(path)]
    return dicom or once[:1]


def _merge(parts: list[Series]) -> Series:
    """Put the parts of one image together; a file that is there twice counts once."""
    first = max(parts, key=lambda each: (not each.is_nifti, len(each.files)))
    alike = [each for each in parts if each.is_nifti == first.is_nifti]
    files = {path.name.lower(): path for each in (*alike, first) for path in each.files}
    others = sorted({each.folder for each in parts} - {first.folder})
    return replace(first, files=tuple(sorted(files.values())), others=tuple(others))
