"""The profile for Slurm, and what the rules ask of a scheduler."""

import re

import pytest
import yaml


@pytest.fixture(scope="module")
def profile(root):
    return yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text())


@pytest.fixture(scope="module")
def list_resources(run_snakemake, load_config, tmp_path_factory):
    """The memory and the time that every rule of the study asks for, at one attempt."""

    def list_rules(*arguments):
        result = run_snakemake(tmp_path_factory.mktemp("study"), load_config(), "--dry-run", *arguments)
        assert result.returncode == 0, result.stdout
        jobs = re.findall(
            r"^ *(?:rule|checkpoint|localrule) (\w+):.*?^ *resources: (.*?)$", result.stdout, re.M | re.S
        )
        return {
            rule: {key: int(value) for key, value in re.findall(r"\b(mem_mb|runtime|gpu)=(\d+)", resources)}
            for rule, resources in jobs
        }

    return list_rules


def test_each_attempt_gets_more_memory_and_more_time(list_resources):
    first, second = list_resources(), list_resources("--attempt", "2")
    assert len(first) > 35
    rules = set(first) - {"all"}
    assert all(first[rule].keys() >= {"mem_mb", "runtime"} for rule in rules)
    for rule in rules:
        assert second[rule]["mem_mb"] == 2 * first[rule]["mem_mb"], rule
        assert second[rule]["runtime"] == 2 * first[rule]["runtime"], rule


def test_the_profile_groups_rules_that_exist(profile, root):
    text = "".join(file.read_text() for file in (root / "workflow" / "rules").glob("*.smk"))
    assert set(profile["groups"]) <= set(re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.M))
    named = set(re.findall(r"^ +group:\n +\"(\w+)\"$", text, re.M))
    assert {*profile["groups"].values(), *named} == set(profile["group-components"])


def test_jobs_are_warned_before_their_time_limit_and_gpus_are_left_to_slurm(profile, root):
    assert re.search(r"--signal=USR1@\d+", profile["default-resources"]["slurm_extra"])
    limits = yaml.safe_load((root / "workflow/profiles/default/config.yaml").read_text())["resources"]
    assert limits == {"gpu": 1, "in_turn": 1}
    # the profile `default` is always read too; its limits must not let one job run on the whole cluster
    assert profile["set-resource-scopes"] == dict.fromkeys(limits, "local")
    assert profile["default-resources"]["in_turn"] == 1
