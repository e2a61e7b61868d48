"""A simulated BIDS dataset without sessions, whose tables have names and values of their own."""

import nibabel
import pandas

from rhvae_mri.simulate.heads import render_scan
from rhvae_mri.simulate.participants import draw_cohort

#: The keys of a cohort of the configuration that read it.
COHORT = {
    "source": "bids",
    "columns": {"age": "years", "sex": "gender_code", "diagnosis": "status"},
    "values": {"diagnosis": {"AD": [1], "CN": [0]}, "sex": {"M": [1], "F": [2]}},
}


def write_dataset(folder, counts, voxel_size=4.0, seed=7):
    """Write a dataset with so many participants of each kind; return its cohort for the configuration."""
    rows = []
    for number, person in enumerate(draw_cohort("AIBL", counts, voxel_size, seed), start=1):
        visit = person.visits[0]
        scan = render_scan(person, visit, visit.scans[0])
        name = f"sub-{number:03d}"
        path = folder / name / "anat" / f"{name}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(scan.volume, scan.affine), path)
        status = {"CN": 0, "AD": 1}.get(visit.diagnosis, 5)
        rows.append((name, person.age, {"M": 1, "F": 2}[person.sex], status))
    columns = ["participant_id", "years", "gender_code", "status"]
    pandas.DataFrame(rows, columns=columns).to_csv(folder / "participants.tsv", sep="\t", index=False)
    return {**COHORT, "bids": str(folder)}
