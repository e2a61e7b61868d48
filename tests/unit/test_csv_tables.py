"""Cells of study tables in any form, and the record of what they were read as."""

import hashlib

import pandas
import pytest

from rhvae_mri.convert.csv_tables import Ledger, read_dates, read_header, read_numbers, read_table, understood
from rhvae_mri.files import read_tsv, write_tsv


def series(*values):
    return pandas.Series(values, dtype=str)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2006-04-09", "2006-04-09"),
        ("2006/4/9", "2006-04-09"),
        ("20060409", "2006-04-09"),
        ("2006-04-09T08:12:00", "2006-04-09"),
        ("04/09/2006", "2006-04-09"),
        ("4/9/06", "2006-04-09"),
        ("4/9/98", "1998-04-09"),
        ("9-Apr-2006", "2006-04-09"),
        ("9 april 2006", "2006-04-09"),
        ("2/29/2007", ""),
        ("0000-00-00", ""),
        ("9-Avr-2006", ""),
        ("soon", ""),
        ("", ""),
    ],
)
def test_dates(text, date):
    assert read_dates(series(text)).tolist() == [date]


def test_the_order_of_day_and_month_is_that_of_the_column():
    assert read_dates(series("4/9/2006", "30/9/2006")).tolist() == ["2006-09-04", "2006-09-30"]
    assert read_dates(series("4/9/2006", "9/30/2006")).tolist() == ["2006-04-09", "2006-09-30"]
    # where both orders occur, what does not fit the American one is not guessed
    assert read_dates(series("30/9/2006", "9/30/2006")).tolist() == ["", "2006-09-30"]


def test_numbers_within_bounds():
    assert (
        read_numbers(series("29", "29.0", "31", "-1", "x", "inf", ""), 0, 30).tolist()
        == ["29", "29"] + [""] * 5
    )


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffRID;viscode\r\n1; bl \r\n\r\n;;\r\n2;-4\r\n".encode(),
        b"RID\tVISCODE\n1\t'bl'\n2\n".replace(b"'", b'"'),
        b'"RID",VISCODE,RID\n1,bl,9\n2,NA,9\n',
    ],
)
def test_separators_marks_and_what_is_missing(tmp_path, content):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    table = read_table(path, ["VISCODE"])
    assert table.to_dict("list") == {"RID": ["1", "2"], "VISCODE": ["bl", ""]}
    assert read_header(path)[0] == "RID"


def test_another_encoding(tmp_path):
    (tmp_path / "x.csv").write_bytes("SITE\nOrléans\n".encode("cp1252"))
    assert read_table(tmp_path / "x.csv")["SITE"].tolist() == ["Orléans"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("RID,DX\n1,CN\n2,CN,DOE\n", "row 3 has 3 cells, its header 2"),
        ('RID\n"' + "DOE" * 50_000, "field larger"),
    ],
)
def test_what_is_no_table_is_an_error_without_its_cells(tmp_path, content, words):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_table(tmp_path / "x.csv")
    assert "DOE" not in str(caught.value)


def test_cells_that_are_not_understood_are_listed(tmp_path):
    ledger = Ledger()
    before, after = series("1", "=1", "x\ty", "x\ty", ""), series("1", "", "", "", "")
    assert understood(ledger, "CDR.csv", "CDGLOBAL", before, after) is after
    source = tmp_path / "CDR\n\udcff.csv"
    source.touch()
    ledger.made("CDR\x1b", [source], 5, 1, "made")
    write_tsv(tmp_path / "tables.tsv", ledger.table())
    table = read_tsv(tmp_path / "tables.tsv")
    cells = table[["value", "became", "count"]].dropna().to_numpy().tolist()
    assert sorted(cells) == [["'=1", "(empty)", 1], ["x y", "(empty)", 2]]
    assert all(cell.isprintable() for cell in table["source"].dropna())
    assert table["sha256"].dropna().tolist() == [hashlib.sha256(b"").hexdigest()]
    assert ledger.problems == []


def test_a_column_in_another_form_is_a_problem_and_its_private_cells_stay_private():
    ledger = Ledger()
    before, after = series("DOE1", "DOE2", "1933"), series("", "", "1933")
    understood(ledger, "x.csv", "EXAMDATE", before, after, needed="dates")
    understood(ledger, "x.csv", "PTDOB", before, after, needed="dates of birth", private=True)
    assert ledger.problems == [
        "the column EXAMDATE of x.csv holds no dates: DOE1, DOE2",
        "the column PTDOB of x.csv holds no dates of birth",
    ]
    understood(ledger, "x.csv", "PTDOB", before[1:], after[1:], needed="dates of birth", private=True)
    assert ledger.table()["value"].tolist() == ["(not shown)"]
