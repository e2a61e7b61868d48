"""A download in any state in which users have it ends in the images of the unchanged one, or is refused.

Clinica runs once for equal tables and images: variants that the staging makes equal share a conversion.
"""

import gzip
import hashlib
import shutil
from dataclasses import replace

import handmade_cohorts as handmade
import pandas
import pytest
from download_variants import ACCEPTED, REFUSED, UNKNOWN, VARIANTS
from image_changes import ZOOM
from table_changes import edit

from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.convert import conversion
from rhvae_mri.convert.clinica import ClinicaRun, run_clinica
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.simulate.truth import age_at

#: What has to be equal; ages of today's tables know month and year of birth alone.
COMPARED = ["participant_id", "sex", "site", "field_strength", "diagnosis", "mmse", "cdr", "status"]
AGE_TOLERANCE = 0.1

#: An image whose status a variant really changes, and the new status.
FATES = {"no table of Mayo's": ("sub-ADNI014S6008_ses-M000", "kept")}


def enlarge(person):
    """Give the handmade volumes the size of a head."""
    visits = tuple(
        replace(visit, scans=tuple(replace(scan, voxel_size=ZOOM) for scan in visit.scans))
        for visit in person.visits
    )
    return replace(person, visits=visits)


def make_adni():
    people = [enlarge(person) for person in handmade.adni_cohort()]
    accelerated = handmade.make_scan(31, voxel_size=ZOOM, sequence="Accelerated Sagittal MPRAGE")
    visits = handmade.make_visit(0, "CN", accelerated), handmade.make_visit(12, "CN")
    return [*people, handmade.make_participant("003_S_6010", "ADNI3", *visits, sex="M")]


COHORTS = {"ADNI": make_adni(), "AIBL": [enlarge(person) for person in handmade.aibl_cohort()]}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """The downloads before any change, by cohort, generation and whether there is an ADNIMERGE."""
    made = {}

    def get(cohort, generation, merge):
        key = cohort, generation, merge
        if key not in made:
            made[key] = tmp_path_factory.mktemp("download")
            handmade.write_cohort(COHORTS[cohort], made[key], generation=generation, with_merge=merge)
        return made[key]

    return get


@pytest.fixture(scope="module")
def shared_clinica(tmp_path_factory):
    """Clinica, whose runs on equal tables and images are made once."""
    kept = tmp_path_factory.mktemp("conversions")
    exit_codes = {}

    def run(arguments, log_folder):
        *_, images, tables, output = arguments
        digest = hashlib.sha256(" ".join(map(str, arguments[:2])).encode())
        for folder in (images, tables, output):
            for path in sorted(folder.rglob("*")):
                digest.update(path.relative_to(folder).as_posix().encode())
                digest.update(path.read_bytes() if path.is_file() else b"")
        place = kept / digest.hexdigest()
        if not place.exists():
            done = run_clinica(arguments, log_folder)
            exit_codes[place] = done.exit_code
            shutil.copytree(output, place)
            for path in place.rglob("*.tsv"):
                path.write_text(path.read_text().replace(str(images), "STAGED"))
        shutil.copytree(place, output, dirs_exist_ok=True)
        for path in output.rglob("*.tsv"):
            path.write_text(path.read_text().replace("STAGED", str(images)))
        return ClinicaRun(tuple(map(str, arguments)), exit_codes[place], [])

    return run


@pytest.fixture(scope="module")
def convert(downloads, shared_clinica, tmp_path_factory):
    """Convert a variant; give the table of images, the report, the record of tables, and the folder."""

    def run(variant):
        root = tmp_path_factory.mktemp("variant")
        source = downloads(variant.cohort, variant.generation, variant.merge)
        for name in ("images", "tables"):
            shutil.copytree(source / name, root / name)
        variant.change(root / "images", root / "tables")
        before = listing(root)
        bids, report, tables = root / "bids", root / "conversion.tsv", root / "tables.tsv"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conversion, "run_clinica", shared_clinica)
            conversion.convert_to_bids(variant.cohort, root / "images", root / "tables", bids, report, tables)
        assert {name: size for name, size in listing(root).items() if name in before} == before
        list_images(variant.cohort, bids, report, None, root / "images.tsv")
        result = read_images(root / "images.tsv"), read_tsv(report), read_tsv(tables), root
        shutil.rmtree(bids)
        return result

    return run


