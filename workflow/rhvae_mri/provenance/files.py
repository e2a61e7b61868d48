"""The chain of files from the raw image to the cropped one, with the SHA-256 of each, and its verification.

``python -m rhvae_mri.provenance.files results/provenance/cohort-ADNI/files.tsv`` verifies a cohort's files.
The library is not installed, so the folder ``workflow`` must be on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rhvae_mri.cohort.images import read_images
from rhvae_mri.io.downloads import sha256_of
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import MISSING, read_json, read_tsv, write_tsv
from rhvae_mri.preprocess.images import derivative_table, recorded_fault
from rhvae_mri.preprocess.sidecars import RAW_DATASET, sidecar_path, source_uri

#: The steps after the raw image, in the order in which their files are made.
STEPS = ("desc-N4", "affine", "registered", "cropped")
RAW = "raw"

COLUMNS = ("image_id", "step", "path", "sha256", "bytes", "sources", "sources_sha256", "note")

#: Between the sources of one file.
SEPARATOR = "; "

#: Before the path of a raw image that lies outside the study's folder.
_RAW_URI = f"bids:{RAW_DATASET}:"

#: Before a folder of DICOM files, whose path starts in the download and not in the study's folder.
DOWNLOAD = "download:"


def record_files(
    images: str | os.PathLike[str],
    derivatives: Mapping[str, Sequence[str]],
    template: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    conversion: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> None:
    """Write size, checksum and sources of every file of a cohort, from the raw to the cropped image.

    ``derivatives`` has the files of each of `STEPS`, one per kept image; the table ``target`` has `COLUMNS`.
    Sources are those that the JSON file beside each file names; their checksums are of the files as they are
    now. Paths are relative to the working directory; a raw image outside it is named by its BIDS URI,
    ``bids:raw:sub-…``, so that the table tells no folder of the machine. Its source is the folder of its
    DICOM files, from the table of the ``conversion``: ``download:`` and the path inside the download, without
    a checksum.
    """
    import pandas

    table = read_images(Path(images))
    kept = table[table["status"] == "kept"]
    folders = _dicom_folders(conversion)
    files_of = {
        step: dict(derivative_table(paths).itertuples(index=False, name=None))
        for step, paths in derivatives.items()
    }
    rows = []
    places: dict[str, Path] = {}
    for image in kept.itertuples():
        folder = folders.get((image.participant_id, image.session_id))
        rows.append(_row(image.image_id, RAW, image.path, [folder] if folder else []))
        chain = [image.path, template]
        for step in STEPS:
            path = files_of[step][image.image_id]
            rows.append(_row(image.image_id, step, path, _sources(path, chain)))
            chain.append(path)
        places |= {_name(path): Path(path) for path in chain}
    checksums = file_checksums(places, threads=threads)
    for row in rows:
        row["sha256"] = checksums.get(row["path"])
        sums = [checksums.get(source, MISSING) for source in row["sources"]]
        row["sources"], row["sources_sha256"] = SEPARATOR.join(row["sources"]), SEPARATOR.join(sums)
    write_tsv(target, pandas.DataFrame(rows, columns=list(COLUMNS)).replace("", None))


def file_checksums(places: Mapping[str, Path], *, threads: int = 1) -> dict[str, str]:
    """Give the SHA-256 of each file with something in it, by its name in the table."""
    from tqdm import tqdm

    there = {name: place for name, place in places.items() if place.is_file() and place.stat().st_size}
    with ThreadPoolExecutor(max(1, threads)) as pool:
        # no bar where nobody watches
        bar: dict[str, Any] = {"desc": "checksums", "unit": "file", "mininterval": 5, "disable": None}
        sums = tqdm(pool.map(sha256_of, there.values()), total=len(there), **bar)
        return dict(zip(there, sums, strict=True))


def verify_files(
    table: str | os.PathLike[str],
    root: str | os.PathLike[str] = ".",
    *,
    raw: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> dict[str, str]:
    """Compute the checksums of a cohort's files again.

    The table is from `record_files`; its paths start in ``root``. ``raw`` is the BIDS folder of raw images
    that lie outside the study's folder. Gives what is wrong with a file (it differs, is missing, or was
    empty), by path; nothing if all files, and the sources of each, are those of the record.
    """
    recorded = _read_recorded(table)
    places = {name: _place(name, root, raw) for name in recorded}
    found = file_checksums({name: place for name, place in places.items() if place}, threads=threads)
    problems = {}
    for name, sums in recorded.items():
        place = places[name]
        if place is None:
            problems[name] = "outside the study's folder: give the BIDS folder of the raw images"
        elif not place.is_file():
            problems[name] = "missing"
        elif len(sums) > 1:
            problems[name] = "recorded with different checksums: it changed between two steps"
        elif sums != {found.get(name, MISSING)}:
            problems[name] = "was empty when recorded" if sums == {MISSING} else "differs"
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify files on the command line; return 1 if one differs or is missing, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m rhvae_mri.provenance.files",
        description="Compute the SHA-256 of a study's files again; name those that differ from the record.",
    )
    parser.add_argument("table", help="a table files.tsv in results/provenance")
    parser.add_argument("root", nargs="?", default=".", help="the folder in which the study ran (here)")
    parser.add_argument("--raw", help="the BIDS folder of raw images that lie outside the study's folder")
    parser.add_argument("--threads", type=int, default=1, help="how many files to read at a time (1)")
    options = parser.parse_args(arguments)
    try:
        problems = verify_files(options.table, options.root, raw=options.raw, threads=options.threads)
    except (StudyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for path, problem in problems.items():
        print(f"{path}: {problem}")
    print(f"{len(problems)} files differ from the record." if problems else "All files are as recorded.")
    return int(bool(problems))


def _row(image_id: str, step: str, path: str, sources: list[str]) -> dict[str, Any]:
    """Return what a file's row says before any checksum is known, and why there is nothing in the file."""
    file = Path(path)
    row = {"image_id": image_id, "step": step, "path": _name(path), "sources": sources}
    if not file.is_file():
        return row | {"note": "the file is missing"}
    size = file.stat().st_size
    fault = None if size else recorded_fault(file)
    left_out = "" if fault is None else f", the image is left out: {fault.what}"
    return row | {"bytes": str(size), "note": None if size else f"empty file{left_out}"}


