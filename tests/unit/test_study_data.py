import numpy
import pandas
import pytest

from rhvae_mri.cohort.image_sets import build_training_sets, list_evaluated_sets, read_class_images
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.io.tensor_files import write_image_stack

SHAPE = (3, 4, 2)


def constant(value):
    return numpy.full(SHAPE, value, dtype=numpy.float32)


def save_stack(path, keys, values):
    write_image_stack(path, keys, [constant(value) for value in values], SHAPE)
    return path


@pytest.fixture
def study(tmp_path):
    """Ten images whose voxels all have the number of the image, divided by ten."""
    ids = [f"sub-{number}_ses-M000" for number in range(10)]
    # The stack has another order than the split.
    save_stack(tmp_path / "adni.safetensors", ids[::-1], numpy.arange(10)[::-1] / 10)
    save_stack(tmp_path / "aibl.safetensors", ["sub-a", "sub-b"], [0.95, 0.05])
    for diagnosis, value in (("AD", 0.99), ("CN", 0.01)):
        save_stack(tmp_path / f"{diagnosis}.safetensors", ["s0", "s1", "s2"], [value] * 3)
    split = pandas.DataFrame({"image_id": ids, "diagnosis": ["AD", "CN"] * 5})
    split["set"] = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    split["train-full"] = [1] * 6 + [0] * 4
    split["train-1"] = [0, 0, 1, 1] + [0] * 6
    write_tsv(tmp_path / "split.tsv", split)
    independent = pandas.DataFrame(
        {"cohort": "AIBL", "image_id": ["sub-b", "sub-a"], "diagnosis": ["CN", "AD"]}
    )
    write_tsv(tmp_path / "independent.tsv", independent)
    return tmp_path


def values_of(images):
    return images.batch(range(len(images)))[:, 0, 0, 0].round(3).tolist()


def test_an_rhvae_gets_the_images_of_its_class_and_set(study):
    images = read_class_images(study / "adni.safetensors", study / "split.tsv", "train-full", "AD")
    assert images[:, 0, 0, 0].round(3).tolist() == pytest.approx([0.0, 0.2, 0.4])
    assert images.shape == (3, *SHAPE)


@pytest.mark.parametrize(
    ("data", "expected", "labels"),
    [
        ("real", [0.2, 0.3], [1, 0]),
        ("classic", [0.2, 0.3], [1, 0]),
        ("synthetic", [0.99, 0.99, 0.01, 0.01], [1, 1, 0, 0]),
        ("augmented", [0.2, 0.3, 0.99, 0.99, 0.01, 0.01], [1, 0, 1, 1, 0, 0]),
    ],
)
def test_each_condition_trains_on_its_data_and_validates_on_real_images(study, data, expected, labels):
    files = [study / f"{name}.safetensors" for name in ("AD", "CN")]
    synthetic = [] if data in ("real", "classic") else files
    train, validation = build_training_sets(
        study / "adni.safetensors", study / "split.tsv", "train-1", data, synthetic, 2
    )
    assert values_of(train) == pytest.approx(expected)
    assert train.labels.tolist() == labels
    assert values_of(validation) == pytest.approx([0.6, 0.7])
    assert validation.labels.tolist() == [1, 0]


def test_networks_are_evaluated_on_validation_test_and_the_independent_cohort(study):
    sets = list_evaluated_sets(
        study / "split.tsv",
        study / "independent.tsv",
        {"ADNI": study / "adni.safetensors", "AIBL": study / "aibl.safetensors"},
    )
    found = {(cohort, name): (values_of(images), images.labels.tolist()) for cohort, name, images, _ in sets}
    assert found == {
        ("ADNI", "test"): (pytest.approx([0.8, 0.9]), [1, 0]),
        ("ADNI", "validation"): (pytest.approx([0.6, 0.7]), [1, 0]),
        ("AIBL", "test"): (pytest.approx([0.05, 0.95]), [0, 1]),
    }
    assert sets[-1][3] == ["sub-b", "sub-a"]


def test_an_image_that_is_not_packed_is_named(study):
    save_stack(study / "adni.safetensors", ["sub-0_ses-M000"], [0.5])
    with pytest.raises(StudyError, match="lacks the images sub-2_ses-M000, sub-3_ses-M000"):
        build_training_sets(study / "adni.safetensors", study / "split.tsv", "train-1", "real", [], 0)
