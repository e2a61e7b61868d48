"""A study that is disturbed again and again ends like an undisturbed one. benchmarks/faults.py does more."""

import random
import warnings

import pytest
from fault_kinds import KINDS, mount_small_disk, unmount
from fault_study import Study
from faults import complete, disturb

pytestmark = pytest.mark.demo

#: Each kind at least once, in the order in which the rules run; the first job that begins meets the fault.
FAULTS = [
    ("Ctrl-C", ("simulate_adni",)),
    ("power cut", ("convert_to_bids",)),
    ("started twice", ("preprocess_image",)),
    ("main process killed", ("preprocess_image",)),
    ("disk full", ("preprocess_image",)),
    ("Ctrl-C", ("preprocess_image",)),
    ("read-only", ("preprocess_image",)),
    ("out of memory", ("train_generator", "generate_synthetic", "train_cnn")),
    ("time limit", ("train_generator",)),
    ("job killed", ("train_cnn", "evaluate")),
    ("time limit", ("train_cnn",)),
    ("times in the future", ("train_cnn",)),
    ("main process terminated", ("evaluate",)),
]


@pytest.fixture
def disk(tmp_path):
    """A folder on a small file system of its own; None where that takes rights that the tests do not have."""
    folder = tmp_path / "disk"
    if not mount_small_disk(folder):
        yield None
        return
    yield folder
    unmount(folder)


def test_a_disturbed_study_ends_like_an_undisturbed_one(tmp_path, disk, undisturbed):
    faults = FAULTS
    if disk is None:
        faults = [fault for fault in FAULTS if not KINDS[fault[0]].needs_mount]
        warnings.warn("NOT TESTED without root: a full and a read-only disk.", stacklevel=1)
    folder = disk or tmp_path / "study"
    injected = disturb(Study(folder), faults, random.Random(7))
    assert {fault["kind"] for fault in injected} == {kind for kind, _ in faults}
    problems = complete(Study(folder, target="all"), undisturbed, ahead=True)
    assert not any(problems.values()), problems
