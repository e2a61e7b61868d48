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
    missing = []
    for name in cohorts:
        for key in SOURCE_KEYS[config["cohorts"][name]["source"]]:
            if not Path(config["cohorts"][name][key]).is_dir():
                missing.append(f"`cohorts.{name}.{key}`: there is no folder {config['cohorts'][name][key]}.")
    for key, section in own_files(config):
        if not Path(section["file"]).is_file():
            missing.append(f"`{key}.file`: there is no file {section['file']}.")
    if config["exclude"] is not None and not Path(config["exclude"]).is_file():
        missing.append(f"`exclude`: there is no file {config['exclude']}.")
    if missing:
        raise StudyError(
            "The configuration points to what is not there:\n" + "\n".join(f"  - {line}" for line in missing),
            cause="A mistyped path, or a disk that is not mounted.",
            remedy="Correct the paths in the configuration.",
        )
    if config["exclude"] is not None:
        check_cohorts(Path(config["exclude"]), config["cohorts"])
    sources = [(name, config["cohorts"][name]) for name in cohorts]
    for name, cohort in sources:
        if cohort["source"] == "bids":
            check_fetched(name, Path(cohort["bids"]), allow_missing=cohort["allow_missing"])
    downloads = [
        (name, Path(cohort["images"]), Path(cohort["tables"]))
        for name, cohort in sources
        if cohort["source"] == "download"
    ]
    if downloads:
        check_downloads(downloads)
    for _, cohort in sources:
        if cohort["source"] == "oasis1":
            check_oasis(Path(cohort["images"]), Path(cohort["tables"]))
