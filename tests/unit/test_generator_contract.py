import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy
import pytest

from rhvae_mri.generators import registry
from rhvae_mri.generators.contract import check_generator, decode_each, faults_of
from rhvae_mri.generators.registry import (
    BUILT_IN,
    check_class,
    class_path,
    export_modules,
    fit_settings,
    load_class,
    module_digest,
)
from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.checks import check_configuration, complete

SHAPE = (4, 3, 2)

#: A generator as a user might write it; a fault takes the place of one of its lines.
SOURCE = """
import numpy

class Model:
    def __init__(self, mean, spread): self.mean, self.spread = mean, spread

    @classmethod
    def fit(cls, images, *, seed, device="cpu", checkpoint=None, spread=0.1):
        return cls(images.mean(axis=0), spread)

    def draw(self, n, *, seed):
        return numpy.array([numpy.random.default_rng([seed, i]).random(2, "f") for i in range(n)])

    def decode(self, codes):
        return numpy.clip(self.mean + numpy.float32(self.spread) * codes[:, :1, None, None], 0, 1)

    def save(self, path):
        with open(path, "wb") as file: numpy.savez(file, mean=self.mean, spread=self.spread)

    @classmethod
    def load(cls, path, device="cpu"):
        with numpy.load(path) as stored: return cls(stored["mean"], float(stored["spread"]))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module of the user, with a line in the place of another, on Python's path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def write(old="", new="", name="my_models"):
        sys.modules.pop(name, None)
        assert old in SOURCE
        (tmp_path / f"{name}.py").write_text(SOURCE.replace(old, new) if old else SOURCE)
        written.append(name)
        return f"{name}:Model"

    yield write
    for name in written:
        sys.modules.pop(name, None)


def check(path, folder, n=6):
    images = numpy.random.default_rng(0).random((n, *SHAPE), dtype=numpy.float32)
    with faults_of(path):
        model = load_class(path)
        fitted = model.fit(images, seed=1)
        fitted.save(folder / "model")
        check_generator(path, fitted, partial(model.load, folder / "model"), SHAPE, 1)
    return fitted


def test_a_model_that_keeps_to_the_interface_passes_and_a_batch_is_always_full(own, tmp_path):
    path = own()
    check_class(path, {"spread": 0.2})
    fitted = check(path, tmp_path)
    codes = fitted.draw(20, seed=3)
    sizes = []
    decode = fitted.decode
    fitted.decode = lambda codes: (sizes.append(len(codes)), decode(codes))[1]
    images = list(decode_each(path, fitted, codes, SHAPE, "float16"))
    assert sizes == [16, 16]
    assert len(images) == 20
    assert images[19].dtype == numpy.float16
    assert numpy.array_equal(images[17], decode(codes)[17].astype(numpy.float16))


DRAW = 'return numpy.array([numpy.random.default_rng([seed, i]).random(2, "f") for i in range(n)])'
DECODE = "return numpy.clip(self.mean + numpy.float32(self.spread) * codes[:, :1, None, None], 0, 1)"
LOAD = 'return cls(stored["mean"], float(stored["spread"]))'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (DRAW, "raise ValueError('no luck')", "failed: ValueError: no luck"),
        (
            DRAW,
            "return numpy.random.random((n, 2)).astype('f')",
            "draw gives other codes when it is called again",
        ),
        (
            DRAW,
            "return numpy.random.default_rng([seed, n]).random((n, 2), 'f')",
            "for the first 37 of 100",
        ),
        (DRAW, "return numpy.full((n, 2), numpy.nan, 'f')", "draw gives codes that are NaN or infinite"),
        (DRAW, "return [[0.0, 0.0]] * n", "not list"),
        (DRAW, "return numpy.zeros((n + 1, 2), 'f')", "of the shape (100, d), not float32 (101, 2)"),
        (
            DECODE,
            "return self.mean + codes[:, :1, None, None] + 1",
            "decode gives values outside [0, 1]: from",
        ),
        (
            DECODE,
            "return numpy.full((len(codes), 4, 3, 2), numpy.nan, 'f')",
            "voxels that are NaN or infinite",
        ),
        (
            DECODE,
            "return numpy.zeros((len(codes), 4, 3), 'f')",
            "of the shape (3, 4, 3, 2), not float32 (3, 4, 3)",
        ),
        (
            DECODE,
            "return numpy.random.random((len(codes), 4, 3, 2))",
            "decode gives other images when it is called",
        ),
        (
            LOAD,
            'return cls(stored["mean"] / 2, 0.1)',
            "a loaded generator decodes other images than the saved one",
        ),
        (
            "return cls(images.mean(axis=0), spread)",
            "raise KeyError('too large')",
            "failed: KeyError: 'too large'",
        ),
    ],
)
def test_a_model_that_does_not_is_refused_with_its_name_and_its_fault(own, tmp_path, old, new, message):
    path = own(old, new)
    with pytest.raises(StudyError) as refused:
        check(path, tmp_path)
    assert message in str(refused.value)
    assert "my_models:Model" in str(refused.value)


def test_the_error_of_a_model_says_where_it_was_raised(own, tmp_path):
    path = own(DRAW, "return 1 / 0")
    with pytest.raises(StudyError) as refused:
        check(path, tmp_path)
    line = SOURCE.splitlines().index(f"        {DRAW}") + 1
    assert f"my_models.py, line {line}, in draw" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def draw(", "def paint(", "it has no method draw"),
        (
            "spread=0.1",
            "width=0.1",
            "fit does not take what it is given: got an unexpected keyword argument 'spread'",
        ),
        ("def draw(self, n, *, seed)", "def draw(self, n)", "draw does not take what it is given"),
        ("    @classmethod\n    def load(cls, ", "    def load(self, ", "load has to be a class method"),
        ("def decode(self", "@classmethod\n    def decode(self", "decode must not be a class method"),
    ],
)
def test_a_class_is_checked_before_anything_runs(own, old, new, message):
    path = own(old, new)
    with pytest.raises(StudyError) as refused:
        check_class(path, {"spread": 0.2})
    assert message in str(refused.value)


def test_a_class_that_cannot_be_imported_says_what_is_missing(own, tmp_path):
    for path, message in {
        "no_such_package.models:Model": "There is no module no_such_package.models.",
        own().replace("Model", "Modle"): "The module my_models has no class 'Modle'.",
        own(
            "import numpy", "import numpy, no_such_library", "needs_more"
        ): "imports no_such_library, which is not",
        own("import numpy", "import numpy; 1 / 0", "broken"): "ZeroDivisionError",
    }.items():
        with pytest.raises(StudyError) as refused:
            check_class(path, {})
        assert message in str(refused.value)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_generators_take_the_settings_that_the_configuration_gives(name):
    config = complete({})
    check_class(class_path(config, name), fit_settings({**config, "rhvae": without_threads(config)}, name))


def test_the_configuration_knows_the_built_in_generators():
    for some in (list(BUILT_IN)[:5], list(BUILT_IN)[5:]):
        check_configuration({"grid": {"generators": some}, "split": {"n_oracle_per_class": 45}})


def without_threads(config):
    return {key: value for key, value in config["rhvae"].items() if key != "threads"}


def test_settings_of_a_built_in_generator_go_over_those_of_the_rhvae():
    config = complete({"generators": {"vae": {"latent_dimension": 4}, "mine": {"model": "a:B", "width": 3}}})
    own = {name: value for name, value in config["rhvae"].items() if name != "replicates"}
    assert fit_settings(config, "rhvae") == own
    assert fit_settings(config, "vae") == own | {"latent_dimension": 4}
    assert fit_settings(config, "ppca") == {"latent_dimension": config["rhvae"]["latent_dimension"]}
    assert (class_path(config, "mine"), fit_settings(config, "mine")) == ("a:B", {"width": 3})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grid": {"generators": ["rhave"]}}, "asks for `rhave`: did you mean `rhvae`?"),
        ({"generators": {"mine": {}}}, "`generators.mine.model` is None: give module:class"),
        ({"generators": {"mine": {"model": "my_package.Model"}}}, "give module:class"),
        ({"generators": {"rhvae": {"latent_dimension": 3}}}, "are in the section `rhvae`"),
        (
            {"generators": {"ppca": {"latent_dim": 3}}},
            "unknown key `latent_dim` in generators.ppca: did you mean",
        ),
        ({"generators": {"class_mean": {"model": "a:B"}}}, "unknown key `model` in generators.class_mean"),
        ({"generators": {"Mine": {"model": "a:B"}}}, "unknown key `Mine` in generators"),
        ({"generators": {"real": {"model": "a:B"}}}, "tables have another meaning for this name"),
        ({"grid": {"generators": ["vae", "ppca", "class_mean", "jitter", "a", "b"]}}, "at most 5 items"),
        ({"grid": {"generators": []}}, "`grid.generators`"),
        ({"grid": {"exclude": [{"generator": "vae"}]}}, "the grid has no such condition"),
    ],
)
def test_what_the_configuration_says_of_generators_is_checked(given, message):
    with pytest.raises(StudyError) as refused:
        check_configuration(given)
    assert message in str(refused.value)


def test_the_digest_of_an_own_module_changes_with_its_code_and_not_with_a_comment(own, tmp_path):
    first = module_digest(own())
    assert module_digest(own("import numpy", "import numpy  # the arrays")) == first
    assert module_digest(own("spread=0.1", "spread=0.2")) != first
    assert module_digest(BUILT_IN["rhvae"]) is None
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text("WIDTH = 3")
    whole = module_digest("my_package.models:Model")
    (package / "layers.py").write_text("WIDTH = 4")
    assert module_digest("my_package.models:Model") != whole


def test_a_package_without_an_init_file_and_a_file_that_is_no_python_have_digests_too(own, tmp_path):
    package = tmp_path / "bare_package"
    package.mkdir()
    (package / "models.py").write_text(SOURCE)
    path = "bare_package.models:Model"
    assert load_class(path).__name__ == "Model"
    first = module_digest(path)
    (package / "notes.py").write_text("this is not Python")
    second = module_digest(path)
    (package / "models.py").write_text(SOURCE.replace("spread=0.1", "spread=0.2"))
    assert len({first, second, module_digest(path), None}) == 4


def test_a_module_in_the_working_directory_is_found_by_this_process_and_by_those_that_it_starts(
    tmp_path, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    (here / "here_models.py").write_text(SOURCE)
    (here / "statistics.py").write_text("raise RuntimeError('this stands before the library')")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("RHVAE_MRI_GENERATORS", "")
    config = complete(
        {"generators": {"mine": {"model": "here_models:Model"}}, "grid": {"generators": ["mine"]}}
    )
    export_modules(config)
    assert os.environ["RHVAE_MRI_GENERATORS"] == str(here)
    code = "import statistics; from rhvae_mri.generators.registry import load_class; "
    code += "print(load_class('here_models:Model').__name__, statistics.mean([1, 3]))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(registry.__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "Model 2\n", run.stderr


TORCH = "import torch; return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed)).numpy()"
OPTIONAL = "    def save(self, path):"
ENCODE = "    def encode(self, images): return images[:, 0, 0] * numpy.nan"
DENSITY = "    def log_density(self, images, *, seed): return {'a': ('how', numpy.zeros(1))}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # the first numbers of torch depend on how many are drawn, from sixteen on
        (DRAW, TORCH, "draw gives other codes when it is called again, for the first 37 of 100"),
        (DECODE, f"codes *= 2; {DECODE}", "decode changes the codes that it is given"),
        (OPTIONAL, f"{ENCODE}\n\n{OPTIONAL}", "encode gives codes that are NaN or infinite"),
        (OPTIONAL, f"{DENSITY}\n\n{OPTIONAL}", "log_density has to give one finite number per image as a"),
        (OPTIONAL, f"    history = None\n\n{OPTIONAL}", "history has to be a sequence of mappings, not None"),
    ],
)
def test_faults_that_few_codes_would_not_show_and_those_of_optional_methods(own, tmp_path, old, new, message):
    path = own(old, new)
    with pytest.raises(StudyError) as refused:
        check(path, tmp_path)
    assert message in str(refused.value)


def test_an_error_within_a_library_names_the_line_of_the_class(own, tmp_path):
    line = "return numpy.linalg.solve(numpy.zeros((2, 2)), numpy.zeros(2))"
    path = own(DRAW, line)
    with pytest.raises(StudyError) as refused:
        check(path, tmp_path)
    assert "LinAlgError" in str(refused.value)
    place = SOURCE.replace(DRAW, line).splitlines().index(f"        {line}") + 1
    assert f"my_models.py, line {place}, in draw" in str(refused.value)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_a_full_disk_is_no_fault_of_the_class(own, error):
    with pytest.raises(type(error)), faults_of(own()):
        raise error


def test_errors_of_built_in_classes_stay_as_they_are():
    with pytest.raises(ValueError, match="as it is"), faults_of(BUILT_IN["vae"]):
        raise ValueError("as it is")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vae": {"learning_rate": "1e-3"}}, "is the text '1e-3', not a number: write 1.0e-3"),
        (
            {"mine": {"model": "a:B", "rate": "1e-3"}},
            "`generators.mine.rate` is the text",
        ),
        (
            {"vae": {"latent_dimension": -1}},
            "`generators.vae.latent_dimension` is -1: input",
        ),
        ({"ppca": {"latent_dimension": "two"}}, "`generators.ppca.latent_dimension` is 'two'"),
        (
            {"jitter": {"noise_share": -1}},
            "`generators.jitter.noise_share` is -1: give a number",
        ),
        (
            {"mine": {"model": "a:B", "seed": 3}},
            "`generators.mine.seed`: every generator is given this",
        ),
        ({"my-vae": {"model": "a:B"}}, "a name is of small letters, digits and underscores"),
    ],
)
def test_values_of_settings_are_checked_before_anything_runs(given, message):
    with pytest.raises(StudyError) as refused:
        check_configuration({"generators": given})
    assert message in str(refused.value)
