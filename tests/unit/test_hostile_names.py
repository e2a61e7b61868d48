"""Names and cells that were made to do harm end as text, in an error, or in a listed exclusion."""

import csv
import gzip
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import handmade_cohorts as handmade
import pandas
import pydicom
import pytest
from clinica_dataset import Dataset, write_table
from figure_checks import NO_DOUBT, saved
from made_up_audit import MadeUpAudit
from markupsafe import escape
from nifti_files import encode_nifti, write_nifti
from test_tables import PUBLISHED, make_runs

from rhvae_mri.cohort.decisions import COLUMNS as DECISION_COLUMNS
from rhvae_mri.cohort.decisions import read_decisions
from rhvae_mri.cohort.headers import describe_fault
from rhvae_mri.cohort.images import list_images
from rhvae_mri.convert.adni_tables import read_adni_tables
from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.convert.study_tables import Ledger
from rhvae_mri.figures.accuracy import draw_seeds
from rhvae_mri.io.downloads import obtain_file
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.texts import plain_cell, visible
from rhvae_mri.pages.results import write_classification
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.tables import classification_table

#: Parts of names; each would do something if a shell, a terminal, a table or a page read it as its own.
HOSTILE = [
    *("a b", "a'b", 'a"b', "a;touch pwned;", "$(touch pwned)", "`touch pwned`", "a|touch pwned", "*", "{b}"),
    *("a&touch pwned&", "-rf", "--help", "a\nb", "a\tb", "a\x1b[2Jb", "\u202egpj", "Zoë", "患者", "<b>"),
    *("%s%n", "=cmd|' /C calc'!A0", "\udcff"),
]

MARKUP = "</script><img src=x onerror=alert(1)>\"'&<svg/onload=alert(1)>]]>"


@pytest.fixture
def empty_place(tmp_path, monkeypatch):
    """A working directory in which nothing may appear that was not asked for."""
    folder = tmp_path / "working directory"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert list(folder.iterdir()) == []


class Tags(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes += [name for name, _ in attrs]


@pytest.fixture
def dataset(tmp_path, empty_place):
    """A BIDS dataset with one good participant."""
    dataset = Dataset(tmp_path)
    dataset.add("sub-GOOD", ("ses-M000", "CN", True))
    return dataset


def printable(text):
    return text.replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.parametrize("part", HOSTILE)
def test_an_image_with_a_hostile_name_is_left_out_with_the_reason(dataset, part):
    part = part.replace("/", "")  # no name of a file has one
    for name, session in ((f"sub-{part}", "ses-M000"), ("sub-B", f"ses-{part}")):
        write_nifti(dataset.image(name, session))
    write_nifti(dataset.image("sub-C", "ses-M000", f"_acq-{part}_T1w.nii.gz"))
    dataset.participants.append({"participant_id": "sub-C", "sex": "F", "age_bl": 70, "site": "1"})
    session = [{"session_id": "ses-M000", "diagnosis": "CN"}]
    write_table(dataset.bids / "sub-C" / "sub-C_sessions.tsv", session)
    fates = dataset.fates()
    assert fates.pop("sub-GOOD_ses-M000") == "kept"
    assert [*fates.values()] == ["a name that BIDS does not allow"] * 3
    text = dataset.target.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 5
    assert printable(text)


@pytest.mark.parametrize("name", ["sub-../../../etc", "sub-A/../B", *(f"sub-{part}" for part in HOSTILE)])
def test_hostile_participants_of_a_table_are_named_in_an_error(dataset, name):
    with open(dataset.bids / "participants.tsv", "w", newline="", errors="surrogateescape") as file:
        csv.writer(file, delimiter="\t").writerows([["participant_id"], ["sub-GOOD"], [name]])
    with pytest.raises(StudyError) as caught:
        list_images("ADNI", dataset.bids, None, None, dataset.target)
    assert printable(str(caught.value))
    assert not dataset.target.exists()


@pytest.mark.parametrize("session", ["ses-../../x", "ses-a b", "$(touch pwned)"])
def test_hostile_sessions_of_a_table_are_listed(dataset, tmp_path, session):
    rows = [{"session_id": name, "diagnosis": "CN"} for name in ("ses-M000", session)]
    write_table(dataset.bids / "sub-GOOD" / "sub-GOOD_sessions.tsv", [rows[0] | {"MMSE": 28}, rows[1]])
    assert dataset.fates(values=tmp_path / "values.tsv") == {"sub-GOOD_ses-M000": "kept"}
    (row,) = read_tsv(tmp_path / "values.tsv").to_dict("records")
    expected = {"variable": "session_id", "participants": "sub-GOOD", "status": "not understood"}
    assert row | expected == row


def test_a_conversion_report_leads_to_no_file_outside_the_dataset(dataset):
    # what the path of this participant's table would lead to, without a check of the name
    name = "sub-GOOD/../../x"
    (dataset.bids.parent / "x" / "sub-GOOD").mkdir(parents=True)
    leads_to = dataset.bids / name / f"{name}_sessions.tsv"
    write_table(leads_to, [{"session_id": "ses-M000", "diagnosis": "AD"}])
    assert leads_to.resolve().is_relative_to(dataset.bids.parent)
    assert not leads_to.resolve().is_relative_to(dataset.bids)
    dataset.converted(name, None, "missing", "=HYPERLINK(1)")
    row = dataset.table().set_index("participant_id").loc[name]
    assert row["reason"] == "'=HYPERLINK(1)"
    assert pandas.isna(row["diagnosis"])


def test_formulas_in_the_cells_of_a_table_are_defused(dataset):
    dataset.add("sub-B", ("ses-M000", "=cmd|' /C calc'!A0", True))
    dataset.participants[0] |= {"site": "@SUM(1+1)", "age_bl": "-71.5"}
    assert dataset.table().set_index("participant_id").loc["sub-GOOD", "site"] == "'@SUM(1+1)"
    for cell in dataset.target.read_text().replace("\n", "\t").split("\t"):
        assert cell[:1] not in "=+@" or not cell


def test_plain_cells():
    written = {text: f"'{text}" for text in ("=1+1", "+cmd", "-cmd", "@x")}
    written |= {text: text for text in ("-1.5e3", "+7", "-", "a=b")}
    written |= {"\t=1": "'=1", "two\nlines\r\n": "two lines", "a\x00b": r"a\x00b"}
    assert {text: plain_cell(text) for text in written} == written


@pytest.mark.parametrize("part", HOSTILE)
def test_errors_show_names_and_change_no_terminal(part):
    text = str(StudyError(f"No {part}.", where=part, remedy="Look."))
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()
    assert visible(part).isprintable()


@pytest.fixture
def convert(tmp_path, empty_place):
    """Write a download of some participants, let it be spoiled, convert it, and give the report."""

    def run(participants, spoil, cohort="ADNI", download="download", bids="bids"):
        images, tables, _ = handmade.write_cohort(participants, tmp_path / download)
        spoil(images)
        before = sorted(tmp_path.rglob("*"))
        targets = tmp_path / bids, tmp_path / "report.tsv", tmp_path / "tables.tsv"
        convert_to_bids(cohort, images, tables, *targets)
        new = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path not in before}
        assert new == {bids.split("/")[0], "report.tsv", "tables.tsv"}
        assert printable((tmp_path / "report.tsv").read_text())
        assert {path.name for path in targets[0].glob("sub-*")} == {
            each.participant_id for each in participants
        }
        return read_tsv(tmp_path / "report.tsv")

    return run


