import pytest

from rhvae_mri.study.grid import (
    batch_seeds,
    condition_path,
    generated_sets,
    idle_exclusions,
    list_conditions,
    saliency_conditions,
)

GRID = {
    "architectures": ["baseline", "optimized"],
    "training_sets": ["train-50", "train-full"],
    "training_data": ["real", "synthetic", "augmented"],
    "generators": ["rhvae"],
    "full_resolution": True,
    "exclude": [],
}


def test_the_grid_of_the_paper_has_56_conditions_in_its_order():
    conditions = list_conditions(GRID, [500, 1000, 2000, 3000, 5000, 10000])
    assert len(conditions) == len({tuple(each.values()) for each in conditions}) == 56
    assert [*conditions[0].values()] == ["baseline", "train-50", "real", "none", 0, "full"]
    assert [each["n_synthetic"] for each in conditions[2:8]] == [500, 1000, 2000, 3000, 5000, 10000]


@pytest.mark.parametrize(
    ("exclude", "n_left"),
    [
        ([{"architecture": "optimized"}], 12),
        ([{"architecture": "optimized", "training_set": "train-50"}], 18),
        ([{"n_synthetic": 500}, {"training_data": "synthetic"}], 12),  # a condition may be named twice
        ([{"resolution": "full"}], 20),
    ],
)
def test_a_condition_with_all_the_values_of_an_exclusion_is_left_out(exclude, n_left):
    left = list_conditions(GRID | {"exclude": exclude}, [500, 1000])
    assert len(left) == n_left
    for each in left:
        assert not any(all(each[name] == value for name, value in one.items()) for one in exclude)


def test_an_exclusion_of_nothing_is_found():
    exclude = [{"n_synthetic": 500}, {"n_synthetic": 700}, {"training_data": "real", "n_synthetic": 500}]
    assert idle_exclusions(GRID | {"exclude": exclude}, [500]) == exclude[1:]


def test_training_sets_without_any_synthetic_image_need_no_rhvae():
    both = [("rhvae", "train-50"), ("rhvae", "train-full")]
    assert generated_sets(list_conditions(GRID, [500])) == both
    exclude = [{"training_set": "train-50", "n_synthetic": 500}]
    assert generated_sets(list_conditions(GRID | {"exclude": exclude}, [500])) == both[1:]
    assert generated_sets(list_conditions(GRID | {"training_data": ["real"]}, [500])) == []


def test_classic_augmentation_is_one_condition_at_the_downsampled_size():
    changes = {"architectures": ["baseline"], "training_sets": ["train-50"], "training_data": ["classic"]}
    found = list_conditions(GRID | changes, [500, 1000])
    assert [(each["n_synthetic"], each["resolution"]) for each in found] == [(0, "downsampled")]
    assert generated_sets(found) == []


def test_with_a_further_generator_the_folders_of_all_other_conditions_stay():
    alone = [condition_path(one) for one in list_conditions(GRID, [500])]
    both = [condition_path(one) for one in list_conditions(GRID | {"generators": ["vae", "rhvae"]}, [500])]
    assert set(alone) < set(both)
    assert len(both) == len(set(both)) == len(alone) + 8
    assert all("/generator-vae/n_synthetic-500/" in path for path in set(both) - set(alone))
    excluded = GRID | {"generators": ["vae", "rhvae"], "exclude": [{"generator": "vae"}]}
    assert [condition_path(one) for one in list_conditions(excluded, [500])] == alone


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [("baseline", "train-full"), ("optimized", "train-full")]),
        ({"training_sets": ["train-50", "train-8"]}, [("baseline", "train-8"), ("optimized", "train-8")]),
        (
            {"exclude": [{"architecture": "baseline", "training_set": "train-full"}]},
            [("optimized", "train-full")],
        ),
        ({"exclude": [{"training_data": "real", "resolution": "downsampled"}]}, []),
        ({"training_data": ["synthetic", "classic"]}, []),
    ],
)
def test_saliency_is_shown_for_real_downsampled_images_of_one_training_set(changes, expected):
    shown = saliency_conditions(list_conditions(GRID | changes, [500]))
    assert [(each["architecture"], each["training_set"]) for each in shown] == expected
    assert all((each["training_data"], each["resolution"]) == ("real", "downsampled") for each in shown)


def test_whole_batches_stay_when_seeds_are_added_and_a_partial_one_does_not():
    assert batch_seeds(20, 5) == [*batch_seeds(10, 5), "10-14", "15-19"]
    assert batch_seeds(7, 5) == ["0-4", "5-6"]
    assert set(batch_seeds(7, 5)) - set(batch_seeds(8, 5)) == {"5-6"}
