import copy
import re

import pandas
import pytest
from test_network_figures import SHAPES

from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.pages.methods import describe_methods, write_methods
from rhvae_mri.pages.references import WORKS
from rhvae_mri.provenance.networks import choose_classifiers, tabulate_networks
from rhvae_mri.provenance.tables import DownloadFacts
from rhvae_mri.study.grid import list_conditions

SOFTWARE = {
    "rhvae-mri": {"version": "1.2.3", "revision": "abc"},
    "python": "CPython 3.11.7",
    "tools": {"snakemake": "9.27.1", "clinica": "0.12.0", "ANTs": "2.5"},
    "packages": {"torch": "2.13.0", "numpy": "2.3.5"},
}


def people(numbers):
    rows = [(diagnosis, name) for (diagnosis, name), number in numbers.items() for _ in range(number)]
    table = pandas.DataFrame(rows, columns=["diagnosis", "set"])
    full = (table["set"] == "train").astype(int)
    return table.assign(
        **{"train-full": full, "train-50": full * (full.groupby(table["diagnosis"]).cumsum() <= 50)}
    )


SPLIT = people(
    {
        ("AD", "train"): 210,
        ("CN", "train"): 243,
        ("AD", "validation"): 52,
        ("CN", "validation"): 60,
        ("AD", "test"): 100,
        ("CN", "test"): 100,
    }
)
AIBL = pandas.DataFrame({"cohort": ["AIBL"] * 505, "diagnosis": ["AD"] * 76 + ["CN"] * 429})


@pytest.fixture(scope="module")
def methods(root, load_config):
    def write(name="paper.yaml", facts=(), **changes):
        config = copy.deepcopy(load_config(name))
        for key, value in changes.items():
            section, leaf = key.split("__")
            config[section][leaf] = value
        grid = list_conditions(config["grid"], config["synthetic"]["sizes"])
        file = root / "resources" / "architectures.json"
        layers = tabulate_networks(choose_classifiers(grid, file, {}), SHAPES, RHVAESettings())
        return describe_methods(config, SPLIT, AIBL, layers, SOFTWARE, facts)

    return write


def test_the_methods_of_the_published_study_have_its_numbers(methods):
    paragraphs, references = methods()
    text = "\n".join(paragraphs)
    for expected in (
        "spline distance 600 mm",
        "train-full: 210 AD, 243 CN; validation: 52 AD, 60 CN; test: 100 AD, 100 CN",
        "train-50 (50 AD, 50 CN)",
        "AIBL (76 AD, 429 CN) is an independent test cohort",
        "latent dimension 10",
        "500, 1,000, 2,000, 3,000, 5,000 and 10,000 images, half of them AD",
        "1,916,697 parameters down-sampled",
        "100 epochs",
        "Every condition was trained 20 times",
        "rhvae-mri 1.2.3 (revision abc)",
        "snakemake 9.27.1, clinica 0.12.0 and ANTs 2.5",
    ):
        assert expected in text, expected
    assert "SIMULATED" not in text
    assert references[0] == WORKS["study"]


def test_journal_articles_can_be_found_by_their_doi():
    articles = [
        work for work in WORKS.values() if re.search(r"\d+(\(\d+\))?:\d+", work) and "PMLR" not in work
    ]
    without = [work for work in articles if not re.search(r"doi:10\.\d{4,}/\S+\.$", work)]
    assert without == [WORKS["holm"]]  # its journal gave none then


def test_every_work_is_cited_in_the_order_of_its_number(methods):
    paragraphs, references = methods()
    numbers = [
        int(one) for group in re.findall(r"\[([\d, ]+)\]", "\n".join(paragraphs)) for one in group.split(", ")
    ]
    numbers = [number for number in numbers if number]  # not the 0 of [0, 1], the range of intensities
    assert list(dict.fromkeys(numbers)) == list(range(1, len(references) + 1))
    assert len(set(references)) == len(references)
    assert "[@" not in "\n".join(paragraphs)


