"""The generators without the workflow: what the extra `generators` brings is enough for them."""

import re
import subprocess
import sys
import tomllib

import numpy
import pytest

from rhvae_mri.generators.command import main
from rhvae_mri.generators.registry import BUILT_IN

#: Of a network few epochs; the others are fitted in no time.
QUICK = {
    name: ["--settings", "max_epochs=2", "encoder_layers=[8]", "latent_dimension=2"]
    for name in ("rhvae", "vae")
}

#: Run before anything else: whatever the extra does not name, or torch needs itself, cannot be imported.
BARE = """
import sys
from importlib.abc import MetaPathFinder

class Nothing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Nothing())
"""
#: Packages of the workflow that are not in the extra.
OTHERS = {
    *("pandas", "scipy", "sklearn", "matplotlib", "nibabel", "pydantic", "yaml", "snakemake", "pydicom"),
    *("statsmodels", "ants", "nilearn", "pooch", "threadpoolctl", "psutil"),
}


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = numpy.random.default_rng(0).random((8, 5, 4, 3), dtype=numpy.float32)
    numpy.save(tmp_path / "images.npy", array)
    return array


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_command_trains_samples_and_decodes(name, images):
    one = ["--generator", name]
    assert main(["train", "images.npy", "model.safetensors", *one, "--seed", "3", *QUICK.get(name, [])]) == 0
    for count in ("5", "20"):
        assert main(["sample", "model.safetensors", f"codes{count}.npy", "--count", count, *one]) == 0
        assert main(["decode", "model.safetensors", f"codes{count}.npy", f"made{count}.npy", *one]) == 0
    few, many = numpy.load("made5.npy"), numpy.load("made20.npy")
    assert many.shape == (20, *images.shape[1:])
    assert many.min() >= 0
    assert many.max() <= 1
    assert numpy.array_equal(many[:5], few)


def test_the_command_says_what_is_wrong_and_where(images, capsys):
    numpy.save("bytes.npy", numpy.zeros((4, 3, 3), dtype=numpy.uint8))
    for given, message in {
        ("train", "none.npy", "model"): "none.npy",
        ("train", "bytes.npy", "model"): "The training images are of type uint8.",
        ("train", "images.npy", "model", "--settings", "latent_dim=3"): "Unknown settings: latent_dim.",
        ("train", "images.npy", "model", "--generator", "nothing:Here"): "There is no module nothing.",
        ("sample", "images.npy", "codes.npy"): "The RHVAE model file cannot be read.",
    }.items():
        assert main(list(given)) == 1
        assert message in capsys.readouterr().err


def test_the_extra_has_all_that_generators_import_and_the_documented_lines_run(images, root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["generators"] == ["numpy", "safetensors", "torch", "tqdm"]
    page = (root / "docs/generators.md").read_text()
    documented = re.search(r"```python\n(from rhvae_mri.*?)```", page, re.DOTALL)[1]
    commands = "\n".join(
        f"main(['train', 'images.npy', 'm', '--generator', {name!r}, *{QUICK.get(name, [])}])\n"
        f"main(['sample', 'm', 'c.npy', '--count', '3', '--generator', {name!r}])\n"
        f"main(['decode', 'm', 'c.npy', 'made.npy', '--generator', {name!r}])"
        for name in BUILT_IN
    )
    code = (
        f"{BARE.format(packages=OTHERS)}\nimport numpy\nimages = numpy.load('images.npy')\n{documented}\n"
        "assert synthetic.shape == (100, 5, 4, 3)\n"
        f"from rhvae_mri.generators.command import main\n{commands}\n"
        "assert numpy.load('made.npy').shape == (3, 5, 4, 3)\n"
    )
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(root / "workflow"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
