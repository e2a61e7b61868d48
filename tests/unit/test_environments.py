"""Conda environments, container and the pins of `make` have the same versions, of what each job needs."""

import re
from pathlib import Path

import pytest
import yaml
from imported_packages import WORKFLOW, packages_of

ROOT = WORKFLOW.parent
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))

#: What a script can do without: the record of provenance says of this program that it is not installed.
_OPTIONAL = {"preprocess": {"dcm2niix"}}


def read_pins():
    lines = (ROOT / "envs" / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def read_environment(path):
    packages = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    return dict(package.split("==") for package in packages)


def list_scripts():
    """The scripts of each environment, from the rules."""
    scripts = {}
    for rules in sorted((WORKFLOW / "rules").glob("*.smk")):
        for rule in re.split(r"^(?:rule |checkpoint | +rule:)", rules.read_text(), flags=re.MULTILINE)[1:]:
            environment = re.findall(r'"\.\./\.\./envs/(\w+)\.yaml"', rule)
            names = re.findall(r'"\.\./scripts/(\w+)\.py"', rule)
            assert len(environment) == len(names) == 1, rule.partition(":")[0]
            scripts.setdefault(environment[0], set()).add(WORKFLOW / "scripts" / f"{names[0]}.py")
    return scripts


def test_every_rule_with_a_script_has_an_environment_and_every_environment_has_rules():
    scripts = list_scripts()
    assert scripts.keys() == {path.stem for path in ENVIRONMENTS}
    assert set.union(*scripts.values()) == set((WORKFLOW / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_has_the_installed_versions(path):
    pins = read_pins()
    assert read_environment(path).items() <= pins.items()


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_has_what_its_scripts_import_and_no_more(path):
    needed = set().union(*(packages_of(script) for script in list_scripts()[path.stem]))
    assert set(read_environment(path)) == needed - _OPTIONAL.get(path.stem, set())


def test_imports_inside_functions_count_only_where_the_function_can_be_called(tmp_path):
    for name, expected in (("rescale", False), ("downsample", True), ("pack_tensors", True)):
        script = tmp_path / f"{name}.py"
        script.write_text(f"from rhvae_mri.preprocess.tensors import {name}\nprint({name})\n")
        assert ("torch" in packages_of(script)) == expected


def test_the_workflow_asks_for_the_snakemake_that_is_pinned():
    asked = re.search(r'min_version\("([\d.]+)"\)', (WORKFLOW / "Snakefile").read_text()).group(1)
    installed = read_pins()["snakemake"]
    assert installed.split(".")[: asked.count(".") + 1] == asked.split(".")


def test_every_exact_version_that_is_asked_for_is_the_one_that_is_pinned():
    pins = read_pins()
    asked = (ROOT / "envs" / "requirements.in").read_text().splitlines()
    names = [re.split("[=<>]", line)[0] for line in asked if line and not line.startswith("#")]
    assert set(names) <= pins.keys()
    assert {line for line in asked if "==" in line} <= {f"{name}=={pin}" for name, pin in pins.items()}


def test_the_container_installs_the_pins_and_nothing_else():
    text = Path(ROOT, "envs", "Dockerfile").read_text()
    installs = re.findall(r"pip install.*", text)
    assert installs == ["pip install --no-cache-dir --requirement envs/requirements.txt"]
    python = re.search(r"^FROM python:(3\.\d+)-", text, re.MULTILINE).group(1)
    assert {yaml.safe_load(path.read_text())["dependencies"][0] for path in ENVIRONMENTS} == {
        f"python={python}"
    }


def test_the_entry_in_the_workflow_catalog_matches_what_the_workflow_has():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    rules = "".join(path.read_text() for path in (WORKFLOW / "rules").glob("*.smk"))
    deployment = usage["software-stack-deployment"]
    assert deployment["conda"] == ("conda:" in rules)
    assert deployment["apptainer"] == deployment["apptainer+conda"] == ("container:" in rules)
    assert usage["report"] == ("report(" in rules)
    assert (ROOT / "config" / "README.md").is_file()
    assert (ROOT / "config" / "config.yaml").is_file()
