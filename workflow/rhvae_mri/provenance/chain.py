"""The steps from the downloads to the tables: their files, the jobs that make these, and their digests."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rhvae_mri.io.files import read_tsv, write_tsv

RECORD = "provenance/files.tsv"
COLUMNS = ("step", "path", "sha256", "bytes", "content")


class Step(NamedTuple):
    """A step: its name, and regular expressions of the files that it makes and of the rules that do so."""

    name: str
    files: str
    rules: str


STEPS = (
    Step("simulated downloads", r"downloads/cohort-.*", r"simulate_.*"),
    # without the notes of the conversion, which name folders
    Step("images in BIDS", r"bids/cohort-[^/]*/sub-.*\.(nii|nii\.gz|tsv)", "convert_to_bids"),
    Step("template", r"template/.*\.nii\.gz", "prepare_template|outline_regions"),
    Step("N4", r"derivatives/.*_desc-N4_T1w\.nii\.gz", "preprocess_image"),
    Step("registration", r"derivatives/.*_(affine\.mat|res-[^_]*_T1w\.nii\.gz)", "preprocess_image"),
    Step("crop", r"derivatives/.*_desc-Crop_T1w\.nii\.gz", "preprocess_image"),
    Step("quality", r"quality/cohort-.*\.tsv", "measure_quality|check_quality|check_deep_quality"),
    Step("tensors", r"tensors/.*/images\.(safetensors|tsv)", "pack_tensors"),
    Step("split", r"split/.*\.tsv", "find_duplicates|split_cohort|select_test_cohorts|tabulate_demographics"),
    Step("weights of the generators", r"(rhvae|generators)/.*/model\.safetensors", "train_generator"),
    Step("latent codes", r"synthetic/.*/latent_codes\.safetensors", "generate_synthetic"),
    Step("synthetic images", r"synthetic/.*/images\.(safetensors|tsv)", "generate_synthetic"),
    Step("random search", r"search/.*\.tsv", "split_folds|train_candidates|rank_candidates"),
    Step("weights of the CNNs", r"cnn/.*/networks\.safetensors", "train_cnn"),
    Step("predictions", r"cnn/.*/predictions\.tsv", "evaluate"),
    Step("tables", r"(statistics|tables)/.*\.(tsv|safetensors)", "compute_.*|tabulate_.*|describe_networks"),
)

#: The steps that `record_chain` records; of those before, `rhvae_mri.provenance.files` records the images.
_RECORDED = STEPS[[step.name for step in STEPS].index("tensors") : -1]

#: The path of a file below the folder of results, whatever the name of that was.
_BELOW_RESULTS = re.compile(rf"(?:.*?/)?({'|'.join(step.files for step in STEPS)})")


def list_files(results: str | os.PathLike[str]) -> list[str]:
    """List the files below a folder of results, but for hidden ones."""
    root = Path(results)
    files = (path for path in root.rglob("*") if path.name[0] != "." and path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in files)


def files_of(step: Step, names: Iterable[str]) -> list[str]:
    """Choose those of some paths below the results that are of a step."""
    return [name for name in names if re.fullmatch(step.files, name)]


def record_chain(
    results: str | os.PathLike[str], target: str | os.PathLike[str], *, threads: int = 1
) -> None:
    """Write size, SHA-256 and digest of the content of every file from the tensors to the predictions.

    The table ``target`` has `COLUMNS`. Its paths are relative to the working directory, as those of
    `rhvae_mri.provenance.files.record_files`, whose command verifies these files, too.
    """
    import pandas

    names = list_files(results)
    files = [(step.name, Path(results, name)) for step in _RECORDED for name in files_of(step, names)]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        digests = pool.map(digest_file, (path for _, path in files))
        rows = [
            (step, Path(os.path.relpath(path)).as_posix(), whole, path.stat().st_size, content)
            for (step, path), (whole, content) in zip(files, digests, strict=True)
        ]
    write_tsv(target, pandas.DataFrame(rows, columns=list(COLUMNS)))


def digest_file(path: Path) -> tuple[str, str]:
    """Digest a file, and what is in it: of a ``.safetensors`` file names, shapes and values of the tensors.

    Its header has free text besides, in no fixed order; in that of networks is how fast they were trained.
    """
    whole, content = hashlib.sha256(), hashlib.sha256()
    with open(path, "rb") as file:
        if path.suffix == ".safetensors":
            start = file.read(8)
            text = file.read(int.from_bytes(start, "little"))
            whole.update(start + text)
            tensors = {key: value for key, value in json.loads(text).items() if key != "__metadata__"}
            content.update(json.dumps(tensors, sort_keys=True).encode())
        while block := file.read(1 << 20):
            whole.update(block)
            content.update(block)
    return whole.hexdigest(), content.hexdigest()


def read_recorded(results: str | os.PathLike[str]) -> dict[str, str]:
    """Give the recorded digests of what is in the files, by their paths below the folder of results."""
    recorded = {}
    for table in (*Path(results).glob("provenance/cohort-*/files.tsv"), Path(results, RECORD)):
        for row in read_tsv(table, COLUMNS).fillna("").itertuples() if table.is_file() else ():
            digest = getattr(row, "content", row.sha256)  # of images, which have no free text, the file's own
            if digest and (found := _BELOW_RESULTS.fullmatch(row.path)):
                recorded[found[1]] = digest
    return recorded
