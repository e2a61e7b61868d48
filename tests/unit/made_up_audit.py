"""A cohort with 60 small heads, made by hand, and images that were lost at every step."""

import json
import re

import numpy
import pandas
from phantoms import coordinates, head, save

from rhvae_mri.audit.page import draw_audit
from rhvae_mri.cohort.listed_values import COLUMNS as LISTED_COLUMNS
from rhvae_mri.preprocess.grid import crop_box, study_grid
from rhvae_mri.preprocess.images import ImageError, record_faults
from rhvae_mri.preprocess.sidecars import write_sidecar
from rhvae_mri.quality.definitions import METRIC_NAMES

VOXEL_SIZE = 8.0
N_KEPT = 60

#: Text that would run if the page took it for markup.
PLANTED = "</script><img src=x onerror=\"document.title='planted'\">"

FAULTY, FAILED, EXCLUDED, CONFIRMED = range(4)


def embedded(page):
    """The data that a page holds for its script."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


class MadeUpAudit:
    """The tables and files of the cohort, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        shape, affine = study_grid(VOXEL_SIZE)
        voxels = head(coordinates(shape, affine))
        self.template = save(folder / "template.nii.gz", voxels, affine)
        self.ids = [f"sub-ADNI{number:03d}_ses-M000" for number in range(N_KEPT)]
        self.derivatives = {"corrected": [], "registered": [], "cropped": []}
        random = numpy.random.default_rng(3)
        raw = []
        for number, image_id in enumerate(self.ids):
            own = 4 * voxels + random.uniform(0.1, 1, shape)
            paths = {
                "raw": folder / f"bids/{image_id}_T1w.nii.gz",
                "corrected": folder / f"{image_id}_desc-N4_T1w.nii.gz",
                "registered": folder / f"{image_id}_space-MNI_res-8x8x8_T1w.nii.gz",
                "cropped": folder / f"{image_id}_space-MNI_desc-Crop_res-8x8x8_T1w.nii.gz",
            }
            raw.append(str(save(paths["raw"], own * 1.1, affine)))
            for step in self.derivatives:
                with record_faults(paths[step]):
                    if number == FAULTY:
                        raise ImageError("N4 failed.", cause="The scan is empty.")
                    save(paths[step], own[crop_box(VOXEL_SIZE)] if step == "cropped" else own, affine)
                    write_sidecar(paths[step], step, [raw[-1]], ["numpy"], RandomSeed=number, Threads=1)
                self.derivatives[step].append(str(paths[step]))
        self.images = self._images(raw)
        self.metrics = self._metrics(random)
        self.quality = self._quality()

    def draw(self, target, **changes):
        """Draw the audit and give its folder."""
        settings = {
            "voxel_size": VOXEL_SIZE,
            "simulated": True,
            "thresholds": {"similarity": 0.4},
            "outlier_z": 6.0,
            "decisions": None,
            "files": pandas.DataFrame(
                [{"image_id": self.ids[7], "step": "raw", "path": None, "sha256": "5e"}]
            ),
            "listed": pandas.DataFrame(columns=LISTED_COLUMNS),
            "progress": False,
        }
        tables = {name: changes.pop(name, getattr(self, name)) for name in ("images", "quality", "metrics")}
        draw_audit("ADNI", *tables.values(), self.derivatives, self.template, target, **(settings | changes))
        return target

    def _images(self, raw):
        kept = [
            {
                "image_id": image_id,
                "participant_id": image_id.split("_")[0],
                "session_id": "ses-M000",
                "age": 70.5,
                "sex": "F",
                "site": str(number % 4),
                "field_strength": 3.0,
                "diagnosis": ("AD", "CN")[number % 2],
                "path": raw[number],
                "status": "kept",
                "reason": None,
            }
            for number, image_id in enumerate(self.ids)
        ]
        lost = [
            ("sub-ADNI900_ses-M000", None, None, "no image in the download"),
            ("sub-ADNI901_ses-M000", None, None, "DICOM series unreadable: file 7: truncated"),
            ("sub-ADNI902_ses-M000", None, None, f"DICOM series unreadable: {PLANTED}"),
            ("sub-ADNI903_ses-M000", "MCI", "a.nii", "diagnosis MCI is not studied"),
            (
                "sub-ADNI904_ses-M000",
                "CN",
                "b.nii",
                "replaced by hand: ringing (twice) (B. Rater, 2026-02-03)",
            ),
        ]
        rows = [
            {
                **dict.fromkeys(kept[0]),
                "image_id": image_id,
                "participant_id": image_id.split("_")[0],
                "session_id": "ses-M000",
                "diagnosis": diagnosis,
                "path": path,
                "status": "excluded",
                "reason": reason,
            }
            for image_id, diagnosis, path, reason in lost
        ]
        return pandas.DataFrame(kept + rows)

    def _metrics(self, random):
        table = self.images.loc[self.images["status"] == "kept", ["image_id", "participant_id", "session_id"]]
        values = {name: random.normal(0.8, 0.02, N_KEPT) for name in METRIC_NAMES}
        table = table.assign(**values, own_metric=numpy.arange(N_KEPT), fault=None)
        table.loc[FAILED, "similarity"] = 0.1
        table.loc[FAULTY, [*METRIC_NAMES, "own_metric"]] = None
        table.loc[FAULTY, "fault"] = "N4 failed. The scan is empty."
        return table

    def _quality(self):
        table = self.metrics[["image_id", "participant_id", "session_id", "similarity"]].assign(
            pass_probability=None, deep_quality="not run", flags=None, status="passed", reason=None
        )
        signed = ["decision", "decision_reason", "decided_by", "decided_on"]
        table = table.assign(**dict.fromkeys(signed))
        table.loc[FAULTY, ["status", "reason"]] = ["failed", "N4 failed. The scan is empty."]
        table.loc[FAILED, ["status", "reason"]] = ["failed", "similarity 0.100 is below 0.4"]
        table.loc[FAILED, "flags"] = f"similarity 0.1 (robust z -35.0); snr {PLANTED}"
        table.loc[EXCLUDED, ["status", "reason"]] = [
            "failed",
            "excluded by hand: ghosts (A. Rater, 2026-01-31)",
        ]
        table.loc[EXCLUDED, signed] = ["exclude", "ghosts", "A. Rater", "2026-01-31"]
        table.loc[CONFIRMED, signed] = ["keep", PLANTED, "A. Rater", "2026-02-01"]
        return table
