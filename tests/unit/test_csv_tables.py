"""Cells of study tables in any form, and the record of what they were read as."""

import csv
import hashlib
import io
import re

import pandas
import pytest

from rhvae_mri.convert.csv_tables import (
    column_key,
    month_number,
    read_dates,
    read_header,
    read_integers,
    read_numbers,
    read_participants,
    read_table,
    visit_code,
)
from rhvae_mri.convert.study_tables import Ledger
from rhvae_mri.io.files import read_tsv, write_tsv


def series(*values):
    return pandas.Series(values, dtype=str)


#: Dates, and the forms in which they are read; those of the last one are not certain, or no dates.
DATES = {
    "2006-04-09": [
        *("2006-04-09", "2006/4/9", "20060409", "2006-04-09T08:12:00", "2006.04.09", "9.4.2006", "09.04.06"),
        *("9-Apr-2006", "9-Apr-06", "9 april 2006", "April 9, 2006"),
    ],
    "2006-04-19": ["4/19/2006 0:00", "4/19/06", "19-4-2006"],
    "1998-04-19": ["4/19/98"],
    "2006-04-04": ["4/4/2006"],
    "2006-03-09": ["09. Mrz 2006"],
    "2006-10-09": ["9-Okt-06"],
    "2006-02-09": ["9-févr.-06"],
    "2006-08-09": ["9 août 2006"],
    "": [
        *("04/09/2006", "18/04/06", "06/04/18", "38816", "########", "3.8816E+04", "2/29/2007", "0000-00-00"),
        *("9-mag-2006", "soon", ""),
    ],
}


@pytest.mark.parametrize(("text", "date"), [(text, date) for date, texts in DATES.items() for text in texts])
def test_dates(text, date):
    assert read_dates(series(text)).tolist() == [date]


def test_the_order_of_day_and_month_is_that_of_the_column():
    assert read_dates(series("4/9/2006", "30/9/2006")).tolist() == ["2006-09-04", "2006-09-30"]
    assert read_dates(series("4/9/2006", "9/30/2006")).tolist() == ["2006-04-09", "2006-09-30"]
    assert read_dates(series("4/9/06", "30/9/06")).tolist() == ["2006-09-04", "2006-09-30"]
    # both orders, or points beside slashes: a program took some of the dates for others
    assert read_dates(series("30/9/2006", "9/30/2006")).tolist() == ["", ""]
    assert read_dates(series("04.09.2006", "04/18/2006")).tolist() == ["", ""]
    # what LONI writes with the month first, unless the column says otherwise or the year may come first
    for values, first in ((("4/9/2006",), "2006-04-09"), (("4/9/2006", "30/9/2006"), "2006-09-04")):
        assert read_dates(series(*values), american=True)[0] == first
    assert read_dates(series("06/04/09"), american=True).tolist() == [""]


def test_numbers_within_bounds():
    found = read_numbers(series("29", "29.0", "31", "-1", "x", "inf", ""), 0, 30)
    assert found.tolist() == ["29", "29"] + [""] * 5


TEXT = """RID,PTID,VISCODE,AGE,NOTE
295,002_S_0295,bl,71.5,"said ""no"", then; left"
4002,005_S_4002,,0.25,5 | 6
,,m12,-1,
"""
CONTENT = {
    "RID": ["295", "4002", ""],
    "PTID": ["002_S_0295", "005_S_4002", ""],
    "VISCODE": ["bl", "", "m12"],
    "AGE": ["71.5", "0.25", "-1"],
    "NOTE": ['said "no", then; left', "5 | 6", ""],
}


