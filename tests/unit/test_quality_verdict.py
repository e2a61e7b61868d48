import logging

import numpy
import pandas
import pytest

from rhvae_mri.cohort.decisions import Decision, Decisions
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.quality.definitions import LIMITS, METRIC_NAMES
from rhvae_mri.quality.verdict import COLUMNS, check_quality

SETTINGS = {"limits": True, "outlier_z": 6}


def metrics(n=3):
    """Metrics of good images sub-0, sub-1, …"""
    names = [f"sub-{number}" for number in range(n)]
    table = pandas.DataFrame({"participant_id": names, "session_id": "ses-M000"})
    table.insert(0, "image_id", table["participant_id"] + "_ses-M000")
    return table.assign(**dict.fromkeys(METRIC_NAMES, 0.9), fault=None)


def deep(table, status="not run", probability=numpy.nan, reason="no weights"):
    checked = table[["image_id"]].assign(network="resnet18", pass_probability=probability)
    return checked.assign(status=status, reason=reason)


def decide(decision, participant="sub-0", session="ses-M000"):
    return Decisions({(participant, session): Decision(decision, "ghosts in the neck", "NV", "2026-03-31")})


def judge(table, deep_quality=None, decisions=None, **settings):
    deep_quality = deep(table) if deep_quality is None else deep_quality
    return check_quality(table, deep_quality, decisions or Decisions({}), **{**SETTINGS, **settings})


def test_good_images_pass_and_a_check_that_was_not_run_counts_for_nothing():
    verdict = judge(metrics())
    assert verdict.columns.tolist() == list(COLUMNS)
    assert verdict["status"].tolist() == ["passed"] * 3
    assert verdict["deep_quality"].tolist() == ["not run"] * 3
    empty = ["reason", "flags", "pass_probability", "decision", "decision_reason", "decided_by", "decided_on"]
    assert verdict[empty].isna().all(axis=None)


def test_a_metric_below_its_minimum_fails_and_is_named_with_value_and_bound():
    table = metrics()
    table.loc[0, "pattern"] = 0.3499
    table.loc[1, ["turn_margin", "scalp"]] = -0.1
    table.loc[2, list(LIMITS)] = list(LIMITS.values())
    verdict = judge(table)
    assert verdict["status"].tolist() == ["failed", "failed", "passed"]
    assert verdict["reason"].tolist()[:2] == [
        "pattern 0.350 is below 0.35",
        "turn_margin -0.100 is below 0.1; scalp -0.100 is below 0.2",
    ]
    assert set(judge(table, limits=False)["status"]) == {"passed"}


def test_an_image_far_below_its_cohort_fails_although_it_is_above_the_limit():
    table = pandas.concat([metrics()] * 5, ignore_index=True)
    table["image_id"] = [f"sub-{number:02d}" for number in range(len(table))]
    table["pattern"] = numpy.linspace(0.64, 0.72, len(table))
    table.loc[3, "pattern"] = 0.40
    verdict = judge(table)
    assert verdict["status"].tolist().count("failed") == 1
    assert verdict.loc[3, "reason"].startswith("pattern 0.400 is far below its cohort's (robust z -")
    assert set(judge(table, limits=False)["status"]) == {"passed"}
    table["pattern"] = numpy.linspace(0.36, 0.74, len(table))
    assert set(judge(table)["status"]) == {"passed"}


@pytest.mark.parametrize(
    ("peak", "reason"),
    [
        (1.0, None),
        (5.0, None),
        (5.1, "intensity_peak 5.1 is not at most 5"),
        (953.94, "intensity_peak 954 is not at most 5"),
        (numpy.inf, "intensity_peak inf is not at most 5"),
        (numpy.nan, "intensity_peak nan is not at most 5"),
    ],
)
def test_an_image_whose_brightest_voxel_darkens_the_head_fails(peak, reason):
    """A marker 20 times as bright as the head leaves a tensor that is black."""
    table = metrics()
    table.loc[1, "intensity_peak"] = peak
    verdict = judge(table)
    assert verdict["status"].tolist() == ["passed", "failed" if reason else "passed", "passed"]
    assert verdict["reason"].isna()[1] if reason is None else verdict["reason"][1] == reason
    assert judge(table, decisions=decide("keep", "sub-1"))["status"][1] == "passed"


@pytest.mark.parametrize(
    ("bias_range", "is_flagged"),
    [(1.0, True), (1 + 9e-7, True), (1 + 2e-6, False), (3.0, False), (0.9, False), (numpy.nan, False)],
)
def test_a_field_of_1_is_flagged(bias_range, is_flagged):
    table, flag = metrics(), "the bias field is 1 everywhere" if is_flagged else None
    table.loc[1, "bias_range"] = bias_range
    verdict = judge(table)
    assert verdict["flags"].tolist() == [None, flag, None]
    assert verdict["status"].tolist() == ["passed"] * 3


