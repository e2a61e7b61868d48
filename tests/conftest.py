"""What the tests share: the repository's places and a way to run Snakemake on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fault_study import Study

from rhvae_mri.study.checks import complete

ROOT = Path(__file__).parents[1]
SNAKEFILE = ROOT / "workflow" / "Snakefile"
#: The tests that run the small study (fixture `undisturbed`); all others of whole studies are of the demo.
SMALL_STUDY = tuple(
    f"tests/{name}.py" for name in ("integration/test_faults", "integration/test_flags", "slurm/test_slurm")
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep the whole-study tests of one study in one process, which runs that study once.

    pytest-xdist's own `--dist loadgroup` is no help: its groups get lost under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class StudyScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "small study" if nodeid.split("::")[0] in SMALL_STUDY else "demo"

    return StudyScheduling(config, log) if config.option.markexpr == "demo" else None


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def shared_images():
    """The folder of real images beside the checkout, where there is one."""
    folder = ROOT.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"the real images are not on this machine ({folder})")
    return folder


@pytest.fixture(scope="session")
def shared_networks():
    """The folder of pretrained networks beside the checkout, where there is one."""
    folder = ROOT.parent / "shared" / "deepqc"
    if not folder.is_dir():
        pytest.skip(f"the pretrained networks are not on this machine ({folder})")
    return folder


@pytest.fixture(scope="session")
def load_config():
    def load(name="config.yaml"):
        return complete(yaml.safe_load((ROOT / "config" / name).read_text()))

    return load


@pytest.fixture(scope="session")
def snakemake_command():
    """Build the command that runs the workflow in a folder of its own."""

    def build(folder, config, *arguments, snakefile=SNAKEFILE):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "study.yaml"
        text = yaml.safe_dump(config, sort_keys=False)
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
        return [
            *(sys.executable, "-m", "snakemake"),
            *("--snakefile", str(snakefile)),
            *("--directory", str(folder)),
            *("--configfile", str(file)),
            *("--cores", "2"),
            *arguments,
        ]

    return build


@pytest.fixture(scope="session")
def run_snakemake(snakemake_command):
    """Run the workflow to its end and return its exit status and everything that it printed."""

    def run(folder, config, *arguments, snakefile=SNAKEFILE):
        return subprocess.run(
            snakemake_command(folder, config, *arguments, snakefile=snakefile),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": ""},
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def undisturbed_study(tmp_path_factory):
    """The small study, run to its end without any disturbance."""
    study = Study(tmp_path_factory.mktemp("undisturbed"), target="all")
    run = study.start()
    assert run.wait() == 0, run.output
    return study


@pytest.fixture(scope="session")
def undisturbed(undisturbed_study):
    """The digest of every result of the small study, by its path."""
    return undisturbed_study.digests()
