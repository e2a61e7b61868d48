"""One participant's side file never stops a cohort."""

import pytest
from bids_folders import listing, people, plain_bids, table

SCANS, SESSIONS = "sub-02/sub-02_scans.tsv", "sub-02/sub-02_sessions.tsv"
SIDECAR = "sub-02/anat/sub-02_T1w.json"
IN_SCANS = "anat/sub-02_T1w.nii.gz"


def field(value):
    """The text of a sidecar."""
    return f'{{"MagneticFieldStrength": {value}}}'


#: Side files of the second of three participants, and what is listed of it; the image is kept.
KEPT = {
    "scans in Latin-1": (
        {SCANS: f"filename\tmri_field\tnote\n{IN_SCANS}\t1.5\tZoë\n".encode("latin-1")},
        "file",
        1.5,
    ),
    "sessions in Latin-1": ({SESSIONS: "session_id\tnote\nses-1\tZoë\n".encode("latin-1")}, "file", None),
    "a short row of scans": ({SCANS: f"filename\tmri_field\n{IN_SCANS}\n"}, "file", None),
    "scans without file names": ({SCANS: "mri_field\n1.5\n"}, "file", None),
    "scans of other names": (
        {SCANS: "filename\tmri_field\nanat/sub-02_run-1_T1w.nii.gz\t1.5\n"},
        "file",
        None,
    ),
    "empty scans": ({SCANS: ""}, "file", None),
    "a field in gauss": ({SIDECAR: field(15000)}, "field_strength", 1.5),
    "a field with its unit": ({SIDECAR: field('"3T"')}, "field_strength", 3),
    "no field": ({SIDECAR: field(0)}, "field_strength", None),
    "a negative field": ({SIDECAR: field(-1)}, "field_strength", None),
    "a list of one field": ({SIDECAR: field([3])}, None, 3),
    "a damaged sidecar": ({SIDECAR: "{"}, "file", None),
    "a sidecar that is a list": ({SIDECAR: "[1]"}, "file", None),
    "a sidecar with a mark": ({SIDECAR: "\ufeff" + field(3)}, None, 3),
    "a sidecar that is too deep": ({SIDECAR: "[" * 100_000}, "file", None),
    "a time without a date": ({SESSIONS: table("session_id acq_time", "ses-1 14:22:05")}, "acq_time", None),
    "notes twice": ({SESSIONS: table("session_id notes Notes", "ses-1 a b")}, None, None),
    "a sidecar of all images": ({"T1w.json": field(3)}, None, 3),
    "a nearer sidecar counts": ({"T1w.json": field(3), SIDECAR: field(1.5)}, None, 1.5),
    "a sidecar of other images": ({"acq-x_T1w.json": field(3)}, None, None),
    "a session row twice": ({SESSIONS: table("session_id age", "ses-1 72", "ses-1 72")}, None, None),
    "a session without a name": (
        {SESSIONS: table("session_id age", "ses-2010-01-01 72")},
        "session_id",
        None,
    ),
    "no date": ({SESSIONS: table("session_id acq_time", "ses-1 yesterday")}, "acq_time", None),
    "a data dictionary that is none": ({"participants.json": "[1]"}, "file", None),
}


@pytest.mark.parametrize(("files", "variable", "strength"), KEPT.values(), ids=KEPT)
def test_a_bad_side_file_costs_no_image(tmp_path, files, variable, strength):
    images, values = listing(plain_bids(tmp_path / "bids", **files))
    assert images["status"].tolist() == ["kept"] * 3
    assert images["field_strength"].tolist()[1] == pytest.approx(strength, nan_ok=True) if strength else True
    assert images["field_strength"].isna().tolist()[1] == (strength is None)
    assert set(values["variable"]) == ({variable} if variable else set())
    if variable and "participants.json" not in files:
        assert set(values["participants"]) == {"sub-02"}


LOST = {
    "a short row": table("session_id age diagnosis", "ses-1 72"),
    "two rows of one session": table("session_id diagnosis", "ses-1 AD", "ses-01 CN"),
    "no column of sessions": table("session age", "ses-1 72"),
    "a column twice": table("session_id age AGE", "ses-1 72 73"),
}


@pytest.mark.parametrize("text", LOST.values(), ids=LOST)
def test_a_table_of_sessions_that_cannot_be_used_costs_its_participant(tmp_path, text):
    images, values = listing(plain_bids(tmp_path / "bids", **{SESSIONS: text}))
    assert images["status"].tolist() == ["kept", "excluded", "kept"]
    assert images.loc["sub-02", "reason"].startswith("the table of the sessions cannot be used: ")
    assert values["participants"].tolist() == ["sub-02"]


def test_a_change_of_the_diagnosis_at_an_unnamed_session_is_noticed(tmp_path):
    text = table("session_id diagnosis", "ses-1 AD", "ses-2010-01-01 CN")
    folder = plain_bids(
        tmp_path / "bids", **{SESSIONS: text, "participants.tsv": people("sub-01", "sub-02", "sub-03")}
    )
    assert listing(folder)[0].loc["sub-02", "reason"] == "diagnosis changes between visits (AD, CN)"


def test_a_link_that_leads_nowhere_is_a_bad_side_file(tmp_path):
    folder = plain_bids(tmp_path / "bids")
    for name in (SCANS, SESSIONS.replace("sub-02", "sub-03")):
        (folder / name).symlink_to("nowhere")
    (folder / "sub-01" / "loop").symlink_to("loop")
    (folder / "sub-01" / "up").symlink_to("..")
    images, values = listing(folder)
    assert images["status"].tolist() == ["kept", "kept", "excluded"]
    assert values["participants"].tolist() == ["sub-02", "sub-03"]


@pytest.mark.parametrize(
    ("participant", "session", "reason"),
    [
        ("CN", "n/a", "kept"),
        ("CN", "AD", "diagnosis changes between visits (CN, AD)"),
        ("n/a", "AD", "kept"),
        ("AD", "unknown", "kept"),
    ],
)
def test_the_diagnosis_of_the_participant_counts_beside_those_of_the_visits(
    tmp_path, participant, session, reason
):
    text = people("sub-01", "sub-02", "sub-03").split("\n")
    text[2] = text[2].replace("AD", participant)
    sessions = table("session_id diagnosis group", f"ses-1 {session} placebo")
    images, _ = listing(
        plain_bids(tmp_path / "bids", **{"participants.tsv": "\n".join(text), SESSIONS: sessions})
    )
    assert images["reason"].fillna("kept")["sub-02"] == reason


def test_two_sexes_are_none(tmp_path):
    text = people("sub-01", "sub-02", columns="age sex gender diagnosis", cells="70 F female AD")
    text += "sub-03\t70\tF\tmale\tAD\n"
    sessions = table("session_id sex", "ses-1 M")
    images, values = listing(plain_bids(tmp_path / "bids", **{"participants.tsv": text, SESSIONS: sessions}))
    assert images["status"].tolist() == ["kept", "excluded", "kept"]
    assert images["sex"].isna().tolist() == [False, False, True]
    assert values["participants"].dropna().tolist() == ["sub-03"]


def test_a_participant_without_a_row_is_listed(tmp_path):
    text = table("session_id diagnosis sex age", "ses-1 AD F 70")
    folder = plain_bids(tmp_path / "bids", **{SESSIONS: text, "participants.tsv": people("sub-01", "sub-03")})
    images, values = listing(folder)
    assert images["status"].tolist() == ["kept"] * 3
    assert values["participants"].tolist() == ["sub-02"]
    assert values["outcome"].tolist() == ["no row of the participant"]