def test_the_deep_check_fails_an_image_and_leaves_its_words():
    table = metrics()
    table.loc[1, "pattern"] = 0.1
    checked = deep(table, "failed", 0.3, "pass probability 0.300 is not above 0.5")
    checked.loc[2, ["status", "pass_probability", "reason"]] = ["passed", 0.8, None]
    verdict = judge(table, checked)
    words = "deep quality check: pass probability 0.300 is not above 0.5"
    assert verdict["status"].tolist() == ["failed", "failed", "passed"]
    assert verdict["reason"].tolist()[:2] == [words, f"pattern 0.100 is below 0.35; {words}"]
    assert verdict["pass_probability"].tolist() == [0.3, 0.3, 0.8]
    assert verdict["deep_quality"].tolist() == ["failed", "failed", "passed"]


def test_the_tables_need_not_have_the_same_order():
    table = metrics()
    checked = deep(table, "passed", [0.6, 0.7, 0.8], None)[::-1]
    assert judge(table, checked)["pass_probability"].tolist() == [0.6, 0.7, 0.8]


def test_a_fault_fails_an_image_and_is_the_only_reason():
    table = metrics()
    table.loc[1, list(METRIC_NAMES)] = numpy.nan
    table.loc[1, "fault"] = "The image cannot be read."
    verdict = judge(table, deep(table, "failed", numpy.nan, "The image cannot be read."))
    assert verdict.loc[1, ["status", "reason"]].tolist() == ["failed", "The image cannot be read."]


def test_a_flag_fails_no_image():
    table = metrics(12)
    table.loc[5, "snr"] = 0.01
    verdict = judge(table)
    assert set(verdict["status"]) == {"passed"}
    assert verdict["flags"].notna().tolist() == [row == 5 for row in range(12)]
    assert verdict.loc[5, "flags"].startswith("snr 0.01 (robust z -")
    assert judge(table, outlier_z=1000)["flags"].isna().all()


def test_an_excluded_image_fails_and_names_who_and_when():
    verdict = judge(metrics(), decisions=decide("exclude"))
    assert verdict["status"].tolist() == ["failed", "passed", "passed"]
    assert verdict.loc[0, "reason"] == "excluded by hand: ghosts in the neck (NV, 2026-03-31)"
    signed = ["decision", "decision_reason", "decided_by", "decided_on"]
    assert verdict.loc[0, signed].tolist() == ["exclude", "ghosts in the neck", "NV", "2026-03-31"]
    assert verdict.loc[1, signed].isna().all()


def test_a_kept_image_passes_and_keeps_what_was_said_against_it():
    table = metrics()
    table.loc[0, "pattern"] = 0.1
    for participant, session in [("sub-0", "ses-M000"), ("sub-0", "")]:
        verdict = judge(table, decisions=decide("keep", participant, session))
        assert verdict.loc[0, "status"] == "passed"
        assert verdict.loc[0, "reason"] == "kept by hand although pattern 0.100 is below 0.35"
        assert verdict.loc[0, ["decision", "decided_by"]].tolist() == ["keep", "NV"]
    verdict = judge(metrics(), decisions=decide("keep"))
    assert verdict.loc[0, ["status", "decision"]].tolist() == ["passed", "keep"]
    assert pandas.isna(verdict.loc[0, "reason"])


def test_an_image_that_does_not_exist_cannot_be_kept():
    table = metrics()
    table.loc[0, "fault"] = "The image cannot be read."
    verdict = judge(table, decisions=decide("keep"))
    assert verdict.loc[0, "status"] == "failed"
    assert verdict.loc[0, "reason"].startswith("The image cannot be read. The decision to keep it cannot")
    assert verdict.loc[0, "decision"] == "keep"


def test_a_replaced_image_is_no_matter_of_the_verdict():
    verdict = judge(metrics(), decisions=decide("replace"))
    assert verdict.loc[0, "status"] == "passed"
    assert pandas.isna(verdict.loc[0, "decision"])


def test_images_without_a_session(caplog):
    table = metrics().assign(session_id=None)
    with caplog.at_level(logging.WARNING):
        assert judge(table, decisions=decide("exclude", session="")).loc[0, "status"] == "failed"
    assert not caplog.records


def test_a_decision_without_effect_is_reported(caplog):
    with caplog.at_level(logging.WARNING):
        judge(metrics(), decisions=decide("exclude", session="ses-M012"))
    assert "`exclude` on sub-0 ses-M012 has no effect" in caplog.text


def test_the_verdict_survives_writing_and_reading(tmp_path):
    table = metrics()
    for name, content in (("metrics", table), ("deep", deep(table))):
        write_tsv(tmp_path / name, content)
    text = ("image_id", "participant_id", "session_id", "fault", "reason")
    verdict = judge(read_tsv(tmp_path / "metrics", text), read_tsv(tmp_path / "deep", text))
    write_tsv(tmp_path / "quality", verdict)
    assert read_tsv(tmp_path / "quality").columns.tolist() == list(COLUMNS)
    assert (tmp_path / "quality").read_text().splitlines()[1] == (
        "sub-0_ses-M000\tsub-0\tses-M000\t0.9\t0.9\t0.9\t0.9\tn/a\tnot run\tn/a\tpassed" + 5 * "\tn/a"
    )


def test_tables_of_different_images_are_refused():
    table = metrics()
    with pytest.raises(StudyError, match="not of the same images: sub-2_ses-M000"):
        judge(table, deep(table)[:2])
    with pytest.raises(StudyError, match="more than once"):
        judge(pandas.concat([table, table]), pandas.concat([deep(table), deep(table)]))