def test_the_methods_say_what_is_simulated_and_what_was_not_run(methods):
    paragraphs, references = methods("config.yaml")
    text = "\n".join(paragraphs)
    assert "SIMULATED" in text
    assert "deep quality check was not run" in text
    assert WORKS["darq"] not in references
    assert WORKS["darq"] in methods()[1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rhvae__reconstruction": "mse"}, "half the squared error"),
        ({"rhvae__networks": "convolutional"}, "which the published study does not have"),
        ({"rhvae__encoder_last_activation": "relu"}, "multi-layer perceptrons with ReLU;"),
        ({"rhvae__fixed_point_tolerance": 1e-5}, "implicit equations of generalized steps solved to 1e-05"),
        (
            {"rhvae__start_at_mean_image": True},
            "with the decoder at the mean image first, ran until the training",
        ),
        (
            {"rhvae__hold_out_fraction": 0.2},
            "ran until the loss of a random 0.2 of these images, on which it was",
        ),
        ({"synthetic__count": "per_class"}, "of each of the two classes"),
        ({"cnn__learning_rate": 0.005}, "learning rate 0.005"),
        ({"cnn__optimized": "searched"}, "this study's own random search"),
        ({"split__require_balance": False}, "the best of them was taken"),
        ({"statistics__resamples": 777}, "777 resamples"),
        ({"grid__training_data": ["real", "classic"]}, "under classic augmentation"),
    ],
)
def test_the_methods_follow_the_configuration(methods, change, expected):
    assert expected in "\n".join(methods(**change)[0])
    assert expected not in "\n".join(methods()[0])


def test_a_study_of_real_images_alone_says_nothing_of_synthetic_ones(methods):
    paragraphs, _ = methods(grid__training_data=["real"])
    assert "# Synthetic images" not in paragraphs
    assert "RHVAE" not in "\n".join(paragraphs)


def test_the_methods_say_what_the_tables_of_a_download_lacked(methods):
    absent = (("MRIQUALITY", "rejects are unknown"), ("CDR", "ratings are unknown"))
    facts = [
        DownloadFacts("ADNI", True, True, absent),
        DownloadFacts("AIBL", absent=(("aibl_mmse", "scores are unknown"),)),
    ]
    text = "\n".join(methods(facts=facts)[0])
    assert "The ADNI download had no table ADNIMERGE" in text
    assert "diagnoses are those of DXSUM, not those of the published ADNIMERGE." in text
    assert (
        "The ADNI download did not have MRIQUALITY and CDR: without MRIQUALITY, rejects are unknown; "
        "without CDR, ratings are unknown. The AIBL download did not have aibl_mmse: without aibl_mmse, "
        "scores are unknown."
    ) in text
    mended = "\n".join(methods(facts=[DownloadFacts("ADNI", diagnoses_from_dxsum=True)])[0])
    assert "The table ADNIMERGE of ADNI had no diagnoses: they are those of DXSUM." in mended
    kinds = "\n".join(methods(facts=[DownloadFacts("ADNI", processed=(66, 9))])[0])
    assert "Of 66 converted scans of ADNI, 9 were pre-processed by ADNI" in kinds
    assert "57 were original." in kinds
    plain = "\n".join(methods(facts=[DownloadFacts("ADNI"), DownloadFacts("AIBL")])[0])
    assert plain == "\n".join(methods()[0])
    assert "ADNIMERGE" not in plain


def test_the_methods_are_written_as_a_page_and_as_markdown(methods, tmp_path):
    paragraphs, references = methods("config.yaml")
    write_methods(
        paragraphs, references, html=tmp_path / "m.html", markdown=tmp_path / "m.md", simulated=True
    )
    page, markdown = (tmp_path / "m.html").read_text(), (tmp_path / "m.md").read_text()
    assert page.count("<li>") == len(references)
    assert "Simulated data:" in page
    assert "Simulated data:" in markdown
    assert "\n## Preprocessing\n" in markdown
    assert r"sqrt(beta\_0)" in markdown
    assert not re.findall(r"https?://", page)
