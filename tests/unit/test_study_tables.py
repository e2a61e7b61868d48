"""Which of several files of a study table is read."""

import pytest

from rhvae_mri.convert.study_tables import ADNI_TABLES, AIBL_TABLES, Ledger, TablesFolder

DXSUM = ADNI_TABLES["DXSUM"]
HEADER = "RID,VISCODE2,DIAGNOSIS\n"


@pytest.fixture
def take(tmp_path):
    """Write files and take a table: gives its file, the problems, and why others were passed over."""

    def run(table, files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        tables = TablesFolder(tmp_path, Ledger())
        found = tables.take(table)
        passed = {row["source"]: row["reason"] for row in tables.ledger.rows}
        return found and found.path.relative_to(tmp_path).as_posix(), tables.ledger.problems, passed

    return run


@pytest.mark.parametrize(
    "names",
    [
        ["DXSUM.csv", "DXSUM_PDXCONV_ADNIALL.csv"],  # the preferred name
        ["DXSUM_28Nov2026.csv", "DXSUM_3Dec2025.csv", "DXSUM.csv"],  # the newest
        ["sub/My_dxsum_2026-11-28.CSV", "DXSUM_03-Dec-2025 (1).csv", "DXSUM_99Nov2026.csv"],
        ["DXSUM.csv", "DXSUM_ARM.csv", "NODXSUM.csv", "._DXSUM.csv", "DXSUM.txt"],  # the only one
    ],
)
def test_the_preferred_name_counts_and_then_the_newest_date(take, names):
    own = [name for name in names[1:] if name.startswith("DXSUM") and name[5:] not in ("_ARM.csv", ".txt")]
    path, problems, passed = take(DXSUM, {name: f"{HEADER}{name},bl,1\n" for name in names})
    assert (path, problems) == (names[0], [])
    assert passed.keys() == set(own)
    assert all("was taken" in reason for reason in passed.values())


def test_two_copies_are_a_problem_only_if_they_differ(take):
    same = {"DXSUM.csv": HEADER, "sub/DXSUM.csv": HEADER}
    assert take(DXSUM, same)[1] == []
    _, problems, _ = take(DXSUM, same | {"sub/DXSUM.csv": f"{HEADER}1,bl,1\n"})
    assert len(problems) == 1
    assert "DXSUM is there twice with different content" in problems[0]
    assert "keep one" in problems[0]


def test_a_file_without_a_needed_column_is_passed_over(take, tmp_path):
    path, problems, passed = take(DXSUM, {"DXSUM_1Jan2026.csv": "RID,VISCODE2\n", "DXSUM.csv": HEADER})
    assert (path, problems) == ("DXSUM.csv", [])
    assert passed == {"DXSUM_1Jan2026.csv": "not used: it has no column DIAGNOSIS or DXCURREN or DXCHANGE"}
    (tmp_path / "DXSUM.csv").unlink()
    tables = TablesFolder(tmp_path, Ledger())
    assert tables.take(DXSUM) is None
    assert tables.absence(DXSUM) == (
        "the table DXSUM_1Jan2026.csv has no column DIAGNOSIS or DXCURREN or DXCHANGE "
        "(Study Files > Assessments)"
    )
    assert tables.absence(AIBL_TABLES["cdr"]).startswith("the table aibl_cdr_*.csv is missing (")


def test_a_file_that_cannot_be_read_is_a_problem(take):
    _, problems, _ = take(DXSUM, {"DXSUM.csv": f"{HEADER}1,bl,1,2\n"})
    assert problems == [
        "the table DXSUM.csv cannot be read: line 2 has 4 cells, the header 3 (Study Files > Assessments)"
    ]


def test_names_of_columns_get_their_case(tmp_path):
    (tmp_path / "aibl_mmse_01-Jun-2018.csv").write_text("rid,Viscode,mmscore,examdate,Epoch\n1,bl,29,,x\n")
    found = TablesFolder(tmp_path, Ledger()).take(AIBL_TABLES["mmse"])
    assert list(found.content) == ["RID", "VISCODE", "MMSCORE", "EXAMDATE", "Epoch"]