@pytest.mark.parametrize("cohort", ["ADNI", "AIBL"])
def test_a_download_with_hostile_folders_and_headers_is_converted_and_runs_nothing(convert, cohort):
    def spoil(images):
        for path in images.rglob("*.dcm"):
            header = pydicom.dcmread(path)
            header.PatientID = "../../../../x"
            header.PatientName = "$(touch pwned)^`touch pwned`"
            header.SeriesDescription = header.ProtocolName = "/../../y; touch pwned"
            header.ImageComments = "%p%s%d ../z"
            header.save_as(path)
        # the archive's folder of a series has a name that anything can stand in
        for number, folder in enumerate(sorted(images.glob("*/*/*"))):
            if cohort == "ADNI" or folder.parent.name.startswith("MPRAGE_SAG"):
                folder.rename(folder.with_name(f"-o {number} $(touch pwned) `touch pwned` ;'\"|& é"))

    participants = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}[cohort]()[:2]
    places = "down load; $(touch pwned) 'x'", "out put/bids; $(touch pwned)"
    assert (convert(participants, spoil, cohort, *places)["status"] == "converted").sum() == 3


def test_a_series_whose_name_breaks_tables_is_set_aside(convert):
    def spoil(images):
        folder = sorted(images.glob("002_S_0001/*/*"))[0]
        folder.rename(folder.with_name("2006\n=1\t\x1b[2J"))

    report = convert(handmade.adni_cohort()[:2], spoil)
    (reason,) = report["reason"][report["status"] == "unreadable"]
    assert "cannot be printed" in reason
    assert (report["status"] == "converted").sum() == 2


def test_links_that_lead_in_circles_end(convert):
    def spoil(images):
        for name in "abcdef":
            (images / "010_S_4004" / name).symlink_to(images / "010_S_4004", target_is_directory=True)

    # one series of this participant is broken, so its files are linked one by one
    assert "converted" in set(convert(handmade.adni_cohort()[3:4], spoil)["status"])


