"""What a study says before it becomes expensive, and where it leads to at its end."""

from rhvae_mri.cost.announcements import announce_start
from rhvae_mri.cost.estimate import COLUMNS
from rhvae_mri.io.files import write_text


def jobs(n_batches):
    cnn = [("train_cnn", {"seeds": f"{20 * n}-{20 * n + 19}"}) for n in range(n_batches)]
    return [("correct_bias", {}), ("train_generator", {}), ("study_train_generator", {}), *cnn]


def test_a_small_study_starts_without_a_word(tmp_path):
    assert announce_start(jobs(9), str(tmp_path)) is None
    assert announce_start([("correct_bias", {})] * 5000, str(tmp_path)) is None


def test_a_large_study_counts_its_trainings_and_leads_to_the_estimate(tmp_path):
    text = announce_start(jobs(56), str(tmp_path))
    assert text.startswith("This run trains 1,120 classifiers and 2 generators.")
    assert "the target `estimate` says" in text


def test_an_estimate_that_is_there_is_shown(tmp_path):
    row = {"stage": "total", "jobs": 7} | dict.fromkeys(COLUMNS[2:-1], 41.5) | {"scaling": "sum"}
    lines = ["\t".join(COLUMNS), "\t".join(str(row[name]) for name in COLUMNS)]
    write_text(tmp_path / "estimate.tsv", "\n".join(lines) + "\n")
    text = announce_start([("train_candidates", {"candidates": "0-300"})], str(tmp_path))
    assert "301 classifiers" in text
    assert "core-hours" in text
    assert "total" in text
    assert "target `estimate`" not in text
