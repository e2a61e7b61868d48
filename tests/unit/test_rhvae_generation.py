import json
import math
from functools import partial

import numpy
import pytest
import torch
from safetensors.numpy import load_file

from rhvae_mri.generators.contract import DECODED, decode_each
from rhvae_mri.generators.interface import save_codes
from rhvae_mri.generators.rhvae.generator import RHVAEGenerator
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.sampler import (
    chain_summary,
    chain_table,
    effective_sample_size,
    sample_latent,
    scale_reduction,
)
from rhvae_mri.generators.rhvae.settings import RHVAESettings, SamplerSettings
from rhvae_mri.io.files import write_json
from rhvae_mri.io.tensor_files import ImageStack, write_image_stack

SHAPE = (9, 7, 8)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model():
    settings = RHVAESettings(
        latent_dimension=3, encoder_layers=(8,), decoder_layers=(20,), metric_layers=(4,)
    )
    model = RHVAE(settings, SHAPE, generator=torch.Generator().manual_seed(4))
    model.fit_metric(torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(5)))
    return model.requires_grad_(False).eval()


def random_metric(dtype=torch.float64, d=4, n=15):
    generator = torch.Generator().manual_seed(7)
    centroids = torch.randn(n, d, generator=generator, dtype=dtype)
    factors = torch.randn(n, d, d, generator=generator, dtype=dtype).tril()
    return LatentMetric(centroids, factors @ factors.mT, 1.2, 1e-2)


def autoregressive(coefficient, n_chains, length=4000):
    noise = torch.randn(length, n_chains, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states = [noise[0] / math.sqrt(1 - coefficient**2)]
    for draw in noise[1:]:
        states.append(coefficient * states[-1] + draw)
    return torch.stack(states)


@pytest.mark.parametrize("coefficient", [0.0, 0.6, 0.9])
def test_the_effective_size_of_an_autoregression_is_the_known_one(coefficient):
    sizes = effective_sample_size(autoregressive(coefficient, 40))
    expected = 4000 * (1 - coefficient) / (1 + coefficient)
    assert sizes.shape == (40,)
    assert sizes.mean().item() == pytest.approx(expected, rel=0.1)


def test_alternating_chains_are_worth_more_and_still_ones_a_single_draw():
    assert effective_sample_size(autoregressive(-0.5, 20)).mean() > 4000
    still = torch.full((50, 3), 0.1)
    assert effective_sample_size(still).tolist() == [1.0, 1.0, 1.0]
    assert effective_sample_size(torch.zeros(1, 2)).tolist() == [1.0, 1.0]


def test_the_scale_reduction_finds_chains_that_stay_apart():
    draws = torch.randn(500, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    together = scale_reduction(draws.mean(0), draws.var(0), 500)
    apart = scale_reduction(draws.mean(0) + 3.0 * torch.arange(30), draws.var(0), 500)
    assert together.item() == pytest.approx(1, abs=0.01)
    assert apart.item() == pytest.approx((9 * torch.arange(30.0).var().item() + 1) ** 0.5, rel=0.02)
    assert scale_reduction(draws.mean(0)[:1], draws.var(0)[:1], 500).isnan()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_a_chain_depends_on_the_batch_size_by_rounding_only(dtype, tolerance):
    metric, settings = random_metric(dtype), SamplerSettings(steps=10, leapfrog_steps=4, step_size=0.1)
    one = sample_latent(metric, 30, seed=9, settings=settings, batch_size=30)
    for batch_size in (7, 64):
        other = sample_latent(metric, 30, seed=9, settings=settings, batch_size=batch_size)
        torch.testing.assert_close(other.positions, one.positions, rtol=0, atol=tolerance)
        assert torch.equal(other.acceptance, one.acceptance)
        torch.testing.assert_close(other.effective_size, one.effective_size, rtol=1e-2, atol=1e-2)


def test_the_report_of_the_chains_gives_acceptance_by_chain_and_step(tmp_path):
    settings = SamplerSettings(steps=40, leapfrog_steps=4, step_size=0.4)
    sample = sample_latent(random_metric(), 25, seed=3, settings=settings, batch_size=10)
    assert 0.1 < sample.acceptance.mean() < 1
    assert sample.step_acceptance.shape == (40,)
    assert sample.step_acceptance.mean().item() == pytest.approx(sample.acceptance.mean().item())
    assert sample.effective_size.shape == (25, 5)
    assert ((sample.effective_size >= 1) & (sample.effective_size <= 40 * math.log10(40) + 1e-9)).all()
    table = chain_table(sample, [f"synthetic-{number}" for number in range(25)])
    assert table.columns.tolist() == [
        "image_id",
        "acceptance_rate",
        "effective_size_log_density",
        "effective_size_lowest",
    ]
    lowest = sample.effective_size[:, 1:].min(1)[0]
    assert table["effective_size_lowest"].tolist() == pytest.approx(lowest.tolist(), abs=1e-3)
    write_json(tmp_path / "chains.json", chain_summary(sample, settings))
    summary = json.loads((tmp_path / "chains.json").read_text())
    assert (summary["chains"], summary["steps"], len(summary["acceptance"]["by_step"])) == (25, 40, 40)
    assert summary["scale_reduction"].keys() == {"log_density", *(f"latent_{axis}" for axis in range(4))}


@pytest.mark.parametrize("settings", [SamplerSettings(steps=0), SamplerSettings(steps=2, step_size=1e3)])
def test_chains_without_movement_are_reported_without_a_scale_reduction(settings, tmp_path):
    sample = sample_latent(random_metric(), 4, seed=1, settings=settings, batch_size=4)
    summary = chain_summary(sample, settings)
    assert set(summary["scale_reduction"].values()) == {None}
    assert summary["acceptance"]["mean"] == 0
    write_json(tmp_path / "chains.json", summary)  # JSON has no NaN


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 2.0**-12)])
def test_images_are_read_back_as_they_were_decoded_whatever_the_number_of_them(
    model, tmp_path, dtype, tolerance
):
    n = 2 * DECODED + 5
    codes = torch.randn(n, 3, generator=torch.Generator().manual_seed(6))
    decode = partial(decode_each, "rhvae", RHVAEGenerator(model), image_shape=SHAPE)
    names = [f"synthetic-{number}" for number in range(n)]
    path = tmp_path / "images.safetensors"
    write_image_stack(path, names, decode(codes.numpy(), dtype=dtype), SHAPE, dtype)
    with ImageStack(path) as stack:
        stored = stack.as_array()
    assert stored.dtype == dtype
    decoded = numpy.stack(list(decode(codes.numpy())))
    assert abs(stored - decoded).max() <= tolerance
    numpy.testing.assert_allclose(decoded, model.decode(codes).numpy(), atol=1e-6)
    for fewer in (1, DECODED, DECODED + 1):
        numpy.testing.assert_array_equal(list(decode(codes[:fewer].numpy())), decoded[:fewer])
    assert list(decode(codes[:0].numpy())) == []


def test_codes_are_stored_as_they_are(tmp_path):
    codes = numpy.random.default_rng(6).random((4, 3), dtype=numpy.float32)
    save_codes(tmp_path / "codes.safetensors", codes)
    assert numpy.array_equal(load_file(tmp_path / "codes.safetensors")["codes"], codes)
