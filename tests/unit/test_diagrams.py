import made_up_study
import numpy
import pandas
import pytest
from figure_checks import drawn, overlapping_texts, svg_texts

from rhvae_mri.figures.intruders import hide_intruders, mix_images
from rhvae_mri.figures.scheme import draw_scheme, scheme_source
from rhvae_mri.figures.slices import read_examples
from rhvae_mri.figures.split import draw_split, split_source
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.tensor_files import write_image_stack


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
    source = split_source({"ADNI": adni, "AIBL": aibl}, split, independent)
    counts = source[(source["cohort"] == "ADNI") & (source["event"] == "count")]
    assert counts["n"].tolist() == [60, 58, 45, 45, 42]
    losses = source[(source["cohort"] == "ADNI") & (source["event"] == "loss")]
    assert losses["n"].sum() == 60 - 42
    sets = source[source["event"] == "set"].set_index(["cohort", "name"])
    assert sets.loc[("ADNI", "train-full"), ["n_AD", "n_CN"]].tolist() == [12, 14]
    assert sets.loc[("ADNI", "train-4"), ["n_AD", "n_CN"]].tolist() == [4, 4]
    assert sets.loc[("ADNI", "train-4"), "inside"] == "train-full"
    assert sets.loc[("AIBL", "test"), ["n_AD", "n_CN"]].tolist() == [7, 9]
    tables = zip(adni, aibl, strict=True)
    names = ["ADNI", "AIBL"]
    figure = drawn(tmp_path, draw_split, *tables, split, independent, cohorts=names, simulated=True)
    assert overlapping_texts(figure) == ([], [])
    texts = svg_texts(tmp_path / "figure.svg")
    assert {"left out: 3", "3  similarity is below 0.4", "left out: 13", "2  2 other reasons"} <= set(texts)
    # nothing was lost by a fault, so there is no box for that step
    assert "preprocessed without a fault" not in texts
    assert texts.count("12 AD, 14 CN") == texts.count("7 AD, 9 CN") - 2 == 1


def test_the_split_diagram_of_one_cohort_alone(adni, split, tmp_path):
    nobody = pandas.DataFrame({"cohort": [], "diagnosis": []})
    tables = ([table] for table in adni)
    figure = drawn(tmp_path, draw_split, *tables, split, nobody, cohorts=["ADNI"], simulated=False)
    assert overlapping_texts(figure) == ([], [])
    assert "imulated" not in (tmp_path / "figure.svg").read_text()
    with pytest.raises(StudyError, match="no cohort"):
        split_source({}, split, nobody)


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
    figure = drawn(
        tmp_path,
        draw_scheme,
        split,
        independent,
        training_cohort="ADNI",
        conditions=grid,
        generated_per_class=5000,
        n_seeds=20,
        simulated=True,
    )
    assert overlapping_texts(figure) == ([], [])
    texts = svg_texts(tmp_path / "figure.svg")
    makes_images = any(one["n_synthetic"] for one in grid)
    assert ("5,000 AD" in texts) == makes_images == ("RHVAE" in texts)
    assert {f"{len(grid)} conditions,", "20 runs each", "3 AD, 3 CN", "5 AD, 5 CN", "7 AD, 9 CN"} <= set(
        texts
    )
    source = read_tsv(tmp_path / "figure.tsv").set_index(["training_set", "training_data"])
    assert source.loc[("train-full", "real"), ["n_AD", "n_CN"]].tolist() == [12, 14]
    if makes_images:
        sizes = sorted({one["n_synthetic"] for one in grid} - {0})
        assert source.loc[("train-4", "augmented"), "variants"] == "; ".join(f"{size:,}" for size in sizes)


def test_a_scheme_needs_conditions(split):
    with pytest.raises(StudyError, match="no condition"):
        scheme_source(split, [], 10)


def images(kind, count, shape=(21, 26, 22)):
    random = numpy.random.default_rng(len(kind))
    return {
        diagnosis: {
            f"{kind}-{diagnosis}-{i}": random.random(shape, dtype=numpy.float32) for i in range(count)
        }
        for diagnosis in ("AD", "CN")
    }


def test_intruders_are_mixed_by_the_seed_alone():
    real, synthetic = images("real", 8), images("synthetic", 8)
    mixed = mix_images(real, synthetic, 5)
    shuffled = {diagnosis: dict(reversed(one.items())) for diagnosis, one in real.items()}
    pandas.testing.assert_frame_equal(mixed, mix_images(shuffled, synthetic, 5))
    assert not mixed.equals(mix_images(real, synthetic, 6))
    assert mixed["number"].tolist() == list(range(1, 33))
    assert mixed["kind"].value_counts().to_dict() == {"real": 16, "synthetic": 16}
    of_ad = mixed.loc[mixed["diagnosis"] == "AD", "kind"].tolist()
    assert of_ad not in (sorted(of_ad), sorted(of_ad, reverse=True))


def test_the_intruders_are_named_in_the_answers_only(tmp_path):
    real, synthetic = images("real", 8), images("synthetic", 8)
    figure = drawn(tmp_path, hide_intruders, real, synthetic, 5, simulated=True)
    assert overlapping_texts(figure) == ([], [])
    answers, source = read_tsv(tmp_path / "figure_answers.tsv"), read_tsv(tmp_path / "figure.tsv")
    texts = svg_texts(tmp_path / "figure.svg")
    assert {str(number) for number in answers["number"]} <= set(texts)
    for telling in ("real-", "synthetic-"):
        assert telling not in (tmp_path / "figure.svg").read_text()
        assert telling not in (tmp_path / "figure.tsv").read_text()
    volumes = {name: one for kind in (real, synthetic) for of in kind.values() for name, one in of.items()}
    shown = [ax.get_images()[0].get_array() for ax in figure.axes]
    for row, mean, pixels in zip(answers.itertuples(), source["mean"], shown, strict=True):
        expected = volumes[row.image_id][:, 13].T
        assert row.image_id.startswith(row.kind)
        assert numpy.array_equal(pixels, expected)
        assert mean == pytest.approx(expected.mean(), abs=1e-6)


def test_examples_are_read_of_the_members_of_the_training_set(tmp_path, split):
    shape = (2, 3, 4)
    names = split["image_id"].tolist()
    write_image_stack(tmp_path / "real.st", names, (numpy.full(shape, i) for i in range(len(names))), shape)
    write_image_stack(tmp_path / "made.st", ["s0", "s1", "s2"], numpy.zeros((3, *shape)), shape)
    made = [tmp_path / "made.st", tmp_path / "made.st"]
    settings = {"training_set": "train-4", "count": 3, "seed": 1}
    real, synthetic = read_examples(tmp_path / "real.st", split, made, figure="one", **settings)
    members = split[split["train-4"] == 1].set_index("image_id")["diagnosis"]
    for diagnosis, chosen in real.items():
        assert len(chosen) == 3
        assert {members[name] for name in chosen} == {diagnosis}
        assert all((volume == names.index(name)).all() for name, volume in chosen.items())
    assert list(synthetic["AD"]) == ["s0", "s1", "s2"]
    others = [
        read_examples(tmp_path / "real.st", split, made, figure=f"{i}", **settings)[0] for i in range(5)
    ]
    assert any(list(other["AD"]) != list(real["AD"]) for other in others)