def saved(separator=",", quoting=csv.QUOTE_MINIMAL, change=lambda cell: cell, extra=("", "", "", "")):
    """The table as a program saves it that changes cells of the body and adds a cell to each row."""
    head, *body = csv.reader(io.StringIO(TEXT))
    rows = [head, *([change(cell) for cell in row] for row in body)]
    rows = [[*row, more] if any(extra) else row for row, more in zip(rows, extra, strict=True)]
    target = io.StringIO()
    csv.writer(target, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(rows)
    return target.getvalue()


def comma(cell):
    return re.sub(r"(?<=\d)\.(?=\d)", ",", cell)


def wrapped(text, tail=""):
    return "".join('"' + line.replace('"', '""') + f'"{tail}\n' for line in text.splitlines())


HEAD, BODY = TEXT.split("\n", 1)

#: What programs make of the table, all of it to be read alike.
READ = {
    "as it comes": TEXT,
    "semicolons": saved(";"),
    "semicolons, decimal commas": saved(";", change=comma),
    "tabs": saved("\t"),
    "pipes": saved("|"),
    "commas, decimal commas in quotes": saved(change=comma),
    "a line for the separator": "sep=;\r\n" + saved(";"),
    "a line for the separator, with cells": "sep=,,,,\n" + TEXT,
    "every cell quoted": saved(quoting=csv.QUOTE_ALL),
    "blanks around quoted cells": saved(quoting=csv.QUOTE_ALL).replace('","', '" , "'),
    "every line one cell": wrapped(TEXT),
    "every line one cell, all quoted": wrapped(saved(quoting=csv.QUOTE_ALL)),
    "every line one cell of several": wrapped(TEXT, ";;;"),
    "other separators at the ends": TEXT.replace("\n", ";;\n"),
    "lines with quotes one cell": "\n".join((HEAD, wrapped(BODY.split("\n")[0]) + BODY.split("\n", 1)[1])),
    "UTF-8 with a mark": TEXT.encode("utf-8-sig"),
    "two marks": "\ufeff\ufeff" + TEXT,
    "UTF-16": saved("\t").encode("utf-16"),
    "UTF-16, big-endian": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "UTF-32": TEXT.encode("utf-32"),
    "carriage returns": TEXT.replace("\n", "\r"),
    "mixed line ends": TEXT.replace("\n", "\r\n", 2),
    "empty columns": TEXT.replace("\n", ",,,\n"),
    "empty cells after each row": HEAD + "\n" + BODY.replace("\n", ",\n"),
    "empty cells not written": TEXT.replace("-1,\n", "-1\n"),
    "empty lines": "\n,,,,\n" + TEXT + ",,,,\n\n",
    "no end of the last line": TEXT[:-1],
    "the header again": TEXT + HEAD + "\n",
    "names in another form": TEXT.replace("PTID", " ptid ").replace("AGE", "a.g_e"),
    "a column twice": saved(extra=("RID", "295", "4002", "")),
    "whole numbers as decimals": TEXT.replace("295,0", "295.0,0").replace("-1,", "-1.00,"),
    "codes for what is missing": TEXT.replace(",,0.25", ",-4.0,0.25").replace("\n,,m12", "\n#N/A,<NA>,m12"),
    "blanks that do not break": TEXT.replace("295,0", "\u202f295\xa0,0").replace("5 | 6", "5\xa0|\xa06"),
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", READ)
def test_what_programs_make_of_a_table_is_read_alike(name, tmp_path):
    path = write(tmp_path / "x.csv", READ[name])
    table = read_table(path, CONTENT)
    assert table[list(CONTENT)].to_dict("list") == CONTENT
    assert read_header(path)[0] == "RID"


def test_cells_keep_line_breaks_quotes_accents_and_the_line_of_the_file(tmp_path):
    table = read_table(write(tmp_path / "x.csv", "SITE\nOrléans\n".encode("cp1252")))
    assert table["SITE"].tolist() == ["Orléans"]
    text = HEAD + '\n\n1,"a\nb, c",bl,1,\n2,x,,5" coil,"said "no" today"\n'
    table = read_table(write(tmp_path / "x.csv", text))
    assert table.index.tolist() == [3, 5]
    assert table["PTID"].tolist() == ["a\nb, c", "x"]
    assert table["AGE"].tolist() == ["1", '5" coil']
    assert table["NOTE"].tolist() == ["", 'said no" today"']
    # an index column of R or pandas, and columns without a name
    table = read_table(write(tmp_path / "x.csv", ',RID,X\n1,7,y\n2,8,"z"\n'), ["RID"])
    assert table["RID"].tolist() == ["7", "8"]


#: What cannot be read with certainty, and the place that is named.
REFUSED = {
    "a cell too many": (TEXT + "1,2,3,4,5,DOE\n", "line 5 has 6 cells, the header 5"),
    "a comma that was not quoted": (TEXT.replace("5 | 6", "5, 6"), "line 3 has 6 cells, the header 5"),
    "such a comma before an empty column": (
        saved(extra=("NOTE 2", "", "", "")).replace("005_S_4002", "005_S,4002"),
        "line 3 has 7 cells, the header 6",
    ),
    "a note beside the table": (saved(extra=("", "check!", "", "")), "line 2 has 6 cells, the header 5"),
    "row names without a name": (
        HEAD + "\n" + "".join(f"{row},{row},x,bl,7,\n" for row in (1, 2, 3)),
        "line 2 has 6 cells, the header 5",
    ),
    "another table below": (TEXT + "NOTE,AGE,VISCODE,PTID,RID\n", "line 5 is the header of another table"),
    "a column twice, other cells": (
        saved(extra=("rid", "1", "2", "3")),
        "column RID is there more than once",
    ),
    "a quote that does not end": (TEXT.replace("005_S", '"005_S'), "line 3: a quotation mark is not closed"),
    "two such quotes": (HEAD + '\n1,"a,bl,7,\n2,"b,bl,7,\n', "line 2: a quotation mark is not closed"),
    "cut in a row": (TEXT[:-6], "line 4 is cut short"),
    "cut in a quote": (TEXT[: TEXT.index("then")], "line 2: a quotation mark is not closed"),
    "cut in a character": (TEXT.encode("utf-16")[:-1], "line 4: it is cut short or damaged"),
    "null bytes": (TEXT.replace("4002,", "\0\0\0\0"), "line 3: it is damaged"),
    "a workbook": (b"PK\x03\x04" + bytes(40), "it is a workbook"),
    "a cell without end": ('RID\n"' + "DOE" * 50_000, "field larger"),
    "a web page": ("\n<!DOCTYPE html><title>Sign in</title>", "it is a web page"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_with_certainty_is_an_error_with_its_line(name, tmp_path):
    content, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        read_table(write(tmp_path / "x.csv", content), CONTENT)
    assert "DOE" not in str(caught.value)


def test_whole_numbers_in_any_form():
    values = series("4,002", "4.003", "4 004", "1'004'005", "4.000", "295", "S17", "1.23457E+11", "1" * 5000)
    assert read_integers(values).tolist() == ["4002", "4003", "4004", "1004005", "4000", "295", "17", "", ""]
    # three decimals, or thousands?
    assert read_integers(series("4.000", "1.5")).tolist() == ["", ""]


@pytest.mark.parametrize(
    ("read", "texts", "expected"),
    [
        (column_key, ["Orig/Proc", "Orig.Proc", " image_ID"], ["origproc", "origproc", "imageid"]),
        (month_number, ["Sep", "Mrz", "févr", "maggio"], [9, 3, 2, None]),
        (visit_code, ["BL", "m0", "M6", "m120", "scmri"], ["bl", "bl", "m06", "m120", "scmri"]),
        (lambda text: read_integers(series(text))[0], ["I30000", "0042", "4.002"], ["30000", "42", "4002"]),
        (
            lambda text: read_participants(series(text))[0],
            ["002_s_0295", "002 S 0295", "002-S-0295", "phantom"],
            ["002_S_0295"] * 3 + ["phantom"],
        ),
    ],
)
def test_names_and_codes_in_any_form(read, texts, expected):
    assert [read(text) for text in texts] == expected


def test_cells_that_are_not_understood_are_listed(tmp_path):
    ledger = Ledger()
    before, after = series("1", "=1", "x\ty", "x\ty", ""), series("1", "", "", "", "")
    assert ledger.understood("CDR.csv", "CDGLOBAL", before, after) is after
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
    ledger.understood("x.csv", "EXAMDATE", before, after, needed="dates")
    ledger.understood("x.csv", "PTDOB", before, after, needed="dates of birth", private=True)
    assert ledger.problems == [
        "2 of 3 cells in the column EXAMDATE of x.csv are no dates (line 0: DOE1, line 1: DOE2)",
        "2 of 3 cells in the column PTDOB of x.csv are no dates of birth (line 0, line 1)",
    ]
    ledger.understood("x.csv", "PTDOB", before[1:], after[1:], needed="dates of birth", private=True)
    assert ledger.table()["value"].tolist() == ["(not shown)"]
