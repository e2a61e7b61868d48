"""Values of the configuration reach no shell: a study whose names are commands runs, and runs no other."""

NAME = "res; touch pwned1 $(touch pwned2) `touch pwned3` 'q' \"z\" | touch pwned4 & é"


def test_names_that_are_commands_stay_names(run_snakemake, tmp_path, load_config):
    config = load_config()
    config["pathvars"]["results"] = NAME
    config["study"]["name"] = "$(touch pwned5); `touch pwned6` </title><script>"
    folder = tmp_path / "a place; $(touch pwned7) 'x'"
    target = f"{NAME}/provenance/configuration.yaml"
    result = run_snakemake(folder, config, "--", target)
    assert result.returncode == 0, result.stdout
    assert f"Results are in {NAME}." in result.stdout
    assert config["study"]["name"] in (folder / target).read_text()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("pwned")]
    assert sorted(path.name for path in folder.iterdir()) == [".snakemake", NAME, "study.yaml"]
