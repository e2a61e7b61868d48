"""The deep quality check beside ClinicaDL's, from the image file to the probability.

The published weights cannot be downloaded everywhere, so the networks get random ones whose answers differ
between images; the real SqueezeNet comes on top where shared/deepqc is there.
"""

from pathlib import Path

import nibabel
import numpy
import pandas
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from rhvae_mri.preprocess.images import derivative_table, read_image
from rhvae_mri.quality.deep_networks import build_network
from rhvae_mri.quality.deep_quality import check_deep_quality, prepare_slices

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"

#: Our names of the networks, and ClinicaDL's with its files of weights.
NETWORKS = {"resnet18": ("deep_qc", "resnet18.pth.tar"), "squeezenet1_1": ("sq101", "sq101_darq.pth")}

#: The study's grid, a coarse one, and one that has to be scaled down.
SHAPES = {"sub-fine": (193, 229, 193), "sub-coarse": (49, 58, 49), "sub-large": (301, 270, 40)}


def random_head(shape, seed):
    """A blob with smooth texture: its slices differ, and so do the networks' answers."""
    generator = numpy.random.default_rng(seed)
    ticks = numpy.meshgrid(*(numpy.linspace(-1.2, 1.2, length) for length in shape), indexing="ij")
    inside = sum(tick**2 for tick in ticks) < 1
    texture = ndimage.zoom(generator.random([max(2, n // 8) for n in shape]), 8, order=1)
    texture = numpy.pad(texture, [(0, max(0, n - m)) for n, m in zip(shape, texture.shape, strict=True)])
    return (inside * (0.3 + texture[tuple(map(slice, shape))]) * 900).astype(numpy.float32)


def random_weights(network, seed):
    """Random weights that give answers between 0 and 1, not at their ends: the layers are normalized."""
    torch.manual_seed(seed)
    module = build_network(network)
    heads = [random_head((60, 70, 60), seed) for seed in range(4)]
    slices = torch.from_numpy(numpy.stack([prepare_slices(head) for head in heads]))
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the statistics of these slices, exactly
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    with torch.no_grad():
        module.train()(slices)
        last = [layer for layer in module.eval().modules() if isinstance(layer, torch.nn.Conv2d)][-1]
        last.bias.fill_(10.0)  # far from the bend of the activation that follows in one of the networks
        answers = module(slices) - last.bias
        scale = 0.5 / answers.std(dim=0).mean()
        last.weight *= scale
        last.bias.copy_(5 - scale * answers.mean(dim=0))
    return module.state_dict()


@pytest.fixture(scope="module")
def run_clinicadl(run_peer):
    """Run ClinicaDL's check on the images of a folder."""

    def run(folder, output, *networks):
        (folder / output).mkdir()
        run_peer(
            "clinicadl_quality.py", folder / "caps", folder / output, *networks, HOME=str(folder / "home")
        )

    return run


@pytest.fixture(scope="module")
def compared(tmp_path_factory, run_clinicadl):
    """The paths of images and weights, and the folder with ClinicaDL's results on them."""
    folder = tmp_path_factory.mktemp("clinicadl")
    images = {}
    for seed, (name, shape) in enumerate(SHAPES.items()):
        images[name] = nibabel.Nifti1Image(random_head(shape, seed), numpy.eye(4))
    template = SHARED / "real" / "mni152_2009_wholehead_1mm.nii.gz"
    if template.is_file():
        images["sub-real"] = nibabel.load(template)
    paths = {}
    for name, image in images.items():
        anat = folder / "caps" / "subjects" / name / "ses-M000" / "t1_linear"
        anat.mkdir(parents=True)
        image_id = f"{name}_ses-M000"
        paths[image_id] = anat / f"{image_id}_space-MNI152NLin2009cSym_res-1x1x1_T1w.nii.gz"
        nibabel.save(image, paths[image_id])
    weights = {}
    models = folder / "home" / ".cache" / "clinicadl" / "models"
    models.mkdir(parents=True)
    for seed, (network, (_, file)) in enumerate(NETWORKS.items()):
        weights[network] = models / file
        torch.save(random_weights(network, seed), weights[network])
    run_clinicadl(folder, "random", *(name for name, _ in NETWORKS.values()))
    return paths, weights, folder


def both_probabilities(paths, weights, network, table):
    """Our probabilities and ClinicaDL's, by image."""
    images = derivative_table([str(path) for path in paths.values()]).rename(columns={"path": "registered"})
    ours = check_deep_quality(images, weights, network=network, batch_size=3, device="cpu")
    theirs = pandas.read_csv(table, sep="\t")
    theirs["image_id"] = theirs["participant_id"] + "_" + theirs["session_id"]
    merged = ours.merge(theirs, on="image_id", suffixes=("", "_clinicadl"), validate="one_to_one")
    assert len(merged) == len(paths)
    assert (merged["status"] == "passed").tolist() == merged["pass"].tolist()
    return merged["pass_probability"].to_numpy(), merged["pass_probability_clinicadl"].to_numpy()


def test_the_slices_are_clinicadls(compared):
    paths, _, folder = compared
    with numpy.load(folder / "random" / "slices.npz") as theirs:
        assert sorted(theirs) == sorted(paths)
        for image_id, path in paths.items():
            ours = prepare_slices(read_image(path)[0])
            assert ours.std() > 0.05
            numpy.testing.assert_allclose(ours, theirs[image_id], rtol=0, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_random_weights_give_clinicadls_probabilities(compared, network):
    paths, weights, folder = compared
    ours, theirs = both_probabilities(
        paths, weights[network], network, folder / "random" / f"{NETWORKS[network][0]}.tsv"
    )
    assert numpy.ptp(theirs) > 0.05
    numpy.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_the_real_squeezenet_gives_clinicadls_probabilities(compared, run_clinicadl):
    paths, weights, folder = compared
    real = SHARED / "deepqc" / "squeezenet1_1.safetensors"
    if not real.is_file():
        pytest.skip(f"the real weights are not on this machine ({real})")
    torch.save(load_file(real), weights["squeezenet1_1"])
    run_clinicadl(folder, "real", "sq101")
    ours, theirs = both_probabilities(paths, real, "squeezenet1_1", folder / "real" / "sq101.tsv")
    assert numpy.ptp(theirs) > 0.05
    numpy.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
