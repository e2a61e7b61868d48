import pandas
import pytest

from rhvae_mri.pages.generation import write_generation
from rhvae_mri.study.names import SIMULATED_MARK


def table():
    columns = [
        "generator",
        "training_set",
        "replicate",
        "diagnosis",
        "measure",
        "images",
        "value",
        "uncertainty",
        "n",
        "detail",
    ]
    return pandas.DataFrame(
        [
            ("rhvae", "train-50", 0, "AD", "elbo", "training", -10.25, 0.5, 40, "nats <per> image"),
            ("rhvae", "train-50", 0, "CN", "elbo", "training", -11.0, float("nan"), 1, "nats <per> image"),
            ("rhvae", "train-full", 0, "AD", "copied_share", "synthetic", 0.0, 0.01, 20, "share"),
        ],
        columns=columns,
    )


@pytest.mark.parametrize("simulated", [True, False])
def test_the_page_shows_every_measure_of_every_model(tmp_path, simulated):
    write_generation(table(), tmp_path / "page.html", simulated=simulated, title="Study & more")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("−10.25 ± 0.5 (n = 40)", "<td>−11 (n = 1)</td>", "train-full, AD", "Copied share", "(ELBO)"):
        assert text in page
    assert page.count("<table>") == 2
    assert "nats &lt;per&gt; image" in page
    assert "Study &amp; more" in page
    assert (SIMULATED_MARK in page) == simulated


def test_several_generators_are_named_and_what_was_not_measured_says_so(tmp_path):
    rows = table()
    other = rows.assign(generator="ppca", value=float("nan"), n=0)
    both = pandas.concat([rows, other])
    write_generation(both, tmp_path / "page.html", simulated=True, title="Study")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("rhvae, train-50, AD", "ppca, train-50, AD", "not measured", "by generator, training set"):
        assert text in page


def test_replicates_are_told_apart(tmp_path):
    both = pandas.concat([table(), table().assign(replicate=1)])
    write_generation(both, tmp_path / "page.html", simulated=False, title="Study")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "train-full, 1, AD" in page
    assert "Copied share by training set, replicate and diagnosis" in page
