"""Tables of BIDS are tab-separated text without quotation, not what spreadsheet programs write."""

import pytest
from bids_folders import listing, plain_bids

from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv

ROWS = [
    {"participant_id": "sub-01", "comment": "x", "age": "70"},
    {"participant_id": "sub-02", "comment": "", "age": ""},
]

HEADER = "participant_id\tcomment\tage\n"
READ = {
    "plain": HEADER + "sub-01\tx\t70\nsub-02\tn/a\tN/A\n",
    "lines of Windows": HEADER.replace("\n", "\r\n") + "sub-01\tx\t70\r\nsub-02\tn/a\t\r\n",
    "lines of an old Macintosh": (HEADER + "sub-01\tx\t70\nsub-02\tn/a\tn/a").replace("\n", "\r"),
    "a mark of UTF-8": "\ufeff" + HEADER + "sub-01\tx\t70\nsub-02\t\t\n",
    "spaces around cells": " participant_id \tcomment\tage \n sub-01\t x\t 70 \nsub-02\t \t n/a\n",
    "empty lines": HEADER + "\nsub-01\tx\t70\n\t\t\nsub-02\t\t\n\n\n",
    "tabs at the end": HEADER.replace("\n", "\t\n") + "sub-01\tx\t70\t\nsub-02\t\t\t\n",
    "two tabs at the end of all rows": HEADER + "sub-01\tx\t70\t\t\nsub-02\t\t\t\t\n",
    "no end of the last line": HEADER + "sub-01\tx\t70\nsub-02\tn/a\tn/a",
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_that_can_be_read_in_one_way_only_are_read(tmp_path, text, encoding):
    (tmp_path / "table.tsv").write_bytes(text.encode(encoding))
    assert read_rows(tmp_path / "table.tsv", required=("participant_id",)) == ROWS


def test_a_quotation_mark_is_a_letter(tmp_path):
    rows = '{}sub-01\t"claustrophobic\t73\nsub-02\tsaid "stop"\t74\nsub-03\t"\t75\n'
    (tmp_path / "table.tsv").write_text(rows.format(HEADER))
    found = read_rows(tmp_path / "table.tsv")
    assert [row["comment"] for row in found] == ['"claustrophobic', 'said "stop"', '"']
    assert [row["age"] for row in found] == ["73", "74", "75"]


REFUSED = {
    "a short row": (HEADER + "sub-01\tx\t70\nsub-02\t71\n", "Line 3 of the table has 2 cells"),
    "a long row": (HEADER + "sub-01\tx\ty\t70\n", "Line 2 of the table has 4 cells"),
    "a tab twice": (HEADER + "sub-01\tx\t70\nsub-02\t\tx\t\n", "Line 3 of the table has 4 cells"),
    "a tab that is lost": (
        "participant_id\tage\t\nsub-01\t70\t\nsub-02\t\n",
        "Line 3 of the table has 2 cells, the header has 3",
    ),
    "a column twice": ("participant_id\tage\tAge\nsub-01\t70\t71\n", "Line 1 .* a column twice: Age, age"),
    "spaces in the place of tabs": (HEADER + "sub-01 x 70\n", "Line 2 of the table has 1 cells"),
    "commas": ("participant_id,comment,age\nsub-01,x,70\n", "no column participant_id"),
    "quotation": ('"participant_id"\t"age"\n"sub-01"\t"70"\n', "no column participant_id"),
    "a carriage return in a cell": (HEADER + "sub-01\tx\ry\t70\n", "Line 2 .* carriage return"),
    "Latin-1": ((HEADER + "sub-01\tZoë\t70\n").encode("latin-1"), "not text in UTF-8"),
    "UTF-16 without its mark": (HEADER.encode("utf-16-le"), "not text in UTF-8"),
    "nothing": ("", "no column participant_id"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_other_tables_are_refused_with_file_and_line(tmp_path, content, words):
    path = tmp_path / "table.tsv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(StudyError, match=words) as raised:
        read_rows(path, required=("participant_id",))
    assert raised.value.where == path
    assert raised.value.remedy


def test_a_stray_quotation_mark_gives_nobody_the_diagnosis_of_another(tmp_path):
    text = "participant_id\tcomment\tage\tsex\tdiagnosis\n"
    text += 'sub-01\tn/a\t70\tF\tAD\nsub-02\t"moved\t71\tF\tAD\nsub-03\tscan"\t72\tF\tCN\n'
    images, values = listing(plain_bids(tmp_path / "bids", **{"participants.tsv": text}))
    assert images["diagnosis"].tolist() == ["AD", "AD", "CN"]
    assert images["age"].tolist() == [70, 71, 72]
    assert set(values["variable"]) == {"mmse", "site"}, "which have no column"


@pytest.mark.parametrize("content", [b"", b"a\tb\n1\t2\t3\n4\t5\n1\t2\t3\t4\n", b"a\n\xff\xfe\x00\n"])
def test_a_table_that_is_none_has_a_clear_error(tmp_path, content):
    (tmp_path / "table.tsv").write_bytes(content)
    with pytest.raises(StudyError, match="The table cannot be read"):
        read_tsv(tmp_path / "table.tsv")
