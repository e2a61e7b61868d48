"""The preprocessing that has to notice what is wrong with a changed image."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel
import numpy
import pandas
from fuzz_dataset import PEOPLE, Change, Files, images_of

from rhvae_mri.cohort.decisions import Decisions
from rhvae_mri.cohort.duplicates import find_duplicates
from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.crop import crop_to_template
from rhvae_mri.preprocess.images import record_faults
from rhvae_mri.preprocess.registration import register_to_template
from rhvae_mri.preprocess.tensors import pack_tensors
from rhvae_mri.quality.metrics import measure_quality
from rhvae_mri.quality.verdict import check_quality
from rhvae_mri.runtime.logs import log_job
from rhvae_mri.simulate.anatomy import simulate_template

VOXEL_SIZE = 4.0
#: Correlation with the registered good image from which an image counts as about the same.
ALIKE = 0.97


class Laboratory:
    """The preprocessing of single images at 4 mm, beside the good images of the other participants.

    Parameters
    ----------
    files : dict
        The good dataset.
    folder : pathlib.Path
        Where to write.
    """

    def __init__(self, files: Files, folder: Path) -> None:
        folder.mkdir()
        self._files, self._folder = files, folder
        self._template = folder / "template.nii.gz"
        simulate_template(VOXEL_SIZE, self._template)
        self._good: dict[str, dict[str, str]] = {}

    def examine(self, change: Change, path: Path) -> tuple[str, str]:
        """Preprocess and check the changed image; give its verdict and what is wrong with that."""
        who = change.image.split("/")[0]
        with tempfile.TemporaryDirectory(dir=self._folder) as temporary:
            images = [self._process(path, Path(temporary), who)]
            others = [name for name, *_ in PEOPLE if name != who] if change.twin else list(self._good)
            images += [self.good(name) for name in others if name != who]
            good = self.good(who)
            row = self._check(images).iloc[0]
            verdict, problem = str(row["status"]), ""
            if verdict not in change.verdicts:
                problem = f"{verdict} ({row['reason']}; pattern {row['pattern']:.2f}, {row['flags']})"
            elif verdict == "failed":
                problem = "" if isinstance(row["reason"], str) else "failed without a reason"
            elif change.twin:
                problem = "" if self._is_twin(images, change.twin) else f"not found to be {change.twin}"
            elif (alike := _alike(images[0]["registered"], good["registered"])) < ALIKE:
                problem = f"passed, but the registered image is another one: correlation {alike:.3f}"
        return verdict, problem

    def good(self, who: str) -> dict[str, str]:
        """Preprocess the good image of a participant, once."""
        if who not in self._good:
            source = self._folder / f"{who}.nii.gz"
            source.write_bytes(self._files[images_of(who)[0]])
            self._good[who] = self._process(source, self._folder, who)
        return self._good[who]

    def _process(self, raw: Path, folder: Path, who: str) -> dict[str, str]:
        """Take a raw image through N4 and registration; a fault is recorded as in the workflow."""
        files = {name: str(folder / f"{who}_{name}.nii.gz") for name in ("corrected", "registered")}
        files["affine"] = str(folder / f"{who}.mat")
        with log_job(folder / "log.txt"):
            with record_faults(files["corrected"]):
                correct_bias(raw, files["corrected"], threads=1)
            with record_faults(files["registered"], files["affine"]):
                register_to_template(
                    files["corrected"],
                    self._template,
                    files["registered"],
                    files["affine"],
                    seed=1,
                    threads=1,
                )
        return {"image_id": who, "participant_id": who, "session_id": "", "raw": str(raw), **files}

    def _check(self, images: list[dict[str, str]]) -> pandas.DataFrame:
        """Measure and judge images, without the deep check."""
        with log_job(self._folder / "log.txt"):
            metrics = measure_quality(pandas.DataFrame(images), self._template)
        deep = metrics[["image_id"]].assign(pass_probability=None, status="not run", reason=None)
        return check_quality(metrics, deep, Decisions({}), limits=True, outlier_z=6.0)

    def _is_twin(self, images: list[dict[str, str]], twin: str) -> bool:
        """Say whether the first image is found to be another participant's too."""
        folder = Path(images[0]["registered"]).parent
        with log_job(self._folder / "log.txt"):
            rows = []
            for image in images:
                target = folder / f"{image['image_id']}_crop.nii.gz"
                crop_to_template(image["registered"], target, VOXEL_SIZE)
                rows.append({**image, "path": str(target)})
            table = pandas.DataFrame(rows)
            pack_tensors(table, folder / "stack", folder / "index.tsv")
            table[["image_id", "participant_id", "path"]].to_csv(folder / "images.tsv", sep="\t", index=False)
            (folder / "contents.tsv").write_text("path\tsize\tmodified\tchanged\tvoxels\tcontent\n")
            found = find_duplicates(
                "X", {"X": folder / "images.tsv"}, {"X": folder / "contents.tsv"}, {"X": folder / "stack"}
            )
        pairs = set(zip(found["participant_id"], found["other_participant_id"], strict=True))
        one = images[0]["participant_id"]
        return pairs == {(one, twin), (twin, one)}


def _alike(one: str, other: str) -> float:
    """Correlate two registered images, up to the brightest hundredth of their voxels."""
    values = [numpy.asarray(nibabel.load(path).dataobj, dtype=float) for path in (one, other)]
    values = [image.clip(*numpy.percentile(image, [1, 99])).ravel() for image in values]
    return float(numpy.corrcoef(*values)[0, 1])
