"""The checks of a raw download: tables and folders, and the headers of each series."""

import shutil
from pathlib import Path

import handmade_cohorts as handmade
import nibabel
import numpy
import pandas
import pydicom
import pytest

from rhvae_mri.cohort.preflight import check_download
from rhvae_mri.cohort.series import (
    Series,
    find_broken_series,
    list_adni_series,
    list_aibl_series,
    series_problem,
)
from rhvae_mri.cohort.study_tables import TABLES, find_table
from rhvae_mri.errors import StudyError

COHORTS = {"ADNI": handmade.adni_cohort, "AIBL": handmade.aibl_cohort}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return {
        cohort: handmade.write_cohort(make(), tmp_path_factory.mktemp(cohort))[:2]
        for cohort, make in COHORTS.items()
    }


@pytest.fixture(params=COHORTS)
def download(request, originals, tmp_path):
    """A download that the test may spoil, with empty image files: cohort, images and tables."""
    return request.param, *copy_download(*originals[request.param], tmp_path)


@pytest.fixture
def adni(originals, tmp_path):
    return copy_download(*originals["ADNI"], tmp_path)


@pytest.fixture
def aibl(originals, tmp_path):
    return copy_download(*originals["AIBL"], tmp_path)


def copy_download(images, tables, target):
    shutil.copytree(tables, target / "tables")
    shutil.copytree(images, target / "images", copy_function=lambda _, path: Path(path).touch())
    return target / "images", target / "tables"


def complaint(cohort, images, tables):
    with pytest.raises(StudyError) as caught:
        check_download(cohort, images, tables)
    return str(caught.value)


def edit(path, change):
    change(pandas.read_csv(path, dtype=str)).to_csv(path, index=False)


def test_a_complete_download_passes(download):
    check_download(*download)


def test_all_problems_are_listed_at_once(download, tmp_path):
    cohort, images, tables = download
    text = complaint(cohort, tmp_path / "nowhere", tmp_path / "nothing")
    assert f"images folder {tmp_path / 'nowhere'} does not exist" in text
    assert f"tables folder {tmp_path / 'nothing'} does not exist" in text
    for path in tables.iterdir():
        path.unlink()
    text = complaint(cohort, images, tables)
    assert f"{len(TABLES[cohort])} problem(s)" in text
    assert all(f"the table {table.name}.csv is missing" in text for table in TABLES[cohort])
    assert "what to do" in text


def test_each_table_is_needed(download):
    cohort, images, tables = download
    for table in TABLES[cohort]:
        path = find_table(cohort, table.name, tables)
        path.rename(path.with_suffix(".away"))
        text = complaint(cohort, images, tables)
        assert f"the table {table.name}.csv is missing" in text
        assert "1 problem(s)" in text
        path.with_suffix(".away").rename(path)


def test_each_column_is_needed(download):
    cohort, images, tables = download
    for table in TABLES[cohort]:
        path = find_table(cohort, table.name, tables)
        content = path.read_text()
        for column in table.columns:
            path.write_text(content)
            edit(path, lambda frame, name=column: frame.drop(columns=name.split("|")[0]))
            text = complaint(cohort, images, tables)
            assert f"{path.name} has no column {column.split('|')[0]}" in text
        path.write_text(content)
    check_download(cohort, images, tables)


def test_a_table_that_is_there_twice(download):
    cohort, images, tables = download
    name = {"ADNI": "MPRAGEMETA", "AIBL": "aibl_mmse_*"}[cohort]
    path = find_table(cohort, name, tables)
    second = {"ADNI": "MPRAGEMETA_22Nov2024.csv", "AIBL": "aibl_mmse_22-Nov-2024.csv"}[cohort]
    shutil.copy(path, tables / second)
    text = complaint(cohort, images, tables)
    assert f"the table {name} is there 2 times" in text
    assert second in text


def test_images_of_another_study(download):
    cohort, images, tables = download
    for path in images.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (images / "deeper").mkdir()
    text = complaint(cohort, images, tables)
    assert "no folder with a participant's name" in text
    assert "it holds deeper" in text


def test_dates_in_adni_names_and_subfolders_are_accepted(adni):
    images, tables = adni
    (tables / "sub").mkdir()
    (tables / "ADNIMERGE.csv").rename(tables / "sub" / "ADNIMERGE_2Nov2024.csv")
    (tables / "DXSUM_PDXCONV_ADNIALL.csv").rename(tables / "DXSUM_PDXCONV_22Nov2024.csv")
    check_download("ADNI", images, tables)


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ("DXSUM_PDXCONV_ADNIALL", "DXSUM_22Nov2024.csv", "copy it under the name DXSUM_PDXCONV_ADNIALL.csv"),
        ("MPRAGEMETA", "My_All_Images_22Nov2024.csv", "its columns have other names"),
        ("MRIQUALITY", "MRIPROT_22Nov2024.csv", "LONIUID"),
        (
            "MAYOADIRL_MRI_IMAGEQC_05_07_15",
            "MAYOADIRL_MRI_IMAGEQC_12_08_15.csv",
            "knows the table",
        ),
    ],
)
def test_tables_that_loni_renamed(adni, old, new, advice):
    images, tables = adni
    (tables / f"{old}.csv").rename(tables / new)
    text = complaint("ADNI", images, tables)
    assert f"the table {old}.csv is missing; LONI renamed tables in October 2024, and {new}" in text
    assert advice in text


