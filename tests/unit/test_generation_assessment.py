import math

import numpy
import pandas
import pytest
import torch
from torch import nn

from rhvae_mri.generators.assessment import diversity, neighbours
from rhvae_mri.generators.assessment.diversity import C1, C2, ms_ssim, pair_similarity
from rhvae_mri.generators.assessment.flags import list_flags
from rhvae_mri.generators.assessment.measures import COLUMNS, MeasureSettings, measure_generation
from rhvae_mri.generators.assessment.neighbours import nearest_images, within_manifold
from rhvae_mri.generators.assessment.pictures import save_pictures
from rhvae_mri.generators.copies import ClassMean
from rhvae_mri.generators.rhvae.generator import RHVAEGenerator
from rhvae_mri.generators.rhvae.geodesics import geodesic, straight_line
from rhvae_mri.generators.rhvae.importance import estimate_likelihood
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.networks import Networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.tensor_files import ImageStack

SHAPE = (10, 6, 5)


class LinearDecoder(nn.Module):
    """Logits whose sigmoid is offset + weights z."""

    def __init__(self, weights, offset):
        super().__init__()
        self.weights, self.offset = nn.Parameter(weights), nn.Parameter(offset)

    def forward(self, positions):
        return torch.logit(self.offset + positions @ self.weights.T)


class FixedEncoder(nn.Module):
    """The same normal distribution for every image."""

    def __init__(self, mean, log_variance):
        super().__init__()
        self.mean, self.log_variance = nn.Parameter(mean), nn.Parameter(log_variance)

    def forward(self, images):
        return self.mean.expand(len(images), -1), self.log_variance.expand(len(images), -1)


class FixedMetric(nn.Module):
    def forward(self, images):
        return torch.eye(2, dtype=images.dtype).expand(len(images), 2, 2)


def linear_gaussian(**settings):
    """An RHVAE with a linear decoder, an encoder that is wrong, and a metric that is far from flat."""
    generator = torch.Generator().manual_seed(3)
    weights = 0.12 * torch.rand(math.prod(SHAPE), 2, generator=generator, dtype=torch.float64) - 0.06
    offset = torch.full((math.prod(SHAPE),), 0.5, dtype=torch.float64)
    mean, log_variance = torch.tensor([[0.2, -0.3], [0.1, -0.2]], dtype=torch.float64)
    networks = Networks(FixedEncoder(mean, log_variance), LinearDecoder(weights, offset), FixedMetric())
    chosen = {"leapfrog_step_size": 0.1, "reconstruction": "mse", "temperature": 1.2, "regularization": 0.3}
    model = RHVAE(RHVAESettings(latent_dimension=2, **chosen | settings), SHAPE, networks).double().eval()
    model.centroids = torch.tensor([[0.0, 0.0], [0.9, -0.4], [-0.8, 0.3]], dtype=torch.float64)
    factors = torch.tensor([[[1.0, 0], [0.4, 0.6]], [[0.7, 0], [-0.5, 0.8]], [[0.9, 0], [0.1, 1.1]]]).double()
    model.matrices = factors @ factors.mT
    return model.requires_grad_(False), weights, offset


def exact_log_likelihood(images, weights, offset):
    covariance = torch.eye(len(offset), dtype=torch.float64) + weights @ weights.T
    normal = torch.distributions.MultivariateNormal(offset, covariance)
    return normal.log_prob(images.flatten(1))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"leapfrog_steps": 6, "sqrt_beta_zero": 0.6},
        {"leapfrog_steps": 0},
        {"integrator": "generalized"},
        {"fixed_point_tolerance": 1e-12, "leapfrog_step_size": 0.03},
    ],
)
def test_importance_sampling_finds_the_likelihood_of_a_linear_gaussian_model(settings):
    model, weights, offset = linear_gaussian(**settings)
    generator = torch.Generator().manual_seed(8)
    codes = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, len(offset), generator=generator, dtype=torch.float64)
    images = (offset + codes @ weights.T + noise).view(2, *SHAPE)
    n_draws = 6000
    estimate = estimate_likelihood(model, images, n_draws=n_draws, seed=1, batch_size=3000)
    exact = exact_log_likelihood(images, weights, offset)
    # Standard error of the log of the mean weight, from the effective number of draws.
    error = (1 / estimate.effective_draws - 1 / n_draws).sqrt()
    assert (error < 0.06).all()
    # 0.01 for the fixed-point iterations, at steps that are a hundred times longer than the study's.
    assert ((estimate.log_likelihood - exact).abs() < 3 * error + 0.01).all()
    assert (estimate.elbo < exact).all()
    solved = "fixed_point_tolerance" in settings or settings.get("leapfrog_steps") == 0
    assert ((estimate.volume_error < 1e-8) if solved else (estimate.volume_error > 1e-4)).all()
    assert model.settings.integrator == settings.get("integrator", "published")


