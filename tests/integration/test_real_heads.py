"""Preprocessing of real heads through the `bids:` input: two on the coarse grid, one as the study did it."""

import shutil
from functools import partial

import nibabel
import numpy
import pytest

from rhvae_mri.io.files import read_tsv

pytestmark = pytest.mark.real


def save_coarse(source, target):
    """Average a scan over blocks in the plane of its thin voxels: N4 takes minutes on the full scan."""
    image = nibabel.load(source)
    factors = [max(1, round(3 / size)) for size in image.header.get_zooms()[:3]]
    shape = [length // factor for length, factor in zip(image.shape, factors, strict=True)]
    voxels = image.get_fdata()[tuple(slice(n * f) for n, f in zip(shape, factors, strict=True))]
    blocks = voxels.reshape([number for pair in zip(shape, factors, strict=True) for number in pair])
    affine = image.affine @ numpy.diag([*factors, 1.0])
    affine[:3, 3] = image.affine[:3, :3] @ [(factor - 1) / 2 for factor in factors] + image.affine[:3, 3]
    nibabel.save(nibabel.Nifti1Image(blocks.mean(axis=(1, 3, 5)).astype("float32"), affine), target)


def bids_study(folder, config, heads, template):
    """Put heads into a BIDS folder and point a configuration to it; ``heads`` maps names to functions."""
    lines = ["participant_id\tage\tsex"]
    for name, write in heads.items():
        anat = folder / "bids" / f"sub-{name}" / "anat"
        anat.mkdir(parents=True)
        write(anat / f"sub-{name}_T1w.nii.gz")
        lines.append(f"sub-{name}\tn/a\tn/a")
    (folder / "bids" / "participants.tsv").write_text("\n".join(lines) + "\n")
    (folder / "bids" / "dataset_description.json").write_text('{"Name": "real", "BIDSVersion": "1.8.0"}\n')
    config["cohorts"]["ADNI"] |= {"source": "bids", "bids": "bids", "require_diagnosis": False}
    config["cohorts"]["AIBL"]["source"] = "none"
    config["template"] |= {"source": "file", "file": str(template)}
    return config


@pytest.fixture(scope="module")
def study(tmp_path_factory, load_config, run_snakemake, shared_images):
    folder = tmp_path_factory.mktemp("real")
    heads = {
        f"head{number}": partial(save_coarse, shared_images / f"head_{number}_T1w.nii.gz")
        for number in ("01", "12")
    }
    template = shared_images / "mni152_2009_wholehead_1mm.nii.gz"
    config = bids_study(folder, load_config(), heads, template)
    config["template"]["voxel_size"] = 4
    config["registration"]["iterations"] = [1000, 500, 20]
    result = run_snakemake(folder, config, "audit")
    assert result.returncode == 0, result.stdout
    return folder / "results"


def test_both_heads_pass_the_quality_check(study):
    quality = read_tsv(study / "quality" / "cohort-ADNI" / "quality.tsv")
    assert quality["image_id"].tolist() == ["sub-head01", "sub-head12"]
    assert set(quality["status"]) == {"passed"}


@pytest.mark.parametrize("name", ["head01", "head12"])
def test_the_heads_are_aligned_and_nothing_is_cut_off(study, name):
    anat = study / "derivatives" / "cohort-ADNI" / f"sub-{name}" / "anat"
    registered = nibabel.load(anat / f"sub-{name}_space-MNI152NLin2009cSym_res-4x4x4_T1w.nii.gz")
    template = nibabel.load(study / "template" / "template.nii.gz")
    numpy.testing.assert_allclose(registered.affine, template.affine)
    ours, theirs = registered.get_fdata(), template.get_fdata()
    assert ours.shape == theirs.shape
    brain = theirs > numpy.percentile(theirs, 60)
    # The scans themselves end a little below the vertex.
    assert (ours[brain] > 0).mean() > 0.85
    assert numpy.corrcoef(ours[brain], theirs[brain])[0, 1] > 0.3
    cropped = nibabel.load(anat / f"sub-{name}_space-MNI152NLin2009cSym_res-4x4x4_desc-Crop_T1w.nii.gz")
    assert cropped.shape == (42, 52, 45)
    assert cropped.get_fdata().sum() > 0.95 * ours.sum()


def test_a_head_at_1_mm_passes_the_deep_quality_check(
    tmp_path, load_config, run_snakemake, shared_images, shared_networks
):
    """The published configuration, but for the network, whose own weights cannot be had without network."""
    template = shared_images / "mni152_2009_wholehead_1mm.nii.gz"
    scan = shared_images / "head_12_T1w.nii.gz"
    config = bids_study(tmp_path, load_config("paper.yaml"), {"head12": partial(shutil.copy, scan)}, template)
    weights = shared_networks / "squeezenet1_1.safetensors"
    config["quality"]["deep"] |= {"source": "file", "network": "squeezenet1_1", "file": str(weights)}
    result = run_snakemake(tmp_path, config, "audit")
    assert result.returncode == 0, result.stdout
    results = tmp_path / config["pathvars"]["results"]
    (row,) = read_tsv(results / "quality/cohort-ADNI/quality.tsv").to_dict("records")
    assert row["status"] == row["deep_quality"] == "passed"
    assert row["pass_probability"] > 0.6
    anat = results / "derivatives/cohort-ADNI/sub-head12/anat"
    cropped = nibabel.load(anat / "sub-head12_space-MNI152NLin2009cSym_res-1x1x1_desc-Crop_T1w.nii.gz")
    assert cropped.shape == (169, 208, 179)
    assert cropped.get_data_dtype() == "float32"
    numpy.testing.assert_allclose(cropped.affine[:3], numpy.c_[numpy.eye(3), [-84, -119, -78]], atol=1e-5)