def test_the_new_table_of_genotypes_is_accepted(adni):
    images, tables = adni
    edit(
        tables / "APOERES.csv",
        lambda frame: frame.drop(columns=["APGEN1", "APGEN2"]).assign(GENOTYPE="3/4"),
    )
    check_download("ADNI", images, tables)


def test_folders_that_stop_the_aibl_converter(aibl):
    images, tables = aibl
    for name in ("notes", "007", ".hidden", "0151083"):
        (images / name).mkdir()
    text = complaint("AIBL", images, tables)
    assert "no participant numbers (007, notes)" in text


def test_pet_tables_with_too_few_columns(aibl):
    images, tables = aibl
    edit(find_table("AIBL", "aibl_pibmeta_*", tables), lambda frame: frame.iloc[:, :30])
    assert "has 30 columns; Clinica reads 36" in complaint("AIBL", images, tables)


def test_tables_with_semicolons_and_a_byte_order_mark(aibl):
    images, tables = aibl
    path = find_table("AIBL", "aibl_flutemeta_*", tables)
    path.write_text("\ufeff" + path.read_text().replace(",", ";"), encoding="utf-8")
    check_download("AIBL", images, tables)


def test_an_unknown_cohort(tmp_path):
    assert "no converter for a cohort named 'OASIS'" in complaint("OASIS", tmp_path, tmp_path)


# series -----------------------------------------------------------------------------------------------


def test_only_the_planted_faults_are_found(originals):
    adni = list_adni_series(originals["ADNI"][0], range(10_000, 10_099))
    aibl = list_aibl_series(originals["AIBL"][0])
    assert (len(adni), len(aibl)) == (9, 5)
    broken = find_broken_series([*adni, *aibl], processes=2, progress=False)
    assert [each.image for each in broken] == [10_006, 10_025]
    assert all(problem.endswith(".dcm: truncated: 255 of 510 bytes of pixels") for problem in broken.values())


def test_only_the_wanted_adni_images_are_listed(originals):
    listed = list_adni_series(originals["ADNI"][0], {10_001, 10_004, 77})
    assert [each.image for each in listed] == [10_001, 10_004]


@pytest.fixture
def series(tmp_path):
    person = handmade.make_participant(
        "002_S_0001", "ADNI2", handmade.make_visit(0, "AD", handmade.make_scan(1))
    )
    images = handmade.write_cohort([person], tmp_path)[0]
    return list_adni_series(images, {10_001})[0]


def relisted(series):
    return Series(series.subject, series.image, series.folder, tuple(sorted(series.folder.iterdir())))


def test_a_good_series(series):
    assert series_problem(series) is None


@pytest.mark.parametrize("length", [0, 100, 700, 1900])
def test_a_file_cut_anywhere(series, length):
    content = series.files[3].read_bytes()
    assert len(content) > 2000
    series.files[3].write_bytes(content[:length])
    problem = series_problem(series)
    assert problem.startswith(f"{series.files[3].name}: ")
    assert "truncated" in problem or "not a readable DICOM image" in problem


def test_a_file_that_lacks_one_byte(series):
    content = series.files[0].read_bytes()
    series.files[0].write_bytes(content[:-1])
    assert "truncated: 509 of 510 bytes" in series_problem(series)


def test_missing_and_repeated_slices(series):
    numbered = {int(pydicom.dcmread(path).InstanceNumber): path for path in series.files}
    numbered[5].unlink()
    numbered[6].unlink()
    assert series_problem(relisted(series)) == f"2 slices are missing among {len(numbered) - 2}"
    shutil.copy(numbered[4], numbered[4].with_name("copy_I10001.dcm"))
    assert series_problem(relisted(series)) == "1 slices lie where another one lies"


def test_missing_slices_at_the_ends_cannot_be_seen(series):
    numbered = {int(pydicom.dcmread(path).InstanceNumber): path for path in series.files}
    numbered[1].unlink()
    assert series_problem(relisted(series)) is None


def test_slices_of_different_sizes(series):
    image = pydicom.dcmread(series.files[2])
    image.Rows -= 1
    image.PixelData = image.PixelData[: -2 * image.Columns]
    image.save_as(series.files[2])
    assert series_problem(series) == "slices of 2 different sizes"


def test_no_dicom_at_all(series):
    series.files[2].write_text("<html>login</html>")
    assert "not a readable DICOM image" in series_problem(series)
    for path in series.files:
        path.unlink()
    assert series_problem(relisted(series)) == "the folder has no .dcm file"


def test_nifti_images(tmp_path):
    path = tmp_path / "ADNI_x_S1_I2.nii"
    nibabel.save(nibabel.Nifti1Image(numpy.ones((9, 9, 9), numpy.float32), numpy.eye(4)), path)
    series = Series("002_S_0001", 2, tmp_path, (path,))
    assert series_problem(series) is None
    path.write_bytes(path.read_bytes()[:-8])
    assert (
        series_problem(series) == f"{path.name}: unreadable NIfTI: the file is shorter than its header says"
    )


def test_a_nifti_image_in_colours_is_one_broken_series_and_stops_nothing(tmp_path):
    path = tmp_path / "ADNI_x_S1_I2.nii"
    colours = numpy.zeros((9, 9, 9), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, numpy.eye(4)), path)
    problem = series_problem(Series("002_S_0001", 2, tmp_path, (path,)))
    assert "colours (RGB) instead of intensities" in problem
