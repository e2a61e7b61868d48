"""Whether the folders and files that a configuration points to are there and complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rhvae_mri.cohort.decisions import check_cohorts
from rhvae_mri.convert.oasis import check_oasis
from rhvae_mri.convert.preflight import check_downloads
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.input_folders import check_fetched
from rhvae_mri.study.checks import SOURCE_KEYS, own_files


def check_sources(config: Mapping[str, Any], cohorts: Sequence[str]) -> None:
    """Check that the folders and files of a valid configuration are there and complete.

    ``cohorts`` are those whose download is still needed. The error names each missing folder with its key and
    everything that is missing inside a download, or is annexed and was not fetched.
    """
    sources = {name: config["cohorts"][name] for name in cohorts}
    missing = [
        f"`cohorts.{name}.{key}`: there is no folder {cohort[key]}."
        for name, cohort in sources.items()
        for key in SOURCE_KEYS[cohort["source"]]
        if not Path(cohort[key]).is_dir()
    ]
    files = [(f"{key}.file", section["file"]) for key, section in own_files(config)]
    files += [("exclude", config["exclude"])] if config["exclude"] is not None else []
    missing += [f"`{key}`: there is no file {file}." for key, file in files if not Path(file).is_file()]
    if missing:
        raise StudyError(
            "\n  - ".join(["The configuration points to what is not there:", *missing]),
            cause="A mistyped path, or a disk that is not mounted.",
            remedy="Correct the paths in the configuration.",
        )
    if config["exclude"] is not None:
        check_cohorts(Path(config["exclude"]), config["cohorts"])
    for name, cohort in sources.items():
        if cohort["source"] == "bids":
            check_fetched(name, Path(cohort["bids"]), allow_missing=cohort["allow_missing"])
    check_downloads(
        (name, cohort["images"], cohort["tables"])
        for name, cohort in sources.items()
        if cohort["source"] == "download"
    )
    for cohort in sources.values():
        if cohort["source"] == "oasis1":
            check_oasis(Path(cohort["images"]), Path(cohort["tables"]))
