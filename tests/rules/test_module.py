"""Other workflows use this one as a module: from a folder on disk, and from GitHub as snakedeploy does."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

SNAKEFILE = """
configfile: "config/study.yaml"

module study:
    snakefile: {source}
    config: config["alzheimer"]
    {options}

use rule * from study as study_*

use rule list_images from study as study_list_images with:
    log: "of_this_workflow/{{cohort}}.log"

rule all:
    default_target: True
    input: rules.study_all.input
"""

TARGET = "results/derivatives/cohort-ADNI/dataset_description.json"


@pytest.fixture
def use_as_module(tmp_path):
    """Write a workflow that uses this one, and run it."""

    def run(source, options, *arguments, results="results"):
        folder = tmp_path / "other"
        (folder / "config").mkdir(parents=True, exist_ok=True)
        (folder / "Snakefile").write_text(SNAKEFILE.format(source=source, options=options))
        # what is not given has its default, although the module's own config.yaml is not read
        participants = {"ADNI": {"AD": 1, "CN": 0}}
        config = {
            "simulation": {"special_cases": False, "participants": participants},
            "cohorts": {"AIBL": {"source": "none"}},
            "pathvars": {"results": results},
        }
        (folder / "config" / "study.yaml").write_text(yaml.safe_dump({"alzheimer": config}))
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout
        return folder, result.stdout

    return run


def test_jobs_of_the_module_find_library_scripts_and_files_below_a_prefix(use_as_module, root):
    source = repr(str(root / "workflow" / "Snakefile"))
    folder, _ = use_as_module(source, 'prefix: "sub"', "--", f"sub/{TARGET}")
    description = json.loads((folder / "sub" / TARGET).read_text())
    raw = folder / "sub" / TARGET / ".." / description["DatasetLinks"]["raw"]
    assert raw.resolve() == folder / "sub" / "results" / "bids" / "cohort-ADNI"
    assert len(list(folder.glob("sub/results/derivatives/*/sub-*/*/anat/*_desc-Crop_T1w.nii.gz"))) == 1
    assert (folder / "of_this_workflow" / "ADNI.log").is_file()
    written = {path.name for path in folder.iterdir()}
    assert written == {".snakemake", "Snakefile", "config", "of_this_workflow", "sub"}


def test_the_whole_study_can_be_planned_in_a_folder_that_its_configuration_names(use_as_module, root):
    source = repr(str(root / "workflow" / "Snakefile"))
    _, output = use_as_module(source, "", "--dry-run", results="elsewhere/study")
    jobs = dict(re.findall(r"^(study_[a-z_]+) +(\d+)$", output, re.MULTILINE))
    assert jobs["study_train_cnn"] == "5"
    assert "    output: elsewhere/study/tables/histories.tsv, " in output
    assert " results/" not in output
    assert "    log: of_this_workflow/ADNI.log" in output


def test_a_workflow_from_github_unpacks_the_library_of_the_same_commit(use_as_module, root, tmp_path):
    clone = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file() and not name.startswith(("docs/", "tests/")):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, clone / name)
    author = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    for command in (("init", "--quiet"), ("add", "."), (*author, "commit", "--quiet", "--message", "State")):
        subprocess.run(["git", *command], cwd=clone, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout.strip()
    # where Snakemake would clone it to; a commit that is there already is not asked for in the network
    cache = tmp_path / "cache" / "snakemake" / "snakemake" / "source-cache" / "snakemake-git-cache"
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", clone, cache / "github.com" / "someone" / "rhvae-mri"],
        check=True,
    )
    source = f'github("someone/rhvae-mri", path="workflow/Snakefile", commit="{commit}")'
    target = "results/provenance/software.json"
    folder, _ = use_as_module(source, "", "--", target, "results/template/template.nii.gz")
    assert json.loads((folder / target).read_text())["rhvae-mri"]["revision"] == commit
    unpacked = folder / ".snakemake" / "rhvae_mri" / commit
    assert (unpacked / "rhvae_mri" / "io/errors.py").is_file()
    assert (unpacked / "style" / "page.css").is_file()
