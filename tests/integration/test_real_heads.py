"""Preprocessing of real heads through the `bids:` input, on the coarse grid."""

import nibabel
import numpy
import pytest

from rhvae_mri.files import read_tsv

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


@pytest.fixture(scope="module")
def study(tmp_path_factory, load_config, run_snakemake, shared_images):
    folder = tmp_path_factory.mktemp("real")
    lines = ["participant_id\tage\tsex"]
    for name in ("head01", "head12"):
        anat = folder / "bids" / f"sub-{name}" / "anat"
        anat.mkdir(parents=True)
        source = shared_images / f"head_{name[-2:]}_T1w.nii.gz"
        save_coarse(source, anat / f"sub-{name}_T1w.nii.gz")
        lines.append(f"sub-{name}\tn/a\tn/a")
    (folder / "bids" / "participants.tsv").write_text("\n".join(lines) + "\n")
    (folder / "bids" / "dataset_description.json").write_text('{"Name": "real", "BIDSVersion": "1.8.0"}\n')
    config = load_config()
    config["cohorts"]["ADNI"] |= {"source": "bids", "bids": "bids", "require_diagnosis": False}
    config["cohorts"]["AIBL"]["source"] = "none"
    config["template"] |= {
        "source": "file",
        "file": str(shared_images / "mni152_2009_wholehead_1mm.nii.gz"),
    }
    # Levels for scans that are finer than the template's grid, see `imaging.registration.Levels`.
    config["registration"] |= {
        "shrink_factors": [4, 2, 1],
        "smoothing": [8, 4, 2],
        "smoothing_unit": "mm",
        "iterations": [1000, 500, 20],
    }
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
    cropped = nibabel.load(anat / f"sub-{name}_space-MNI152NLin2009cSym_desc-Crop_res-4x4x4_T1w.nii.gz")
    assert cropped.shape == (42, 52, 45)
    assert cropped.get_fdata().sum() > 0.95 * ours.sum()
