from rhvae_mri.io.files import read_json
from rhvae_mri.preprocess import sidecars


def test_sources_are_named_by_bids_uris():
    raw = "bids/cohort-ADNI/sub-ADNI1/ses-M000/anat/sub-ADNI1_ses-M000_T1w.nii.gz"
    corrected = "derivatives/cohort-ADNI/sub-ADNI1/ses-M000/anat/sub-ADNI1_ses-M000_desc-N4_T1w.nii.gz"
    registered = corrected.replace("desc-N4", "space-MNI152NLin2009cSym")
    assert sidecars.source_uri(raw, corrected).startswith("bids:raw:sub-ADNI1/ses-M000/anat/sub-ADNI1")
    assert sidecars.source_uri(corrected, registered).startswith("bids::sub-ADNI1/ses-M000/anat/")
    assert (
        sidecars.source_uri("results/template/template.nii.gz", registered) == "bids:template:template.nii.gz"
    )
    assert sidecars.source_uri("elsewhere/template.nii.gz", registered) == "template.nii.gz"
    assert sidecars.source_uri("/home/sub-lab/" + raw, corrected).startswith("bids:raw:sub-ADNI1/")


def test_a_sidecar_holds_sources_parameters_and_versions(tmp_path):
    target = tmp_path / "sub-1" / "anat" / "sub-1_desc-N4_T1w.nii.gz"
    sidecars.write_sidecar(target, "Corrected", ["raw.nii"], ["nibabel", "no-such-package"], RandomSeed=3)
    content = read_json(target.with_name("sub-1_desc-N4_T1w.json"))
    assert content["Sources"] == ["raw.nii"]
    assert content["RandomSeed"] == 3
    assert content["SoftwarePackages"]["no-such-package"] == "not installed"
    assert content["SoftwarePackages"]["nibabel"].split(".")[0].isdigit()
