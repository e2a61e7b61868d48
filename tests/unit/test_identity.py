"""An identity is content and cohort, not a label."""

import gzip

import nibabel
import numpy
import pandas
import pytest
from bids_folders import fates, image_bytes, listing, people, plain_bids, write_bids
from nifti_files import AFFINE, SHAPE, encode_nifti

from rhvae_mri.cohort.duplicates import COLUMNS, find_duplicates, leave_out
from rhvae_mri.cohort.image_content import digest_images
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import write_image_stack

VOXELS = numpy.random.default_rng(0).integers(0, 120, SHAPE).astype(numpy.int16)
TWINS = "the same image under another name: sub-0"


FLIP = [[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


#: The same image in other words.
SAME = {
    "the same bytes": image_bytes(0),
    "compressed otherwise": gzip.compress(encode_nifti(VOXELS), compresslevel=9),
    "another description": gzip.compress(encode_nifti(VOXELS, descrip=b"another")),
    "another type": gzip.compress(encode_nifti(VOXELS.astype(numpy.float32))),
    "scaled in the header": gzip.compress(encode_nifti((VOXELS * 2).astype(numpy.int16), scl_slope=0.5)),
    "another place": gzip.compress(encode_nifti(VOXELS, sform=AFFINE + numpy.eye(4, k=3), qform=None)),
    "another order of the axes": gzip.compress(nibabel.Nifti1Image(VOXELS[::-1], AFFINE @ FLIP).to_bytes()),
    "another order of bytes": gzip.compress(
        nibabel.Nifti1Image(VOXELS, AFFINE, nibabel.Nifti1Header(endianness=">")).to_bytes()
    ),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_one_image_under_two_names_is_taken_for_nobody(tmp_path, content):
    folder = plain_bids(tmp_path / "bids", **{"sub-03/anat/sub-03_T1w.nii.gz": content})
    found = fates(folder)
    assert found["sub-01_T1w.nii.gz"] == f"{TWINS}3"
    assert found["sub-03_T1w.nii.gz"] == f"{TWINS}1"
    assert found["sub-02_T1w.nii.gz"] == "kept"


def test_another_image_is_another_person(tmp_path):
    changed = VOXELS.copy()
    changed[20, 20, 20] += 1
    content = {"sub-03/anat/sub-03_T1w.nii.gz": gzip.compress(encode_nifti(changed))}
    assert set(fates(plain_bids(tmp_path / "bids", **content)).values()) == {"kept"}


def test_one_image_at_two_visits_is_that_of_the_first(tmp_path):
    names = [f"sub-01/ses-M{month}/anat/sub-01_ses-M{month}_T1w.nii.gz" for month in ("00", "12", "24")]
    files = {"participants.tsv": people("sub-01"), names[0]: 0, names[1]: 0, names[2]: 1}
    found = fates(write_bids(tmp_path / "bids", files))
    same = "the same image as that of an earlier visit: sub-01_ses-M00_T1w.nii.gz"
    assert list(found.values()) == ["kept", same, "not the first usable visit"]


def test_only_changed_files_are_read_again(tmp_path):
    folder = plain_bids(tmp_path / "bids")
    paths = sorted(folder.rglob("*.nii.gz"))
    record = tmp_path / "image_files.tsv"
    first = digest_images(paths, record)
    table = pandas.read_csv(record, sep="\t")
    table["voxels"] = ["a", "b", "c"]
    table.to_csv(record, sep="\t", index=False)
    paths[1].write_bytes(image_bytes(9))
    again = digest_images(paths, record)
    assert [again[path].voxels for path in paths] == ["a", digest_images([paths[1]])[paths[1]].voxels, "c"]
    assert again[paths[1]] != first[paths[1]]
    record.write_text("damaged")
    assert digest_images(paths, record)[paths[0]] == first[paths[0]]


def head(person, random):
    """A head on blocks: what all have in common, and what this person has alone."""
    common = numpy.random.default_rng(0).uniform(0.2, 0.8, (21, 26, 22))
    own = numpy.random.default_rng(person).normal(0, 0.1, common.shape)
    return (common + own + random.normal(0, 0.02, common.shape)).astype(numpy.float32)


def write_cohorts(folder, cohorts):
    """Write the tables and tensors of cohorts; by cohort and participant, the person who was scanned."""
    random = numpy.random.default_rng(1)
    images, contents, stacks = {}, {}, {}
    for cohort, people_of in cohorts.items():
        images[cohort], contents[cohort] = folder / f"{cohort}.tsv", folder / f"{cohort}_files.tsv"
        stacks[cohort] = folder / f"{cohort}.safetensors"
        rows = [(name, name, f"{cohort}/{name}.nii") for name in people_of]
        table = pandas.DataFrame(rows, columns=["image_id", "participant_id", "path"])
        table.to_csv(images[cohort], sep="\t", index=False)
        table.assign(
            voxels=[f"v{cohort}{name}" for name in people_of], content="c", size=1, modified=1, changed=1
        ).to_csv(contents[cohort], sep="\t", index=False)
        heads = [numpy.clip(head(person, random), 0, 1) for person in people_of.values()]
        write_image_stack(stacks[cohort], list(people_of), heads, heads[0].shape)
    return images, contents, stacks


def test_images_that_are_alike_are_found_between_and_within_cohorts(tmp_path):
    adni = {f"sub-{number:02d}": number + 1 for number in range(12)} | {"sub-90": 1}
    aibl = {f"sub-{number:02d}": number + 50 for number in range(8)} | {"sub-91": 5}
    written = write_cohorts(tmp_path, {"ADNI": adni, "AIBL": aibl})
    within = find_duplicates("ADNI", *({"ADNI": paths["ADNI"]} for paths in written))
    pairs = {(row.image_id, row.other_image_id) for row in within.itertuples()}
    assert pairs == {("sub-00", "sub-90"), ("sub-90", "sub-00")}
    usable = pandas.DataFrame({"participant_id": list(adni)})
    assert set(adni) - set(leave_out(usable, within, "ADNI")["participant_id"]) == {"sub-00", "sub-90"}
    (row,) = find_duplicates("AIBL", *written).to_dict("records")
    assert [row[name] for name in COLUMNS[:6]] == ["AIBL", "sub-91", "sub-91", "ADNI", "sub-04", "sub-04"]


def test_equal_voxels_are_found_between_cohorts(tmp_path):
    cohorts = {"ADNI": {"sub-01": 1}, "AIBL": {"sub-01": 2, "sub-02": 3}}
    images, contents, stacks = write_cohorts(tmp_path, cohorts)
    table = pandas.read_csv(contents["AIBL"], sep="\t")
    table["voxels"] = ["vAIBLsub-01", "vADNIsub-01"]
    table.to_csv(contents["AIBL"], sep="\t", index=False)
    duplicates = find_duplicates("AIBL", images, contents, stacks)
    assert duplicates[["cohort", "image_id", "other_image_id", "evidence"]].to_numpy().tolist() == [
        ["AIBL", "sub-02", "sub-01", "equal voxels"]
    ]


def test_two_cohorts_may_have_the_same_names(tmp_path):
    names = ["sub-01", "sub-02"]
    split = pandas.DataFrame({"image_id": names, "participant_id": names, "set": ["train", "test"]})
    split["train-full"] = [1, 0]
    tested = split.loc[:0, ["image_id", "participant_id"]]
    assert check_leakage(split, {}, {"AIBL": tested})["passed"]
    twin = ["AIBL", "sub-01", "sub-01", "ADNI", "sub-07", "sub-07", "equal voxels"]
    twins = pandas.DataFrame([twin], columns=COLUMNS)
    with pytest.raises(StudyError, match="participants of AIBL whose image another one has too: sub-01"):
        check_leakage(split, {}, {"AIBL": tested}, twins)
    report = check_leakage(split, {}, {"AIBL": tested[:0]}, twins)
    assert report["left_out"] == twins.to_dict("records")


def test_the_identity_of_an_image_outlives_its_participants_diagnosis(tmp_path):
    text = people("sub-01", "sub-02") + people("sub-03").split("\n")[1].replace("AD", "MCI") + "\n"
    folder = plain_bids(tmp_path / "bids", **{"participants.tsv": text, "sub-03/anat/sub-03_T1w.nii.gz": 0})
    images, _ = listing(folder)
    assert images.loc["sub-01", "reason"] == f"{TWINS}3"
    assert images.loc["sub-03", "reason"] == "diagnosis MCI is not studied"
