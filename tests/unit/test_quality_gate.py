"""The quality gate on simulated heads at 4 mm: only whole, upright, T1-weighted heads pass."""

import nibabel
import numpy
import pandas
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from rhvae_mri.cohort.decisions import Decisions
from rhvae_mri.preprocess.grid import TEMPLATE_ORIGIN
from rhvae_mri.preprocess.mni_tissue import read_average
from rhvae_mri.preprocess.registration import register_to_template
from rhvae_mri.quality.metrics import measure_quality
from rhvae_mri.quality.verdict import check_quality
from rhvae_mri.simulate.anatomy import LATTICE_ORIGIN, load_anatomy, simulate_template
from rhvae_mri.simulate.heads import render_scan
from rhvae_mri.simulate.participants import draw_cohort

#: What is done to a head, and the measures that may refuse it; none where it is to pass.
CASES = {
    "upright": set(),
    "tilted": set(),
    "dark_edges": set(),
    "turned_x180": {"pattern", "turn_margin"},
    "turned_y270": {"pattern", "turn_margin"},
    "turned_z90": {"pattern", "turn_margin"},
    "turned_z180": {"pattern", "turn_margin"},
    "reversed": {"pattern", "turn_margin"},
    "cut_above": {"brain_shown"},
    "cut_in_front": {"brain_shown", "pattern"},
    "extracted": {"scalp", "pattern"},
    "t2": {"pattern"},
    "flair": {"pattern"},
    "cube": {"pattern"},
    "noise": {"pattern"},
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """The table of verdicts, by case."""
    folder = tmp_path_factory.mktemp("gate")
    template = folder / "template.nii.gz"
    simulate_template(4.0, template)
    rows = []
    for name, (voxels, affine) in bent_heads().items():
        row = {"image_id": name, "participant_id": name, "session_id": "ses-M000"}
        paths = {
            kind: folder / f"{name}_{kind}" for kind in ("raw.nii.gz", "registered.nii.gz", "affine.mat")
        }
        raw, registered, matrix = paths.values()
        nibabel.save(nibabel.Nifti1Image(voxels.astype(numpy.float32), affine), raw)
        register_to_template(raw, template, registered, matrix, seed=1)
        rows.append({**row, "raw": raw, "corrected": raw, "registered": registered, "affine": matrix})
    metrics = measure_quality(pandas.DataFrame(rows), template)
    deep = metrics[["image_id"]].assign(pass_probability=numpy.nan, status="not run", reason="no weights")
    return check_quality(metrics, deep, Decisions({}), limits=True, outlier_z=6).set_index("image_id")


def bent_heads():
    """Voxels and affine of each case, made from one simulated scan of a healthy participant."""
    anatomy = load_anatomy()
    person = draw_cohort("ADNI", {"CN": 1}, 4.0, 21)[0]
    visit = next(visit for visit in person.visits if any(scan.on_disk for scan in visit.scans))
    scan = render_scan(person, visit, next(scan for scan in visit.scans if scan.on_disk))
    voxels, affine = scan.volume.astype(float), scan.affine
    inverse = numpy.linalg.inv(scan.template_to_voxel)

    def mapped(labels, origin):
        matrix, shift = inverse[:3, :3], inverse[:3, 3] - origin
        return ndimage.affine_transform(
            labels.astype(float), matrix, shift, output_shape=voxels.shape, order=1
        )

    def turned(axis, angle):
        turn = numpy.eye(4)
        turn[:3, :3] = Rotation.from_euler(axis, angle, degrees=True).as_matrix()
        return voxels, turn @ affine

    top = numpy.flatnonzero((voxels > 0.2 * voxels.max()).any(axis=(0, 1)))[-1]
    front = numpy.flatnonzero((voxels > 0.2 * voxels.max()).any(axis=(0, 2)))[-1]
    bright = numpy.percentile(voxels, 99)
    ramp = 1.3 - 0.6 * numpy.linspace(0, 1, voxels.shape[1])[:, None]
    noise = numpy.abs(numpy.random.default_rng(1).normal(0, bright / 20, voxels.shape))
    cube = noise.copy()
    cube[10:-10, 14:-14, 14:-14] += bright
    return {
        "upright": (voxels, affine),
        "tilted": turned("x", 12),
        "dark_edges": (voxels * ramp, affine),
        **{
            f"turned_{axis}{angle}": turned(axis, angle)
            for axis, angle in (("x", 180), ("y", 270), ("z", 90), ("z", 180))
        },
        "reversed": (voxels[:, :, ::-1], affine),
        "cut_above": (voxels[:, :, : top - round(60 / affine[2, 2])], affine),
        "cut_in_front": (voxels[:, : front - round(90 / affine[1, 1])], affine),
        "extracted": (voxels * (mapped(anatomy.brain, LATTICE_ORIGIN) > 0.5), affine),
        "t2": (numpy.where(voxels > 0.12 * bright, 1.15 * bright - voxels, voxels).clip(0), affine),
        "flair": (voxels * (1 - 0.55 * mapped(read_average("wm") / 255, TEMPLATE_ORIGIN)), affine),
        "cube": (cube, affine),
        "noise": (noise, affine),
    }


@pytest.mark.parametrize("case", CASES)
def test_only_whole_upright_t1_weighted_heads_pass(case, verdicts):
    verdict = verdicts.loc[case]
    if not CASES[case]:
        assert verdict["status"] == "passed", verdict["reason"]
    else:
        assert verdict["status"] == "failed", verdict
        assert {reason.split()[0] for reason in verdict["reason"].split("; ")} & CASES[case], verdict[
            "reason"
        ]
