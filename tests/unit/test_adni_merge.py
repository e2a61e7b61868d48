"""ADNIMERGE, mended or derived from the tables of today."""

import handmade_cohorts as handmade
import pandas
import pytest

from rhvae_mri.convert.adni_merge import read_diagnoses, read_visits
from rhvae_mri.convert.study_tables import Ledger, TablesFolder

PERSON = "002_S_0001"
REGISTRY = "PHASE,PTID,RID,VISCODE2,EXAMDATE"
PTDEMOG = "PTID,RID,PTGENDER,PTDOB,PTDOBYY"
DXSUM = "PTID,RID,VISCODE2,DIAGNOSIS"
MERGE = "PTID,VISCODE,EXAMDATE,AGE,PTGENDER,COLPROT,ORIGPROT,DX"


@pytest.fixture
def read(tmp_path):
    """Write tables, each a header and rows, and read the visits of them; with the record."""

    def run(**tables):
        for name, (header, *rows) in tables.items():
            text = "\n".join([header, *(row.replace("#", PERSON) for row in rows)])
            (tmp_path / f"{name}.csv").write_text(text + "\n")
        ledger = Ledger()
        visits = read_visits(TablesFolder(tmp_path, ledger))
        assert ledger.problems == []
        return visits, ledger.table()

    return run


def derived(read, registry=(), demography=("#,1,2,07/1933,1933",), diagnoses=(), **more):
    return read(
        REGISTRY=(REGISTRY, *registry), PTDEMOG=(PTDEMOG, *demography), DXSUM=(DXSUM, *diagnoses), **more
    )


def visits_of(visits, *columns):
    return visits.merge[["PTID", "VISCODE", *columns]].to_numpy().tolist()


def test_who_was_screened_only_has_no_visit(read):
    screened = "ADNI1,003_S_0002,2,sc,2006-01-02"
    visits, _ = derived(read, ["ADNI1,#,1,sc,2006-01-02", "ADNI1,#,1,bl,2006-01-20", screened])
    assert visits_of(visits) == [[PERSON, "bl"]]
    assert visits.left_out == {"003_S_0002": "no first or later visit in the clinical tables"}


def test_a_first_visit_takes_from_the_screening_what_it_lacks(read):
    visits, _ = derived(
        read,
        ["ADNI3,#,1,sc,1/2/2018", "ADNI3,#,1,bl,1/20/2018", "ADNI3,#,1,m12,"],
        diagnoses=["#,1,sc,3.0", "#,1,m12,2"],
        MMSE=("PTID,RID,VISCODE2,VISDATE,MMSCORE", "#,1,sc,,21", "#,1,bl,,22", "#,1,m12,2019-01-15,31"),
    )
    assert visits_of(visits, "EXAMDATE", "DX", "MMSE", "AGE", "DX_bl") == [
        [PERSON, "bl", "2018-01-20", "Dementia", "22", "84.5", "AD"],
        [PERSON, "m12", "2019-01-15", "MCI", "", "84.5", "AD"],
    ]


def test_a_visit_without_a_date_gets_an_estimate_and_an_empty_one_is_left_out(read):
    rows = ["ADNI1,#,1,bl,2006-01-20", "ADNI1,#,1,m12,", "ADNI1,#,1,m24,"]
    visits, record = derived(read, rows, diagnoses=["#,1,m12,1"])
    assert visits_of(visits, "EXAMDATE") == [[PERSON, "bl", "2006-01-20"], [PERSON, "m12", "2007-01-20"]]
    reasons = record.set_index("value")["reason"]
    assert reasons["m12"].startswith("no date in the tables: estimated")
    assert reasons["m24"].startswith("no date, diagnosis or score")


def test_two_sexes_or_births_are_listed_without_the_birth(read):
    people = ["#,1,2,07/1933,1933", "#,1,1,03/1944,1944", "003_S_0002,2,1,1950,1950"]
    visits, record = derived(read, ["ADNI1,#,1,bl,2006-01-20"], people)
    assert visits.merge["PTGENDER"].tolist() == ["Female"]
    conflicts = record[record["reason"] == "the first one was taken"]
    assert conflicts["column"].tolist() == ["PTGENDER", "BIRTH"]
    assert set(conflicts["value"]) == {f"different values for {PERSON}"}
    assert not record.to_csv().count("1944")