def _sources(path: str, chain: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return what a file was made from: files of the chain by their path, others as the sidecar has them."""
    sidecar = sidecar_path(path)
    content = read_json(sidecar) if sidecar.is_file() else {}
    named = [*content.get("Sources", []), content.get("SpatialReference")]
    known = {source_uri(each, path): _name(each) for each in chain}
    return list(dict.fromkeys(known.get(uri, uri) for uri in named if uri))


def _dicom_folders(conversion: str | os.PathLike[str] | None) -> dict[tuple[str, str], str]:
    """Return the folder of DICOM files of each converted session."""
    if conversion is None:
        return {}
    converted = read_tsv(conversion).query("status == 'converted'").dropna(subset=["session_id", "source"])
    return {(row.participant_id, row.session_id): f"{DOWNLOAD}{row.source}" for row in converted.itertuples()}


def _name(path: str | os.PathLike[str]) -> str:
    """Name a file by its path from the working directory, or by its BIDS URI where it lies outside."""
    relative = Path(os.path.relpath(path)).as_posix()
    return source_uri(path, "") if relative.startswith("../") else relative


def _place(name: str, root: str | os.PathLike[str], raw: str | os.PathLike[str] | None) -> Path | None:
    """Return where a file of the table is; None where that is not known."""
    if not name.startswith(_RAW_URI):
        return Path(root, name)
    return None if raw is None else Path(raw, name.removeprefix(_RAW_URI))


def _read_recorded(table: str | os.PathLike[str]) -> dict[str, set[str]]:
    """Return the checksums under which each path is recorded, as a file or as a source of one."""
    files = read_tsv(table, text_columns=COLUMNS).fillna(MISSING)
    if absent := [name for name in ("path", "sha256") if name not in files]:
        remedy = "Give a table files.tsv, of results/provenance or of a cohort in it."
        raise StudyError(f"The table has no column {', '.join(absent)}.", where=table, remedy=remedy)
    recorded: dict[str, set[str]] = {}
    for row in files.itertuples():
        recorded.setdefault(row.path, set()).add(row.sha256)
        # the table of `rhvae_mri.provenance.chain` has no sources
        sources, sums = getattr(row, "sources", ""), getattr(row, "sources_sha256", MISSING)
        for path, checksum in zip(sources.split(SEPARATOR), sums.split(SEPARATOR), strict=True):
            if checksum != MISSING:  # not a folder of DICOM files, nor a name that no file was found for
                recorded.setdefault(path, set()).add(checksum)
    return recorded


if __name__ == "__main__":
    sys.exit(main())
