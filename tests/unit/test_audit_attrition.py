import pandas
import pytest

from rhvae_mri.cohort.attrition import attrition_flow, attrition_table, judge_images, reason_group


def table(**columns):
    return pandas.DataFrame(columns)


@pytest.fixture
def judged():
    """Nine images: two not converted, one left out, one replaced, one faulty, two failed, two left."""
    ids = list("abcdefghi")
    images = table(
        image_id=ids,
        participant_id=["p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7", "p8"],
        session_id=["ses-M000"] * 9,
        diagnosis=[None, None, "MCI", "AD", "AD", "AD", "CN", "CN", "AD"],
        path=[None, None, *(f"{name}.nii" for name in ids[2:])],
        status=["excluded"] * 4 + ["kept"] * 5,
        reason=[
            "DICOM series unreadable: file 1",
            "DICOM series unreadable: file 2",
            "diagnosis MCI is not studied",
            "replaced by hand: ringing (Miller, 2026-01-02)",
            *[None] * 5,
        ],
    )
    quality = table(
        image_id=ids[4:],
        status=["failed", "failed", "failed", "passed", "passed"],
        reason=[
            "N4 failed",
            "similarity 0.312 is below 0.4",
            "excluded by hand: ghosts",
            "kept by hand",
            None,
        ],
        decision=[None, None, "exclude", "keep", None],
        decision_reason=[None, None, "ghosts", "fine", None],
        decided_by=[None, None, "Miller", "Smith", None],
        decided_on=[None, None, "2026-01-03", "2026-01-04", None],
    )
    metrics = table(image_id=ids[4:], fault=["N4 failed", None, None, None, None])
    return judge_images(images, quality, metrics)


def test_every_image_has_one_fate(judged):
    assert judged["fate"].tolist() == [
        *("not converted", "not converted", "left out", "left out"),
        *("fault", "failed", "failed", "passed", "passed"),
    ]


def test_counts_and_losses_add_up(judged):
    flow = attrition_flow(judged)
    counts = [len(event.images) for event in flow if event.event == "count"]
    assert counts == [9, 7, 5, 4, 2]
    steps = list(dict.fromkeys(event.step for event in flow))
    for step, before, after in zip(steps[1:], counts, counts[1:], strict=False):
        losses = [event for event in flow if event.step == step and event.event == "loss"]
        assert sum(len(event.images) for event in losses) == before - after
        assert len({image for event in losses for image in event.images}) == before - after


def test_reasons_are_grouped_and_decisions_have_rows_of_their_own(judged):
    flow = attrition_flow(judged)
    rows = {
        (event.event, event.reason): (event.decided_by, event.decided_on, event.images)
        for event in flow
        if event.event != "count"
    }
    assert rows["loss", "DICOM series unreadable"][2] == [0, 1]
    assert ("loss", "similarity is below 0.4") in rows
    assert rows["loss", "replaced by hand: ringing"] == ("Miller", "2026-01-02", [3])
    assert rows["loss", "excluded by hand: ghosts"] == ("Miller", "2026-01-03", [6])
    assert rows["decision", "kept by hand: fine"] == ("Smith", "2026-01-04", [7])


@pytest.mark.parametrize("decision", ["keep", "exclude"])
def test_a_fault_decides_whatever_the_auditor_says(judged, decision):
    signed = ["decision", "decision_reason", "decided_by", "decided_on"]
    judged.loc[4, signed] = [decision, "please", "Miller", "2026-01-05"]
    events = [event for event in attrition_flow(judged) if 4 in event.images and event.event != "count"]
    assert [(event.reason, event.decided_by, event.images) for event in events] == [("N4 failed", None, [4])]


def test_the_table_counts_participants_and_diagnoses(judged):
    flow = attrition_flow(judged)
    rows = attrition_table(flow, judged)
    first = rows.iloc[0]
    assert (first["n_images"], first["n_participants"]) == (9, 8)
    assert first[["n_AD", "n_CN", "n_MCI", "n_unknown"]].tolist() == [4, 2, 1, 2]
    assert rows.columns[-2] == "n_unknown"
    assert pandas.isna(first["image_ids"])
    unreadable = rows[rows["reason"] == "DICOM series unreadable"].iloc[0]
    assert unreadable["image_ids"] == "a b"


def test_a_kept_image_without_a_verdict_is_lost_with_a_reason(judged):
    images = judged.drop(columns=["fate", "why", "verdict", "verdict_reason", "fault"])
    empty = table(image_id=[], status=[], reason=[]).astype(object)
    own = ["decision", "decision_reason", "decided_by", "decided_on", "flags", "pass_probability"]
    fates = judge_images(images.drop(columns=own), empty, table(image_id=[]).astype(object))
    assert fates["fate"].tolist()[4:] == ["failed"] * 5
    assert fates["why"].iloc[4] == "no verdict of the quality control"


@pytest.mark.parametrize(
    ("reason", "group"),
    [
        ("N4 failed on T1-2 of scan2", "N4 failed on T1-2 of scan2"),
        ("similarity 0.312 is below 0.45", "similarity is below 0.45"),
        ("has 12000 voxels that are NaN (1.2e+02 %)", "has … voxels that are NaN (… %)"),
        (
            "has 10x12x10 voxels, of which -1 or 4.5 are negative",
            "has … voxels, of which … or … are negative",
        ),
        ("", "no reason recorded"),
        (None, "no reason recorded"),
    ],
)
def test_names_and_bounds_keep_their_numbers_and_counts_do_not(reason, group):
    assert reason_group(reason) == group
