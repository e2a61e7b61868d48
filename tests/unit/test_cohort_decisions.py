"""Decisions on images that a person has signed."""

import pytest
from clinica_dataset import Dataset, write_table

from rhvae_mri.cohort.decisions import COLUMNS as DECISION_COLUMNS
from rhvae_mri.cohort.decisions import check_cohorts, read_decisions
from rhvae_mri.io.errors import StudyError


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


SIGNED = {"decision": "replace", "reason": "moved", "who": "NV", "date": "2026-03-31"}


def decide(participant, session=None, cohort="ADNI", **changes):
    """A row of the table of decisions."""
    return {"cohort": cohort, "participant_id": participant, "session_id": session, **SIGNED, **changes}


def test_an_image_that_is_replaced_by_hand_makes_way_for_the_next_visit(dataset):
    for name in ("sub-A", "sub-B", "sub-C"):
        dataset.add(name, ("ses-M000", "AD", True), ("ses-M006", "AD", True))
    rows = [decide("sub-A", "ses-M000"), decide("sub-AIBL1", cohort="AIBL"), decide("sub-B", reason="tumour")]
    write_table(dataset.exclude, rows)
    assert dataset.fates() == {
        "sub-A_ses-M000": "replaced by hand: moved (NV, 2026-03-31)",
        "sub-A_ses-M006": "kept",
        "sub-B_ses-M000": "replaced by hand: tumour (NV, 2026-03-31)",
        "sub-B_ses-M006": "replaced by hand: tumour (NV, 2026-03-31)",
        "sub-C_ses-M000": "kept",
        "sub-C_ses-M006": "not the first usable visit",
    }


@pytest.mark.parametrize("decision", ["keep", "exclude"])
def test_other_decisions_wait_for_the_quality_check(dataset, decision):
    dataset.add("sub-A", ("ses-M000", "AD", True), ("ses-M006", "AD", True))
    write_table(dataset.exclude, [decide("sub-A", "ses-M000", decision=decision)])
    assert dataset.fates()["sub-A_ses-M000"] == "kept"
    found = read_decisions(dataset.exclude, "ADNI").find("sub-A", "ses-M000")
    assert (found.decision, found.reason, found.who, found.date) == (decision, "moved", "NV", "2026-03-31")


def test_a_decision_without_session_is_for_all_of_the_participants(dataset):
    write_table(dataset.exclude, [decide("sub-A"), decide("sub-B", "ses-M006")])
    decisions = read_decisions(dataset.exclude, "ADNI")
    assert decisions.find("sub-A", "ses-M012").decision == "replace"
    assert decisions.find("sub-A", "").decision == "replace"
    assert decisions.find("sub-B", "ses-M000") is None
    assert read_decisions(dataset.exclude, "AIBL").entries == {}
    assert read_decisions(None, "ADNI").entries == {}


def test_an_empty_table_of_decisions_decides_nothing(dataset):
    dataset.add("sub-A", ("ses-M000", "AD", True))
    dataset.exclude.write_text("\t".join(DECISION_COLUMNS) + "\n")
    assert dataset.fates() == {"sub-A_ses-M000": "kept"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (decide("sub-Z", "ses-M000"), "ADNI has no such participants or sessions: sub-Z ses-M000"),
        (decide("sub-A", "ses-M099", decision="keep"), "sub-A ses-M099"),
        (decide("sub-A", decision="drop"), r"Line 3 \(sub-A \): the decision is drop, and not one of keep"),
        (decide("sub-A", decision=None), "Line 3 .*: the decision is empty"),
        (decide("sub-A", reason="n/a"), "Line 3 .*: the column reason is empty"),
        (decide("sub-A", who=None), "Line 3 .*: the column who is empty"),
        (decide(None), "Line 3 .*: the column participant_id is empty"),
        (decide("sub-A", date="31.03.2026"), "Line 3 .*: the date is 31.03.2026, not of the form YYYY-MM-DD"),
        (decide("sub-A", date="20260331"), "Line 3 .*: the date is 20260331"),
        (decide("sub-A", date="2026-02-30"), "Line 3 .*: the date is 2026-02-30"),
        (decide("sub-AIBL1", cohort="AIBL", date=None), "Line 3 .*: the date is empty"),
        (decide("sub-B", "ses-M000", decision="keep"), r"Lines 2 \(replace\) and 3 \(keep\) contradict"),
        (decide("sub-B", decision="exclude"), r"Lines 2 \(replace\) and 3 \(exclude\) contradict"),
    ],
)
def test_bad_decisions_are_named(dataset, row, message):
    for name in ("sub-A", "sub-B"):
        dataset.add(name, ("ses-M000", "AD", True))
    write_table(dataset.exclude, [decide("sub-B", "ses-M000"), row])
    with pytest.raises(StudyError, match=message):
        dataset.table()
    assert not dataset.target.exists()


@pytest.mark.parametrize("cohort", ["adni", "../ADNI", None])
def test_a_decision_on_a_cohort_that_the_study_does_not_have_is_named(dataset, cohort):
    write_table(dataset.exclude, [decide("sub-A"), decide("sub-B", cohort="OASIS")])
    check_cohorts(dataset.exclude, ["ADNI", "AIBL", "OASIS"])
    write_table(dataset.exclude, [decide("sub-A"), decide("sub-A", cohort=cohort)])
    with pytest.raises(StudyError, match=f"Unknown cohorts: {cohort or '.empty.'}"):
        check_cohorts(dataset.exclude, ["ADNI", "AIBL"])


def test_a_table_from_before_there_were_decisions_is_explained(dataset):
    dataset.add("sub-A", ("ses-M000", "AD", True))
    former = ("cohort", "participant_id", "session_id", "reason")
    write_table(dataset.exclude, [{name: decide("sub-A")[name] for name in former}])
    with pytest.raises(StudyError, match="has no column decision, who, date") as raised:
        dataset.table()
    assert "earlier version" in raised.value.cause
    assert "Add the columns decision (replace" in raised.value.remedy
    write_table(dataset.exclude, [{"participant": "sub-A"}])
    with pytest.raises(StudyError, match="has no column cohort, participant_id"):
        dataset.table()
    dataset.exclude.unlink()
    with pytest.raises(StudyError, match="list of decisions does not exist"):
        read_decisions(dataset.exclude, "ADNI")