@pytest.mark.parametrize(
    ("birth", "age"),
    [
        ("07/1933,", "72.5"),
        ("1933-07-15,", "72.5"),
        ("7/15/1933,1933", "72.5"),
        ("/1933,", "72.6"),
        (",1933.0", "72.6"),
        (",", ""),
    ],
)
def test_the_age_in_every_form_of_birth(read, birth, age):
    visits, record = derived(read, ["ADNI1,#,1,bl,2006-01-20"], [f"#,1,2,{birth}"])
    assert visits_of(visits, "AGE") == [[PERSON, "bl", age]]
    assert "1933" not in record.to_csv()


def test_rows_of_adni_4_are_parted_from_those_that_clinica_can_read(read):
    rows = ["ADNI3,#,1,bl,2018-01-20", "ADNI4,#,1,m84,2025-01-20", "ADNI4,033_S_10123,10123,bl,2024-05-01"]
    people = ["#,1,2,07/1933,1933", "033_S_10123,10123,1,07/1950,1950"]
    for generation in ("derived", "mended"):
        merge = [
            f"#,{code},{date},84.5,F,{phase},ADNI3,CN"
            for phase, code, date in (("ADNI 3", "BL", "2018-01-20"), ("ADNI4", "m84", "2025-01-20"))
        ]
        merge += ["033_S_10123,bl,2024-05-01,74,Male,ADNI4,ADNI4,CN"]
        own = {} if generation == "derived" else {"ADNIMERGE": (MERGE, *merge)}
        visits, record = derived(read, rows, people, **own)
        assert visits_of(visits, "COLPROT") == [[PERSON, "bl", "ADNI3"]]
        assert [PERSON, "2025-01-20"] in visits.others.to_numpy().tolist()
        assert visits.left_out == {"033_S_10123": "ADNI4, which Clinica cannot read"}
        assert (record["reason"] == "ADNI4, which Clinica cannot read").any()
        assert record["reason"].str.startswith("derived: ").any() == (generation == "derived")


def test_rows_that_would_stop_clinica_are_left_out_and_listed(read):
    rows = [
        *("#,bl,2006-01-20,72.5,female,,,AD", "#,scmri,2006-01-10,72.5,F,,,", "#,bl,2006-01-20,72.5,F,,,"),
        *("#,m06,,72.5,F,,,MCI to Dementia", "x,bl,2006-01-20,72.5,F,,,", "#,m12,2007-01-20,172.5,?,,,?"),
    ]
    visits, record = read(ADNIMERGE=(MERGE, *rows))
    assert visits_of(visits, "EXAMDATE", "AGE", "PTGENDER", "DX") == [
        [PERSON, "bl", "2006-01-20", "72.5", "Female", "Dementia"],
        [PERSON, "m06", "2006-07-22", "72.5", "Female", "Dementia"],
        [PERSON, "m12", "2007-01-20", "", "", ""],
    ]
    left_out = record[record["became"] == "(row left out)"]
    assert dict(zip(left_out["value"], left_out["reason"], strict=True)) == {
        "x": "no participant's identifier",
        "scmri": "no visit with a month of its own",
        "bl": "a second row of the visit",
    }
    strange = record[record["reason"] == "not understood, taken as missing"]
    assert sorted(strange["value"]) == ["172.5", "?", "?"]


def test_diagnoses_of_all_generations():
    table = pandas.DataFrame(
        {
            "DIAGNOSIS": ["1", "3", "", "", "9"],
            "DXCURREN": ["", "", "2", "", ""],
            "DXCHANGE": ["", "", "", "5", "4"],
        }
    )
    assert read_diagnoses(table).tolist() == ["CN", "Dementia", "MCI", "Dementia", ""]


def test_the_derived_table_is_that_of_the_download_of_before(tmp_path):
    """Ages apart, which today follow from the month of birth."""
    columns = ["PTID", "VISCODE", "EXAMDATE", "EXAMDATE_bl", "SITE", "PTGENDER", "DX", "DX_bl", "COLPROT"]
    columns += ["MMSE", "MMSE_bl", "APOE4", "PTEDUCAT"]
    both = []
    for generation in (2018, 2026):
        _, tables, _ = handmade.write_cohort(handmade.adni_cohort(), tmp_path / str(generation), generation)
        ledger = Ledger()
        both.append(read_visits(TablesFolder(tables, ledger)).merge.sort_values(["PTID", "VISCODE"]))
        births = (
            pandas.read_csv(next(tables.glob("*PTDEMOG*")), dtype=str)["PTDOB"] if generation == 2026 else []
        )
        text = ledger.table().to_csv()
        assert not [birth for birth in births if birth in text or birth[:2] + birth[3:] in text]
    old, new = both
    pandas.testing.assert_frame_equal(
        *(table[columns].reset_index(drop=True) for table in (old, new)), check_dtype=False
    )
