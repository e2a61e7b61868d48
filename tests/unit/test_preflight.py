"""The checks of a raw download: tables and folders."""

import shutil
from pathlib import Path

import handmade_cohorts as handmade
import pandas
import pytest

from rhvae_mri.convert.preflight import check_downloads
from rhvae_mri.convert.study_tables import ADNI_TABLES, AIBL_TABLES
from rhvae_mri.io.errors import StudyError

COHORTS = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}
FORMS = [("ADNI", 2018), ("ADNI", 2026), ("AIBL", 2018)]

#: The tables without which there is no conversion, and what the message says without them.
NEEDED = {
    ("ADNI", 2018): {"ADNIMERGE": "the table REGISTRY.csv is missing"},
    ("ADNI", 2026): {name: "the table ADNIMERGE.csv is missing" for name in ("REGISTRY", "PTDEMOG", "DXSUM")},
    ("AIBL", 2018): {
        f"aibl_{name}": f"the table aibl_{name}_*.csv is missing"
        for name in ("ptdemog", "pdxconv", "mrimeta", "mri3meta")
    },
}
TABLES = {**ADNI_TABLES, **{table.name: table for table in AIBL_TABLES.values()}}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return {
        (cohort, generation): handmade.write_cohort(
            COHORTS[cohort](), tmp_path_factory.mktemp(cohort), generation
        )[:2]
        for cohort, generation in FORMS
    }


@pytest.fixture(params=FORMS, ids=str)
def form(request):
    return request.param


@pytest.fixture
def download(form, originals, tmp_path):
    """A download that the test may spoil, with empty image files: cohort, images and tables."""
    return form[0], *copy_download(*originals[form], tmp_path)


def copy_download(images, tables, target):
    shutil.copytree(tables, target / "tables")
    shutil.copytree(images, target / "images", copy_function=lambda _, path: Path(path).touch())
    return target / "images", target / "tables"


def find(tables, name):
    (path,) = tables.glob(f"*{name}*.csv")
    return path


def complaint(*downloads):
    with pytest.raises(StudyError) as caught:
        check_downloads(downloads)
    return str(caught.value)


def edit(path, change):
    change(pandas.read_csv(path, dtype=str)).to_csv(path, index=False)


def test_a_complete_download_passes_and_stays_as_it_is(download):
    root = download[1].parent
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    check_downloads([download])
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_all_problems_of_all_cohorts_are_listed_at_once(originals, tmp_path):
    folders = {cohort: copy_download(*originals[cohort, 2018], tmp_path / cohort) for cohort in COHORTS}
    for _, tables in folders.values():
        for path in tables.iterdir():
            path.unlink()
    nowhere = tmp_path / "nowhere", tmp_path / "nothing"
    text = complaint(*((cohort, *places) for cohort, places in folders.items()), ("AIBL", *nowhere))
    assert "The ADNI download cannot be converted: 1 problem(s)." in text
    assert "The AIBL download cannot be converted: 4 problem(s)." in text
    for words in [words for messages in NEEDED.values() for words in messages.values()]:
        assert words in text
    assert f"images folder {nowhere[0]} does not exist" in text
    assert f"tables folder {nowhere[1]} does not exist" in text
    assert "what to do" in text


def test_only_tables_that_nothing_can_stand_for_are_needed(download, form):
    for path in sorted(download[2].glob("*.csv")):
        name = next((name for name in NEEDED[form] if name in path.name), None)
        path.rename(path.with_suffix(".away"))
        if name:
            text = complaint(download)
            assert NEEDED[form][name] in text
            assert f"the table {name}" in text
        else:
            check_downloads([download])
        path.with_suffix(".away").rename(path)


def test_each_column_is_needed(download, form):
    for name in NEEDED[form]:
        path = find(download[2], name)
        content = path.read_text()
        for column in TABLES[name].columns:
            names = column.split("|")
            edit(path, lambda frame, names=names: frame.drop(columns=names, errors="ignore"))
            text = complaint(download)
            assert f"{path.name} has no column {' or '.join(names)}" in text
            path.write_text(content)


@pytest.mark.parametrize("content", ['RID,VISCODE\n"1,bl\n' + "2,bl\n" * 40_000, "\0\1,\2\r3\r", ""])
def test_a_file_that_is_no_table_is_named(originals, tmp_path, content):
    aibl = copy_download(*originals["AIBL", 2018], tmp_path)
    path = find(aibl[1], "pdxconv")
    columns = path.read_text().splitlines()[0]
    path.write_text(content.replace("RID,VISCODE", columns))
    assert path.name in complaint(("AIBL", *aibl))


def test_images_or_tables_of_another_study(download):
    cohort, images, _ = download
    for path in filter(Path.is_dir, images.iterdir()):
        shutil.rmtree(path)
    (images / "deeper").mkdir()
    text = complaint(download)
    assert "no folder with a participant's name" in text
    assert "it holds deeper" in text
    (images / {"ADNI": "941_S_1311", "AIBL": "9999"}[cohort]).mkdir()
    assert "none of the 1 participants with images" in complaint(download)


def test_an_unknown_cohort(tmp_path):
    assert "no converter for a cohort named 'OASIS'" in complaint(("OASIS", tmp_path, tmp_path))
