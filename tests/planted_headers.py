"""DICOM headers full of what must not get out of them, and the search for it."""

import gzip
import re
from pathlib import Path

import pydicom
from pydicom.datadict import DicomDictionary, dictionary_VR

#: Stands in every text of the headers.
MARK = "ZqxPlant"

#: A birth date, and a day and a time of the scan that are in no folder name and no study table.
DATES = {"birth": "19330527", "scan": "20010911"}
TIME = "081513.310000"

#: Kinds of elements that take any text.
_TEXTS = ("PN", "LO", "SH", "ST", "LT", "UT", "UC", "AE")

_PATTERNS = [
    MARK.encode(),
    *(f"{day[:4]}.?{day[4:6]}.?{day[6:]}".encode() for day in DATES.values()),
    *(f"{day[4:6]}/{day[6:]}/{day[:4]}".encode() for day in DATES.values()),
    rb"(?<!\d)0?8:?15:?13(?!\d)",
]
_FOUND = re.compile(b"|".join(_PATTERNS), re.IGNORECASE)


def plant(images: Path) -> int:
    """Fill every text, date and time of the headers of all DICOM files that can be read; return their number.

    That is every such element of the standard's dictionary, sequences of persons, and private elements.
    """
    count = 0
    for path in sorted(images.rglob("*.dcm")):
        header = pydicom.dcmread(path)
        for tag in DicomDictionary:
            group, kind = tag >> 16, dictionary_VR(tag)
            if group < 8 or 0x5000 <= group <= 0x60FF:
                continue
            if kind in _TEXTS:
                header.add_new(tag, kind, f"{MARK} {tag:08x}"[:16])
            elif kind == "DA":
                header.add_new(tag, kind, DATES["birth" if "Birth" in DicomDictionary[tag][4] else "scan"])
            elif kind == "TM":
                header.add_new(tag, kind, TIME)
            elif kind == "DT":
                header.add_new(tag, kind, DATES["scan"] + TIME)
        header.PatientAge = "087Y"
        person = pydicom.Dataset()
        person.PersonName, person.InstitutionAddress = f"{MARK}^PERSON", f"{MARK} Street 1"
        header.PerformingPhysicianIdentificationSequence = pydicom.Sequence([person])
        for group, creator in ((0x0009, f"{MARK} CREATOR"), (0x0029, "SIEMENS CSA HEADER")):
            block = header.private_block(group, creator, create=True)
            block.add_new(0x01, "LO", f"{MARK} private")
            block.add_new(0x10, "OB", f"{MARK} in a private header".encode() * 8)
        header.save_as(path)
        count += 1
    return count


def find_planted(folder: Path, *left_out: Path) -> list[str]:
    """List the files, and the names of files, in which something planted is found, with what is found."""
    found = []
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(place) for place in left_out):
            continue
        contents = [str(path.relative_to(folder)).encode()]
        if path.is_file():
            content = path.read_bytes()
            contents += [gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content]
        for content in contents:
            for match in _FOUND.findall(content):
                found.append(f"{path.relative_to(folder)}: {match!r}")
    return found
