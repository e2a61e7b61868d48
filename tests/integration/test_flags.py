"""Where a generator has learned nothing, all that shows a gain by its images says so."""

import pytest

from rhvae_mri.io.files import read_tsv

pytestmark = pytest.mark.demo

#: What shows a gain.
SHOWING = (
    *("index.html", "tables/classification.html", "tables/comparisons.html"),
    *("figures/seeds.svg", "figures/sizes.svg"),
)


def test_an_rhvae_of_three_participants_is_flagged_wherever_a_gain_is_shown(undisturbed_study):
    results = undisturbed_study.results
    assert read_tsv(results / "tables/flags.tsv")["generator"].tolist() == ["rhvae"]
    compared = read_tsv(results / "tables/comparisons.tsv")
    assert compared.loc[compared["generator"] == "rhvae", "flags"].str.contains("unexplained").all()
    for name in SHOWING:
        assert "doubtful" in (results / name).read_text(encoding="utf-8"), name