def test_an_image_is_encoded_once_and_has_the_same_likelihood_whatever_the_batch_and_the_other_images():
    model, _, _ = linear_gaussian()
    rows = []
    model.encoder.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    images = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    together = estimate_likelihood(model, images, n_draws=20, seed=5, batch_size=20)
    assert rows == [1, 1, 1]
    alone = estimate_likelihood(model, images[:1], n_draws=20, seed=5, batch_size=7)
    assert alone.log_likelihood[0].item() == pytest.approx(together.log_likelihood[0].item(), rel=1e-12)


def naive_ssim_terms(one, other, size):
    """Luminance, and contrast times structure, at every place of a window, straight from the definitions."""
    places = numpy.arange(size) - size // 2
    line = numpy.exp(-(places**2) / (2 * 1.5**2))
    window = numpy.einsum("i,j,k->ijk", line, line, line)
    window /= window.sum()
    terms = []
    for corner in numpy.ndindex(*(length - size + 1 for length in one.shape)):
        cut = tuple(slice(start, start + size) for start in corner)
        a, b = one[cut].astype(float), other[cut].astype(float)
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        variance_a, variance_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        covariance = (window * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
        terms.append((luminance, (2 * covariance + C2) / (variance_a + variance_b + C2)))
    return numpy.array(terms)


def noisy_pair(shape, seed=0):
    random = numpy.random.default_rng(seed)
    one = random.random(shape, dtype=numpy.float32)
    return one, (one + 0.3 * random.standard_normal(shape, dtype=numpy.float32)).clip(0, 1)


@pytest.mark.parametrize(("shape", "size"), [((13, 11, 12), 11), ((6, 9, 7), 5)])
def test_one_scale_of_ms_ssim_is_the_structural_similarity(shape, size):
    one, other = noisy_pair(shape)
    terms = naive_ssim_terms(one, other, size)
    assert ms_ssim(one, other) == pytest.approx(terms.prod(axis=1).mean(), rel=1e-4)


def test_two_scales_of_ms_ssim_combine_the_terms_with_rescaled_exponents():
    one, other = noisy_pair((23, 22, 24))
    halves = [v[:22, :22, :24].reshape(11, 2, 11, 2, 12, 2).mean(axis=(1, 3, 5)) for v in (one, other)]
    fine = naive_ssim_terms(one, other, 11)[:, 1].mean()
    coarse = naive_ssim_terms(*halves, 11).prod(axis=1).mean()
    first, second = numpy.array(diversity.SCALE_WEIGHTS[:2]) / sum(diversity.SCALE_WEIGHTS[:2])
    assert ms_ssim(one, other) == pytest.approx(fine**first * coarse**second, rel=1e-4)


def test_identical_volumes_have_an_ms_ssim_of_one_and_constant_ones_that_of_their_luminance():
    one, other = noisy_pair((25, 24, 23))
    assert ms_ssim(one, one) == pytest.approx(1, abs=1e-6)
    assert ms_ssim(one, other) == pytest.approx(ms_ssim(other, one), abs=1e-6)
    assert ms_ssim(one, other) < 0.8
    dark, bright = numpy.full((12, 12, 12), 0.2), numpy.full((12, 12, 12), 0.8)
    assert ms_ssim(dark, bright) == pytest.approx((2 * 0.16 + C1) / (0.04 + 0.64 + C1), rel=1e-6)
    shapes = ((84, 104, 89), (21, 26, 22), (176, 180, 200))
    assert [diversity.n_scales(shape) for shape in shapes] == [3, 1, 5]


def test_sets_of_like_images_are_less_diverse():
    random = numpy.random.default_rng(1)
    base = random.random((12, 12, 12), dtype=numpy.float32)
    like = numpy.stack([base + 0.02 * random.random(base.shape) for _ in range(5)])
    unlike = random.random((5, 12, 12, 12))
    pairs, values = pair_similarity(like, 100, seed=0)
    assert sorted(map(tuple, pairs)) == [(i, j) for i in range(5) for j in range(i + 1, 5)]
    assert values.min() > 0.95 > 0.2 > pair_similarity(unlike, 4, seed=0)[1].max()


def test_nearest_images_are_those_of_a_direct_search():
    random = numpy.random.default_rng(4)
    # A large common part, in which the squares of the distances would drown.
    among = (100 + random.random((30, 4, 5, 6))).astype(numpy.float32)
    images = numpy.concatenate([among[[7, 22]], (100 + random.random((70, 4, 5, 6))).astype(numpy.float32)])
    indices, distances = nearest_images(images, among, k=3)
    differences = images[:, None].astype(float) - among[None]
    direct = numpy.sqrt((differences**2).mean(axis=(2, 3, 4)))
    numpy.testing.assert_array_equal(indices, direct.argsort(axis=1)[:, :3])
    numpy.testing.assert_allclose(distances, numpy.sort(direct, axis=1)[:, :3], atol=1e-6)
    assert (indices[0, 0], distances[0, 0], indices[1, 0], distances[1, 0]) == (7, 0, 22, 0)
    assert nearest_images(images, among[:2], k=9)[0].shape == (72, 2)


def test_features_are_means_of_cubes():
    images = numpy.arange(2 * 25 * 7 * 13, dtype=numpy.float32).reshape(2, 25, 7, 13)
    features = neighbours.block_means(images).reshape(2, 8, 2, 4)
    assert features[1, 3, 1, 2] == pytest.approx(images[1, 9:12, 3:6, 6:9].mean(), rel=1e-6)


def test_precision_falls_with_unreal_images_and_recall_with_missing_modes():
    random = numpy.random.default_rng(2)
    real = numpy.concatenate([random.normal(0, 1, (60, 2)), random.normal(30, 1, (40, 2))])
    one_mode = random.normal(0, 1, (100, 2))
    precision, recall = within_manifold(one_mode, real), within_manifold(real, one_mode)
    assert precision.mean() > 0.85
    assert recall[:60].mean() > 0.85
    assert recall[60:].mean() == 0
    astray = numpy.concatenate([real[:50] + 1e-9, random.normal(-200, 1, (50, 2))])
    precision = within_manifold(astray, real)
    assert (precision[:50].mean(), precision[50:].mean()) == (1, 0)


def test_the_geodesic_of_a_flat_metric_is_the_straight_line():
    centroids = torch.zeros(2, 3, dtype=torch.float64)
    metric = LatentMetric(centroids, torch.zeros(2, 3, 3, dtype=torch.float64), 1.0, 0.25)
    start, end = torch.tensor([[1.0, 0, 0], [0, 2.0, 2.0]], dtype=torch.float64)
    path = geodesic(metric, start, end)
    assert path.length == pytest.approx(3 / math.sqrt(0.25), rel=1e-9)
    assert path.points.shape == (61, 3)


def test_a_geodesic_bends_towards_the_centroid_and_keeps_its_angular_momentum():
    # G^-1 = (exp(-r^2 / T^2) + lambda) I is round, so Clairaut's relation holds along a geodesic.
    metric = LatentMetric(torch.zeros(1, 2).double(), torch.eye(2).double()[None], 1.0, 0.05)
    start, end = torch.tensor([[-1.2, 0.6], [1.2, 0.6]], dtype=torch.float64)
    straight, path = straight_line(metric, start, end, 120), geodesic(metric, start, end, n_segments=120)
    assert path.length < 0.97 * straight.length
    assert path.points[60, 1] < 0.4
    steps, middles = path.points.diff(dim=0), (path.points[1:] + path.points[:-1]) / 2
    scale = metric.at(middles).metric[:, 0, 0]
    moment = middles[:, 0] * steps[:, 1] - middles[:, 1] * steps[:, 0]
    clairaut = scale.sqrt() * moment / steps.norm(dim=1)
    assert ((clairaut / clairaut.mean() - 1).abs() < 0.01).all()
    lengths = scale.sqrt() * steps.norm(dim=1)
    assert ((lengths / lengths.mean() - 1).abs() < 0.01).all()


def test_a_geodesic_follows_the_centroids_round_a_gap():
    angles = torch.linspace(0, math.pi, 15, dtype=torch.float64)
    arc = 3 * torch.stack([angles.cos(), angles.sin()], dim=1)
    matrices = torch.eye(2, dtype=torch.float64).expand(15, 2, 2)
    metric = LatentMetric(arc, matrices, 0.5, 1e-3)
    straight, path = straight_line(metric, arc[0], arc[-1]), geodesic(metric, arc[0], arc[-1])
    assert path.length < 0.25 * straight.length
    assert path.points.norm(dim=1).min() > 2.5
    assert torch.equal(path.points[[0, -1]], arc[[0, -1]])


@pytest.fixture(scope="module")
def small_study():
    """A model of noisy images, with training, held-out and synthetic images."""
    random = numpy.random.default_rng(5)
    base = random.random((12, 11, 12))
    images = (0.6 * base + 0.4 * random.random((26, 12, 11, 12))).astype(numpy.float32)
    settings = RHVAESettings(latent_dimension=3, encoder_layers=(8,), decoder_layers=(8,), metric_layers=(4,))
    model = RHVAE(settings, images.shape[1:], generator=torch.Generator().manual_seed(1))
    model.fit_metric(torch.from_numpy(images[:16]))
    return model.requires_grad_(False).eval(), images[:16], images[16:21], images[21:]


def measure(model, *sets):
    quick = MeasureSettings(n_pairs=10, n_resamples=50)
    return measure_generation(RHVAEGenerator(model), *sets, seed=1, settings=quick)


def values(table, measure):
    return table[table["measure"] == measure].set_index("images")["value"]


def test_the_table_has_every_measure_with_its_uncertainty(small_study):
    model, training, held_out, synthetic = small_study
    table = measure(model, training, held_out, synthetic)
    assert table.columns.tolist() == list(COLUMNS)
    assert set(table["measure"]) == {
        *("reconstruction_mse", "unexplained_variance", "elbo", "log_likelihood", "precision", "recall"),
        *("effective_importance_samples", "nearest_training_distance", "distance_ratio", "copied_share"),
        *("ms_ssim", "variance_ratio", "flow_volume_error"),
    }
    assert not table.duplicated(["measure", "images"]).any()
    assert numpy.isfinite(table[["value", "uncertainty"]]).all(axis=None)
    again = measure(model, training, held_out, synthetic)
    assert again.equals(table)
    with torch.no_grad():
        decoded = model.decode(model.encoder(torch.from_numpy(held_out))[0]).numpy()
    errors = ((decoded - held_out) ** 2).mean(axis=(1, 2, 3))
    row = table[(table["measure"] == "reconstruction_mse") & (table["images"] == "held-out")].iloc[0]
    assert row["n"] == 5
    assert row["value"] == pytest.approx(errors.mean(), rel=1e-5)
    assert row["uncertainty"] == pytest.approx(errors.std() / 5**0.5, rel=0.4)


def test_copies_of_training_images_are_found(small_study):
    model, training, held_out, synthetic = small_study
    honest = measure(model, training, held_out, synthetic)
    copies = training[:5] + numpy.float32(1e-3)
    copied = measure(model, training, held_out, copies)
    assert values(honest, "copied_share")["synthetic"] == 0
    assert values(copied, "copied_share")[["synthetic", "held-out"]].tolist() == [1, 0]
    assert values(honest, "distance_ratio")["synthetic to held-out"] == pytest.approx(1, abs=0.05)
    assert values(copied, "distance_ratio")["synthetic to held-out"] < 0.05
    # A share of 0 or 1 is not certain.
    shares = copied[copied["measure"] == "copied_share"]
    assert (shares["uncertainty"] > 0.05).all()


def test_a_collapsed_model_shows_in_recall_and_diversity(small_study):
    model, training, held_out, _ = small_study
    collapsed = numpy.repeat(training.mean(axis=0, keepdims=True), 6, axis=0)
    table = measure(model, training, held_out, collapsed)
    assert values(table, "recall")["synthetic"] == 0
    assert values(table, "variance_ratio")["synthetic"] == pytest.approx(0, abs=1e-9)
    named = table.assign(generator="rhvae", training_set="train-50", replicate=0, diagnosis="AD")
    (flags,) = list_flags(named)["flags"]
    assert flags.split("; ")[-2:] == [
        "AD: covers none of its training images",
        "AD: its images vary 0 % as much as real ones",
    ]
    assert values(table, "ms_ssim")["synthetic"] == pytest.approx(1, abs=1e-6)
    assert values(table, "ms_ssim")["training"] < 0.95


def test_a_single_held_out_image_has_values_without_uncertainty(small_study):
    model, training, held_out, synthetic = small_study
    table = measure(model, training, held_out[:1], synthetic)
    row = table[(table["measure"] == "elbo") & (table["images"] == "held-out")].iloc[0]
    assert numpy.isfinite(row["value"])
    assert numpy.isnan(row["uncertainty"])
    assert "held-out" not in values(table, "ms_ssim")


def test_the_pictures_hold_decoded_and_real_images_with_their_places(small_study, tmp_path):
    model, training, _, synthetic = small_study
    stack, table = tmp_path / "pictures.safetensors", tmp_path / "pictures.tsv"
    training_ids = [f"sub-{number}" for number in range(len(training))]
    synthetic_ids = [f"synthetic-{number}" for number in range(len(synthetic))]
    save_pictures(stack, table, RHVAEGenerator(model), training, training_ids, synthetic, synthetic_ids)
    rows = read_tsv(table)
    with ImageStack(stack) as images:
        volumes = {key: images.read(key) for key in images.keys}
    assert list(volumes) == rows["key"].tolist()
    traversal = rows[rows["picture"] == "traversal"]
    assert traversal["row"].unique().tolist() == ["axis 1", "axis 2", "axis 3"]
    assert traversal["share"].unique().sum() == pytest.approx(1, abs=1e-4)
    means = model.centroids
    middle = traversal[(traversal["row"] == "axis 2") & (traversal["position"] == 0)]["key"].item()
    centre = model.decode(means.mean(0, keepdim=True))[0].numpy()
    numpy.testing.assert_allclose(volumes[middle], centre, atol=1e-5)
    interpolation = rows[rows["picture"] == "interpolation"]
    lengths = interpolation.groupby("row")["length"].first()
    assert 0 < lengths["geodesic"] <= lengths["straight line"]
    ends = interpolation[interpolation["column"] == 0]
    start = training_ids.index(ends["image_id"].iloc[0])
    first = model.decode(means[start : start + 1])[0].numpy()
    for key in ends["key"]:
        numpy.testing.assert_allclose(volumes[key], first, atol=1e-5)
    neighbours = rows[rows["picture"] == "neighbours"]
    for _, of_row in neighbours.groupby("row", sort=False):
        shown = synthetic[synthetic_ids.index(of_row["image_id"].iloc[0])]
        for _, one in of_row.iloc[1:].iterrows():
            real = training[training_ids.index(one["image_id"])]
            numpy.testing.assert_array_equal(volumes[one["key"]], real)
            rms = numpy.sqrt(((shown - real) ** 2).mean())
            assert one["distance"] == pytest.approx(rms, abs=1e-5)
    nearest = neighbours[neighbours["column"] == 1].set_index("row")["distance"]
    assert nearest["closest"] <= nearest["typical"] <= nearest["farthest"]


def test_every_synthetic_image_has_its_nearest_real_one_listed():
    random = numpy.random.default_rng(3)
    training = random.random((6, 4, 4, 4), dtype=numpy.float32)
    training[5] = training[2]  # a real image that was packed twice
    synthetic = numpy.stack([training[4] + numpy.float32(0.01), training[2]])
    table = neighbours.neighbour_table(synthetic, ["s0", "s1"], training, [f"r{n}" for n in range(6)])
    assert tuple(table.columns) == neighbours.TABLE_COLUMNS
    first, second = table.itertuples(index=False)
    assert (first.image_id, first.nearest_real) == ("s0", "r4")
    assert first.distance == pytest.approx(0.01, rel=1e-4)
    others = [numpy.sqrt(numpy.mean((training[4] - training[n]) ** 2)) for n in (0, 1, 2, 3, 5)]
    assert first.real_distance == pytest.approx(min(others), rel=1e-5)
    assert first.real_neighbour == f"r{(0, 1, 2, 3, 5)[int(numpy.argmin(others))]}"
    assert second.distance == second.real_distance == 0
    assert {second.nearest_real, second.real_neighbour} == {"r2", "r5"}


def test_what_a_generator_has_no_method_for_is_left_out_with_the_reason(small_study, tmp_path):
    _, training, held_out, synthetic = small_study
    mean = ClassMean.fit(training, seed=1)
    settings = MeasureSettings(n_pairs=10, n_resamples=50)
    table = measure_generation(mean, training, held_out, synthetic, seed=1, settings=settings)
    missing = table[table["value"].isna()].set_index("measure")
    assert missing["n"].to_dict() == {"unexplained_variance": 0, "log_likelihood": 0}
    assert missing["detail"].str.startswith("left out where a generator has none: it needs a").all()
    assert not set(table["measure"]) & {"reconstruction_mse", "elbo"}
    assert values(table, "distance_ratio").index.tolist() == ["synthetic to held-out"]
    ids = [
        [f"{kind}-{n}" for n in range(len(images))] for kind, images in (("a", training), ("b", synthetic))
    ]
    stack, pictures = tmp_path / "pictures.safetensors", tmp_path / "pictures.tsv"
    save_pictures(stack, pictures, mean, training, ids[0], synthetic, ids[1])
    assert set(read_tsv(pictures)["picture"]) == {"neighbours"}


@pytest.mark.parametrize(
    ("measure", "images", "value", "is_flagged"),
    [
        ("unexplained_variance", "training", 0.95, True),
        ("unexplained_variance", "training", 0.949, False),
        ("unexplained_variance", "held-out", 1.2, False),
        ("recall", "synthetic", 0.0, True),
        ("recall", "synthetic", 0.01, False),
        ("variance_ratio", "synthetic", 0.19, True),
        ("variance_ratio", "synthetic", 0.2, False),
        ("unexplained_variance", "held-out", float("nan"), False),
    ],
)
def test_a_measure_has_a_flag_beyond_its_limit_alone(measure, images, value, is_flagged):
    rows = [("vae", "train-50", n, name, measure, images, value) for n, name in ((0, "AD"), (2, "CN"))]
    columns = ["generator", "training_set", "replicate", "diagnosis", "measure", "images", "value"]
    table = pandas.DataFrame(rows, columns=columns)
    found = list_flags(table)
    assert list(found.columns) == ["generator", "training_set", "flags"]
    assert len(found) == is_flagged
    if is_flagged:
        assert found["flags"][0].count("AD: ") == found["flags"][0].count("CN, replicate 2: ") == 1


def test_the_variance_ratio_is_that_of_the_voxels_around_the_mean_image(small_study):
    model, training, held_out, synthetic = small_study
    table = measure(model, training, held_out, synthetic)
    expected = synthetic.var(axis=0).mean() / training.var(axis=0).mean()
    assert values(table, "variance_ratio")["synthetic"] == pytest.approx(expected, rel=1e-4)