def test_hostile_rows_of_the_clinical_tables_reach_no_path(tmp_path, empty_place):
    _, tables, _ = handmade.write_cohort(handmade.adni_cohort(), tmp_path)
    path = tables / "ADNIMERGE.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    hostile = ("../../x", "002_S_0001/../../x", "=cmd", "-rf", MARKUP, "٠٠٢_S_٠٠٠١")
    spoiled = [rows[0] | {"PTID": name, "RID": name} for name in hostile]
    pandas.DataFrame(rows + spoiled).to_csv(path, index=False)
    ledger = Ledger()
    staged = read_adni_tables(tables, tmp_path / "images", ledger).staged(pandas.DataFrame())
    assert set(staged["ADNIMERGE"]["PTID"]) == {row["PTID"] for row in rows}
    cells = ledger.table().query("column == 'PTID'")["value"].tolist()
    assert len(cells) == 6
    assert {"'=cmd", "'-rf"} < set(cells)


#: A row of the list of decisions.
DECISION = dict(
    zip(DECISION_COLUMNS, ("ADNI", "sub-A", "ses-M000", "keep", "x", "me", "2026-01-01"), strict=True)
)


def test_reasons_of_decisions_stay_one_cell_and_no_formula(tmp_path):
    cells = DECISION | {"reason": "=1 \v2", "who": f"@{MARKUP}"}
    path = tmp_path / "exclude.tsv"
    path.write_text("\t".join(cells) + "\n" + "\t".join(cells.values()) + "\n")
    decision = read_decisions(path, "ADNI").find("sub-A", "ses-M000")
    assert (decision.reason, decision.who) == ("'=1 2", f"'@{MARKUP}")


def test_the_audit_page_shows_hostile_cells_as_text(tmp_path):
    audit = MadeUpAudit(tmp_path)
    for table in (audit.images, audit.quality, audit.metrics):
        for column in ("site", "diagnosis", "reason", "flags", "decided_by", "decision_reason", "fault"):
            if column in table:
                table[column] = table[column].astype(object)
                table.loc[5, column] = MARKUP
    audit.metrics[MARKUP] = 1.0
    audit.images.loc[60, ["image_id", "participant_id", "path"]] = [f"sub-../../{MARKUP}", MARKUP, MARKUP]
    clean = Tags((MadeUpAudit(tmp_path / "clean").draw(tmp_path / "clean audit") / "index.html").read_text())
    folder = audit.draw(tmp_path / "audit")
    page = (folder / "index.html").read_text()
    tags = Tags(page)
    assert tags.found.count("img") <= clean.found.count("img") + 2  # mean and deviation of one class more
    assert tags.found.count("script") == clean.found.count("script") == 2
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert escape(MARKUP) in page
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert data["images"]["site"][5] == MARKUP
    assert {path.parent for path in folder.rglob("*") if path.is_file()} == {folder, folder / "images"}


def test_the_result_tables_and_figures_show_hostile_names_as_text(tmp_path):
    runs = make_runs(sizes=(500,), training_sets=(MARKUP, "$\\frac{1}"), n_seeds=2)
    table = classification_table(runs, read_published(PUBLISHED))
    page, markdown = tmp_path / "t.html", tmp_path / "t.md"
    made = {MARKUP: f"{MARKUP}, | a | <b>"}
    write_classification(table, page, simulated=True, title=MARKUP, made=made)
    tags = Tags(page.read_text())
    assert not {"img", "script", "svg"} & set(tags.found)
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "<img" not in markdown.read_text().replace("\\<", "")
    saved(tmp_path, draw_seeds, runs, read_tsv(PUBLISHED), NO_DOUBT, simulated=True)
    elements = list(ElementTree.parse(tmp_path / "figure.svg").iter())
    tags = {element.tag.rpartition("}")[2] for element in elements}
    assert not {"script", "img", "foreignObject", "image"} & tags
    assert "onerror" not in {name for element in elements for name in element.attrib}


ENDS = ["/..", "/.", "/", "/%2e%2e", "/-rf", "/a b", "/$(touch pwned)", "/.hidden", "", "?/../x"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        *((f"http://127.0.0.1:9{end}", "plain name") for end in ENDS),
        ("file:///etc/passwd", "not an http"),
        ("ftp://127.0.0.1/x.nii", "not an http"),
        ("data:text/plain,x/x.nii", "not an http"),
    ],
)
def test_a_download_comes_from_the_web_and_gets_no_name_that_leads_elsewhere(
    tmp_path, empty_place, url, words
):
    descriptor = tmp_path / "descriptor.json"
    descriptor.write_text(json.dumps({"url": url, "sha256": "0" * 64}))
    with pytest.raises(StudyError, match=words):
        obtain_file(descriptor, tmp_path / "downloads")
    assert not list((tmp_path / "downloads").glob("*"))


@pytest.mark.parametrize("members", [1, 2])
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused_early(tmp_path, members):
    path = tmp_path / "bomb.nii.gz"
    zeros = gzip.compress(bytes(1 << 26))
    # 1.3 GB in all; reading it to its end would take seconds and, held in memory, more than it may
    path.write_bytes(gzip.compress(encode_nifti()) * members + zeros * 20)
    fault = describe_fault(path)
    assert fault == "unreadable NIfTI: the compressed file holds much more than its header says"
