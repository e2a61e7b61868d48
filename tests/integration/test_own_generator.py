"""A generator of the user, from a folder outside the clone, takes part in a study that is finished."""

import copy
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml
from documented_commands import ROOT

from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.tensor_files import ImageStack

pytestmark = pytest.mark.demo

PEERS = ROOT / ".venv-peers"

#: The class of the documentation, whose images leave [0, 1].
BROKEN = """
from my_generators import PythaeVAE

class TooBright(PythaeVAE):
    def decode(self, codes):
        return super().decode(codes) + 1
"""


def test_the_documented_class_takes_part_and_one_that_fails_stops_its_own_jobs_alone(
    demo, snakemake_command, tmp_path
):
    peers = Path(sysconfig.get_path("purelib", vars={"base": str(PEERS)}))
    if not peers.is_dir():
        pytest.skip("pythae is not installed: make peers")
    page = (ROOT / "docs/generators.md").read_text()
    code = re.search(r"```python\n(import json.*?)```", page, re.DOTALL)[1]
    assert len(code.splitlines()) <= 80
    settings = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "my_generators.py").write_text(code)
    (modules / "my_broken_generator.py").write_text(BROKEN)

    study = demo.copy_to(tmp_path / "study")
    before = {path: path.stat().st_mtime_ns for path in study.results.rglob("*.safetensors")}
    config = copy.deepcopy(demo.config)
    config["generators"] = settings["generators"] | {"broken": {"model": "my_broken_generator:TooBright"}}
    config["grid"] |= {"generators": [*settings["grid"]["generators"], "broken"]}
    config["grid"]["training_data"] = ["real", "augmented"]
    place = "results/cnn/architecture-baseline/training_set-train-full/training_data-augmented/generator-{}"
    place += "/n_synthetic-90/resolution-downsampled/predictions.tsv"
    evidence = "results/synthetic/generator-mine/training_set-train-full/diagnosis-AD/quality.tsv"
    targets = [*map(place.format, ("mine", "broken")), evidence]
    command = snakemake_command(study.folder, config, "--", *targets, snakefile=study.snakefile)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (modules, peers)))}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    output = run.stdout + run.stderr

    assert run.returncode == 1, output
    assert "The generator my_broken_generator:TooBright does not keep to the interface" in output
    assert "decode gives values outside [0, 1]" in output
    assert not (study.folder / place.format("broken")).exists()

    assert {path: path.stat().st_mtime_ns for path in before} == before
    predictions = read_tsv(study.folder / place.format("mine"))
    assert set(predictions["generator"]) == {"mine"}
    assert predictions["seed"].nunique() == config["cnn"]["seeds"]
    table = read_tsv(study.folder / evidence).set_index(["measure", "images"])
    assert 0 < table.loc[("unexplained_variance", "training"), "value"] < 1.5
    assert table.loc[("log_likelihood", "held-out"), "detail"].startswith(
        "left out where a generator has none"
    )
    with ImageStack((study.folder / evidence).with_name("images.safetensors")) as stack:
        images = stack.as_array()
    assert images.std(axis=0).max() > 0.01
