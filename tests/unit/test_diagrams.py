import made_up_study
import pandas
import pytest
from figure_checks import drawn

from rhvae_mri.figures.diagrams import draw_scheme, draw_split


def cohort(name, groups):
    """The tables of a cohort, of groups of number, diagnosis, status, reason and path."""
    rows = []
    for number, diagnosis, status, reason, path in groups:
        for _ in range(number):
            image = f"sub-{name}{len(rows)}"
            rows.append((image, image, "ses-M000", diagnosis, status, reason, path))
    columns = ["image_id", "participant_id", "session_id", "diagnosis", "status", "reason", "path"]
    images = pandas.DataFrame(rows, columns=columns)
    failed = images["reason"].fillna("").str.startswith("similarity")
    images.loc[failed, "reason"] = None
    kept = images["status"] == "kept"
    quality = images.loc[kept, ["image_id"]].assign(status="passed", reason=None)
    quality.loc[failed, ["status", "reason"]] = ["failed", "similarity 0.31 is below 0.4"]
    return images, quality, quality[["image_id"]]


@pytest.fixture(scope="module")
def adni():
    return cohort(
        "ADNI",
        [
            (20, "AD", "kept", None, "x"),
            (22, "CN", "kept", None, "x"),
            (3, "AD", "kept", "similarity", "x"),
            (4, "MCI", "excluded", "another diagnosis: MCI", "x"),
            (2, "AD", "excluded", "DICOM series unreadable: file 3", None),
            (5, "CN", "excluded", "not the first usable visit", "x"),
            (2, "CN", "excluded", "wrong field of view", "x"),
            (1, "AD", "excluded", "The image has 3 voxels that are NaN or infinite (0.1 %).", "x"),
            (1, "CN", "excluded", "no age", "x"),
        ],
    )


@pytest.fixture(scope="module")
def aibl():
    return cohort("AIBL", [(7, "AD", "kept", None, "x"), (9, "CN", "kept", None, "x")])


@pytest.fixture(scope="module")
def split(adni):
    images, quality, _ = adni
    usable = images[images["image_id"].isin(quality.loc[quality["status"] == "passed", "image_id"])]
    tables = []
    for _, group in usable.groupby("diagnosis"):
        sets = ["test"] * 5 + ["validation"] * 3 + ["train"] * (len(group) - 8)
        group = group.assign(set=sets, **{"train-full": [int(name == "train") for name in sets]})
        tables.append(group.assign(**{"train-4": (group["train-full"].cumsum() <= 4) * group["train-full"]}))
    return pandas.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def independent(aibl):
    return aibl[0].assign(cohort="AIBL")


def test_the_split_diagram_counts_every_image_and_participant(adni, aibl, split, independent, tmp_path):
    tables = zip(adni, aibl, strict=True)
    _, texts, source = drawn(tmp_path, draw_split, *tables, split, independent, cohorts=["ADNI", "AIBL"])
    of_adni = source[source["cohort"] == "ADNI"]
    assert of_adni.loc[of_adni["event"] == "count", "n"].tolist() == [60, 58, 45, 45, 42]
    assert of_adni.loc[of_adni["event"] == "loss", "n"].sum() == 60 - 42
    sets = source[source["event"] == "set"].set_index(["cohort", "name"])
    counts = {name: (row["n_AD"], row["n_CN"]) for name, row in sets.iterrows()}
    assert counts["ADNI", "train-full"] == (12, 14)
    assert counts["ADNI", "train-4"] == (4, 4)
    assert counts["AIBL", "test"] == (7, 9)
    assert sets.loc[("ADNI", "train-4"), "inside"] == "train-full"
    assert {"left out: 3", "3  similarity is below 0.4", "left out: 13", "2  2 other reasons"} <= set(texts)
    # nothing was lost by a fault, so there is no box for that step
    assert "preprocessed without a fault" not in texts
    assert texts.count("12 AD, 14 CN") == texts.count("7 AD, 9 CN") - 2 == 1


def test_the_split_diagram_of_one_cohort_alone(adni, split, tmp_path):
    nobody = pandas.DataFrame({"cohort": [], "diagnosis": []})
    tables = ([table] for table in adni)
    drawn(tmp_path, draw_split, *tables, split, nobody, cohorts=["ADNI"], simulated=False)


STUDY = {"training_cohort": "ADNI", "generated_per_class": 5000, "n_seeds": 20}


@pytest.mark.parametrize(
    "grid",
    [
        made_up_study.conditions((20, 40), ("train-4", "train-full"), False),
        made_up_study.conditions(training_sets=("train-4", "train-full"), classic=True),
        made_up_study.conditions((), ("train-full",)),
    ],
    ids=["demo", "paper", "real only"],
)
def test_the_scheme_has_the_study_s_numbers(split, independent, grid, tmp_path):
    _, texts, source = drawn(tmp_path, draw_scheme, split, independent, conditions=grid, **STUDY)
    makes_images = any(one["n_synthetic"] for one in grid)
    assert ("5,000 AD" in texts) == makes_images == ("RHVAE" in texts)
    expected = {f"{len(grid)} conditions,", "20 runs each", "3 AD, 3 CN", "5 AD, 5 CN", "7 AD, 9 CN"}
    assert expected <= set(texts)
    source = source.set_index(["training_set", "training_data"])
    assert source.loc[("train-full", "real"), ["n_AD", "n_CN"]].tolist() == [12, 14]
    if makes_images:
        sizes = sorted({one["n_synthetic"] for one in grid} - {0})
        assert source.loc[("train-4", "augmented"), "variants"] == "; ".join(f"{size:,}" for size in sizes)
    assert not any("rhvae" in text for text in texts)


def test_the_scheme_names_several_generators_or_one_that_is_not_the_study_s_own(split, independent, tmp_path):
    options = {"sizes": (20, 40), "training_sets": ("train-4", "train-full")}
    grid = made_up_study.conditions(**options, generators=made_up_study.GENERATORS)
    _, texts, source = drawn(tmp_path, draw_scheme, split, independent, conditions=grid, **STUDY)
    assert texts.count("generators") == texts.count("ppca, oracle") == 4
    assert {"5,000 AD each", "synthetic (rhvae, vae, ppca,"} <= set(texts)
    assert "RHVAE" not in texts
    of_synthetic = source[source["training_data"] == "synthetic"]
    assert of_synthetic["generator"].tolist() == [*made_up_study.GENERATORS] * 2
    grid = made_up_study.conditions(**options, generators=("vae",))
    _, texts, _ = drawn(tmp_path, draw_scheme, split, independent, conditions=grid, **STUDY)
    assert texts.count("vae") == 4
    assert "synthetic: 20; 40" in texts