def listing(root):
    return {
        path.relative_to(root): path.stat().st_size
        for part in ("images", "tables")
        for path in (root / part).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def expected(convert):
    """The images of the unchanged downloads of before 2024."""
    return {
        cohort: convert(VARIANTS[name])[0]
        for cohort, name in (("ADNI", "unchanged"), ("AIBL", "AIBL unchanged"))
    }


def test_the_unchanged_downloads_give_what_is_true_of_their_participants(expected):
    for cohort, numbers in (("ADNI", {"excluded": 8, "kept": 4}), ("AIBL", {"excluded": 3, "kept": 2})):
        images = expected[cohort]
        assert images["status"].value_counts().to_dict() == numbers
        people = {person.participant_id: person for person in COHORTS[cohort]}
        assert set(images["participant_id"]) == people.keys()
        # AIBL gives the year of birth alone
        tolerance = AGE_TOLERANCE if cohort == "ADNI" else 1
        for row in images[images["status"] == "kept"].itertuples():
            person = people[row.participant_id]
            visit = next(each for each in person.visits if f"ses-M{each.month:03d}" == row.session_id)
            assert (row.sex, int(row.site)) == (person.sex, person.site)
            assert (row.diagnosis, row.mmse, row.cdr) == (visit.diagnosis, visit.mmse, visit.cdr)
            assert row.field_strength in {scan.field_strength for scan in visit.scans}
            assert abs(row.age - age_at(person, visit)) <= tolerance


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_a_variant_ends_in_the_images_of_the_unchanged_download(name, convert, expected):
    variant = VARIANTS[name]
    images, report, tables, root = convert(variant)
    known = expected[variant.cohort]
    people = {person.participant_id for person in COHORTS[variant.cohort]}
    own = images[images["participant_id"].isin(people)].set_index("image_id")
    right = known.set_index("image_id")
    assert set(own["participant_id"]) == people
    if name in FATES:
        image, status = FATES[name]
        assert own.loc[image, "status"] == status
        own, right = own.drop(index=image), right.drop(index=image)
    columns = [column for column in COMPARED if column not in UNKNOWN.get(name, [])]
    kept, right_kept = (table[table["status"] == "kept"] for table in (own, right))
    pandas.testing.assert_frame_equal(
        kept[columns].sort_index(), right_kept[columns].sort_index(), check_dtype=False
    )
    assert ((kept["age"] - right_kept["age"]).abs() <= AGE_TOLERANCE + 1e-9).all()
    # strangers are named, and left out with a reason
    others = images[~images["participant_id"].isin(people)]
    assert (others["status"] == "excluded").all() and others["reason"].notna().all()
    assert set(report["source"].dropna()) == image_folders(root / "images")
    assert report["reason"][report["status"] != "converted"].notna().all()
    whole_tables = tables[tables["rows_in"].notna() & tables["source"].notna()]
    assert whole_tables["sha256"].notna().all() and len(whole_tables) >= 4


def image_folders(images):
    """The folders that hold images, found in another way than the library's: by what the files begin with."""
    return {
        path.parent.relative_to(images).as_posix()
        for path in images.rglob("*")
        if path.is_file() and is_image(path.read_bytes())
    }


def is_image(content):
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return content[128:132] == b"DICM" or content[344:347] in (b"n+1", b"ni1")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_cause_and_remedy_before_any_work(name, convert, monkeypatch):
    monkeypatch.setattr(conversion, "find_broken_series", None)
    with pytest.raises(StudyError) as caught:
        convert(VARIANTS[name])
    text = str(caught.value)
    assert VARIANTS[name].refusal in text
    assert "what to do" in text


def test_there_are_enough_variants():
    assert len(VARIANTS) >= 60
    assert len(REFUSED) <= 10


def test_pre_processed_scans_that_are_not_there_are_named(convert):
    _, report, *_ = convert(VARIANTS["pre-processed rows alone"])
    row = report.query("source.str.endswith('I10001', na=False)").iloc[0]
    assert row["status"] == "converted"
    assert (
        row["reason"]
        == "I60001 (MPR; GradWarp; B1 Correction; N3; Scaled) is preferred, but it is not in the download"
    )


def test_pre_processed_scans_that_are_there_are_taken(convert):
    _, report, tables, _ = convert(VARIANTS["pre-processed NIfTI"])
    taken = report[report["status"] == "converted"]["source"]
    assert taken.str.contains("GradWarp").sum() == 5
    (count,) = tables[tables["reason"] == "chosen scans that ADNI pre-processed"].itertuples()
    assert (count.rows_in, count.rows_out) == (len(taken), 5)


def test_adni_4_is_named_as_the_reason(convert):
    for name in ("ADNI4 in tables and images", "a visit in ADNI4"):
        _, report, *_ = convert(VARIANTS[name])
        assert report["reason"].str.contains("ADNI4, which Clinica cannot read").any(), name


def test_every_changed_value_is_recorded(convert):
    *_, tables, _ = convert(VARIANTS["nv and scmri in CDR"])
    left_out = tables[tables["became"] == "(row left out)"]
    assert set(left_out["value"]) == {"nv", "scmri", "(empty)"}
    *_, tables, _ = convert(VARIANTS["American dates"])
    assert (tables["reason"] == "written as an ISO date").any()


def test_genotypes_of_aibl_are_not_taken_for_those_of_adni(convert, downloads):
    def both_studies(images, tables):
        for path in (downloads("AIBL", 2018, False) / "tables").glob("*.csv"):
            shutil.copy(path, tables)

    *_, tables, _ = convert(replace(VARIANTS["unchanged"], change=both_studies))
    assert not tables["source"].str.contains("aibl", na=False).any()


def test_a_scan_far_from_every_visit_does_not_get_the_data_of_one(convert):
    def no_first_visit(images, tables):
        edit("ADNIMERGE", lambda t: t[(t["PTID"] != "013_S_4007") | (t["VISCODE"] != "bl")])(images, tables)

    _, report, *_ = convert(replace(VARIANTS["unchanged"], change=no_first_visit))
    row = report[report["source"].str.endswith("I10009", na=False)].iloc[0]
    assert row["status"] == "passed over"
    assert "no visit in the clinical tables within" in row["reason"]


def test_an_undated_kind_of_aibl_belongs_to_the_visit_that_the_tables_date(convert):
    _, report, *_ = convert(VARIANTS["AIBL, an undated kind with a later date"])
    row = report[report["source"].str.endswith("I10600", na=False)].iloc[0]
    assert (row["session_id"], row["status"]) == ("ses-M018", "converted")
