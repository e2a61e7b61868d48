"""A BIDS dataset in Clinica's form, made by hand."""

import pandas
from nifti_files import write_nifti

from rhvae_mri.cohort.images import list_images, read_images


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame(rows).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


class Dataset:
    """A BIDS dataset in Clinica's form for ADNI; a visit is (session, diagnosis, has an image)."""

    def __init__(self, folder):
        self.bids = folder / "bids" / "cohort-ADNI"
        self.report = folder / "conversion.tsv"
        self.exclude = folder / "exclude.tsv"
        self.target = folder / "images.tsv"
        self.participants, self.conversion = [], []
        self.bids.mkdir(parents=True)

    def image(self, name, session, suffix="_T1w.nii.gz"):
        return self.bids / name / session / "anat" / f"{name}_{session}{suffix}"

    def add(self, name, *visits, age=70.5):
        self.participants.append(
            {"participant_id": name, "alternative_id_1": "x", "sex": "F", "age_bl": age, "site": "007"}
        )
        rows = []
        for session, diagnosis, imaged in visits:
            years = int(session.removeprefix("ses-M")) / 12
            row = {"RID": "0295", "session_id": session, "age": age + years, "diagnosis": diagnosis}
            rows.append({**row, "cdr_sb": 3.5, "cdr_global": 0.5, "MMSE": 28.0})
            if imaged:
                path = write_nifti(self.image(name, session))
                scans = {"filename": f"anat/{path.name}", "scan_id": 12, "mri_field": 1.5}
                write_table(path.parents[1] / f"{name}_{session}_scans.tsv", [scans])
        if rows:
            write_table(self.bids / name / f"{name}_sessions.tsv", rows)

    def converted(self, name, session, status, reason=None):
        row = {"cohort": "ADNI", "participant_id": name, "session_id": session, "status": status}
        self.conversion.append({**row, "source": "I1", "reason": reason})

    def table(self, **options):
        write_table(self.bids / "participants.tsv", self.participants)
        report = write_table(self.report, self.conversion) if self.conversion else None
        exclude = self.exclude if self.exclude.exists() else None
        list_images("ADNI", self.bids, report, exclude, self.target, **options)
        return read_images(self.target)

    def fates(self, **options):
        table = self.table(**options)
        return dict(zip(table["image_id"], table["reason"].fillna("kept"), strict=True))
