import json
import os
import signal

import numpy
import pytest
import torch
from plain_cnn import plain_network
from torch.nn import functional

from rhvae_mri.cnn import kernels, training
from rhvae_mri.cnn.architectures import Architecture, build_network, read_architectures
from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.cnn.prediction import predict
from rhvae_mri.cnn.training import (
    TrainingSettings,
    split_batches,
    train_network,
    train_networks,
    training_metrics,
)
from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.interrupts import TrainingInterrupted
from rhvae_mri.study.seeds import derive_seed

SHAPE = (9, 8, 7)
CPU = torch.device("cpu")
SMALL = Architecture(blocks=((4,), (6, 6)), activation="leaky_relu", dropout=0.3, hidden_features=(5,))
EIGHTS = Architecture(blocks=((8,), (16,)), activation="relu", dropout=0.3, hidden_features=())


@pytest.fixture(scope="module")
def architectures(root):
    return read_architectures(root / "resources" / "architectures.json")


def image_set(n, seed=0, shape=SHAPE, effect=0.5):
    """Noise, with a brighter corner in every second image, which is of class 1."""
    images = numpy.random.default_rng(seed).random((n, *shape), dtype=numpy.float32) * (1 - effect)
    images[1::2, :4, :4, :4] += effect
    return ImageSet([ImagePart(images, range(n))], numpy.arange(n) % 2)


@pytest.fixture(scope="module")
def sets():
    return image_set(10), image_set(6, seed=1)


def run(sets, settings, architecture=SMALL, seed=7, **options):
    return train_network(architecture, *sets, settings, seed=seed, device=CPU, **options)


def same_weights(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


def recall(outputs, labels, label):
    return (outputs[labels == label].argmax(1) == label).double().mean().item()


def without_bias(weights):
    """Take the bias before each normalisation into its running mean: only their difference has an effect.

    Its gradient is a zero. In the plain network it is the rounding of a zero, which Adam blows up to whole
    steps, so that the biases drift.
    """
    for key in [key for key in weights if key.endswith("running_mean")]:
        part, position, _ = key.split(".")
        weights[key] -= weights.pop(f"{part}.{int(position) - 1}.bias")


@pytest.mark.parametrize("name", ["baseline", "optimized"])
def test_training_equals_a_plain_loop(architectures, monkeypatch, name):
    """In float64, with maps and batches that leave no gradient zero: Adam turns its rounding into steps."""
    shape = {"baseline": (17, 18, 19), "optimized": (36, 34, 37)}[name]
    build = training.build_network
    monkeypatch.setattr(training, "build_network", lambda *arguments: build(*arguments).double())
    architecture, epochs, batch_size, seed = architectures[name]["downsampled"], 4, 4, 5
    train, validation = image_set(11, shape=shape), image_set(6, seed=1, shape=shape)
    settings = TrainingSettings(epochs, batch_size, learning_rate=1e-3, weight_decay=1e-3)
    trained = run((train, validation), settings, architecture, seed)

    torch.manual_seed(derive_seed(seed, "weights"))
    network = plain_network(architecture, shape).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    order_generator = torch.Generator().manual_seed(derive_seed(seed, "order"))
    images, labels = torch.from_numpy(train.batch(range(11)))[:, None], torch.from_numpy(train.labels)
    images = images.double()
    validation_images = torch.from_numpy(validation.batch(range(6)))[:, None].double()
    validation_labels = torch.from_numpy(validation.labels)
    torch.manual_seed(derive_seed(seed, "dropout"))
    best, best_weights, history = -1.0, None, []
    for _ in range(epochs):
        network.train()
        order = torch.randperm(11, generator=order_generator)
        loss_sum = 0.0
        for start in (0, 4, 8):
            indices = order[start : start + batch_size]
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images[indices]), labels[indices])
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(indices)
        network.eval()
        with torch.no_grad():
            outputs = network(validation_images)
        accuracy = (recall(outputs, validation_labels, 0) + recall(outputs, validation_labels, 1)) / 2
        validation_loss = functional.cross_entropy(outputs, validation_labels).item()
        history.append((loss_sum / 11, validation_loss, accuracy))
        if accuracy > best:
            best, best_weights = accuracy, [value.clone() for value in network.state_dict().values()]

    keys = ("train_loss", "validation_loss", "validation_balanced_accuracy")
    ours = [[row[key] for key in keys] for row in trained.history]
    numpy.testing.assert_allclose(ours, history, rtol=1e-5)
    ours, theirs = trained.weights, dict(zip(trained.weights, best_weights, strict=True))
    for weights in (ours, theirs):
        without_bias(weights)
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-5, atol=1e-8, msg=key)


@pytest.mark.parametrize(
    ("accuracies", "selected"), [([0.5, 0.75, 0.5, 0.75], 2), ([0.5, 0.5], 1), ([0.0, 0.25, 0.5], 3)]
)
def test_the_first_epoch_of_the_highest_balanced_accuracy_is_kept(sets, monkeypatch, accuracies, selected):
    def scripted(network, images, batch_size):
        return {"validation_loss": 1.0, "validation_balanced_accuracy": next(values)}

    monkeypatch.setattr(training, "validate", scripted)
    values = iter(accuracies)
    trained = run(sets, TrainingSettings(len(accuracies), 4))
    assert trained.selected_epoch == selected
    assert [row["epoch"] for row in trained.history] == list(range(1, len(accuracies) + 1))
    assert [row["epoch"] for row in trained.history if row["best"]] == [selected]
    values = iter([0.1 * epoch for epoch in range(selected)])  # a run whose last epoch is the best
    shorter = run(sets, TrainingSettings(selected, 4))
    assert same_weights(trained.weights, shorter.weights)


def test_the_validation_set_is_not_trained_on(sets):
    train, validation = sets
    others = run((train, image_set(4, seed=9)), TrainingSettings(3, 4))
    losses = [row["train_loss"] for row in others.history]
    assert losses == [row["train_loss"] for row in run((train, validation), TrainingSettings(3, 4)).history]


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def die():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("architecture", "end", "error", "seconds", "left"),
    [
        pytest.param(SMALL, ask_to_stop, TrainingInterrupted, 600, [4, 5], id="asked, channels-first"),
        pytest.param(EIGHTS, ask_to_stop, TrainingInterrupted, 600, [4, 5], id="asked, channels-last"),
        pytest.param(SMALL, die, KeyboardInterrupt, 0, [3, 4, 5], id="killed after a checkpoint"),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_result(
    sets, tmp_path, monkeypatch, architecture, end, error, seconds, left
):
    settings, checkpoint = TrainingSettings(5, 4, 1e-3), tmp_path / "checkpoint.safetensors"
    whole, epochs, one_epoch = run(sets, settings, architecture), [], training._next_epoch

    def counted(state, *arguments):
        if len(epochs) == 2:
            epochs.append("end")
            end()
        one_epoch(state, *arguments)
        epochs.append(state.progress["epoch"])

    monkeypatch.setattr(training, "_next_epoch", counted)
    with pytest.raises(error, match="SIGTERM" if seconds else None):
        run(sets, settings, architecture, checkpoint=checkpoint, checkpoint_seconds=seconds)
    torch.manual_seed(99)
    resumed = run(sets, settings, architecture, checkpoint=checkpoint)
    assert epochs[-len(left) :] == left
    assert len(epochs) == 6
    assert resumed.history == whole.history
    assert same_weights(resumed.weights, whole.weights)


def test_a_finished_run_is_not_trained_again_and_other_settings_are(sets, tmp_path, monkeypatch):
    settings, checkpoint = TrainingSettings(2, 4), tmp_path / "checkpoint.safetensors"
    first = run(sets, settings, checkpoint=checkpoint, digest="images")
    one_epoch, epochs = training._next_epoch, []

    def counted(*arguments):
        epochs.append(1)
        one_epoch(*arguments)

    monkeypatch.setattr(training, "_next_epoch", counted)
    again = run(sets, settings, checkpoint=checkpoint, digest="images")
    assert not epochs
    assert (again.history, again.selected_epoch) == (first.history, first.selected_epoch)
    assert same_weights(again.weights, first.weights)
    for changed in ({"digest": "other images"}, {"digest": "images", "seed": 8}):
        epochs.clear()
        run(sets, settings, checkpoint=checkpoint, **changed)
        assert len(epochs) == 2


def test_a_seed_gives_the_same_network_alone_and_among_others(sets, tmp_path):
    settings = TrainingSettings(3, 4, 1e-3)
    together = train_networks(
        SMALL, *sets, settings, seeds={0: 11, 1: 12, 2: 13}, device=CPU, checkpoints=tmp_path / "checkpoints"
    )
    torch.rand(5)
    alone = train_networks(SMALL, *sets, settings, seeds={1: 12}, device=CPU)
    assert same_weights(alone[1].weights, together[1].weights)
    assert alone[1].history == together[1].history
    assert together[0].history != together[1].history
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        f"seed-{number}.safetensors" for number in range(3)
    ]


def test_bfloat16_trains_to_nearly_the_same_losses(sets):
    """Rounded to 8 bits: losses within 2 %, and the weights stay float32."""
    losses, dtypes = [], []
    for precision in ("float32", "bfloat16"):
        trained = run(sets, TrainingSettings(2, 4, 1e-4, precision=precision), EIGHTS)
        losses.append([[row["train_loss"], row["validation_loss"]] for row in trained.history])
        dtypes += [value.dtype for value in trained.weights.values() if value.is_floating_point()]
    numpy.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    assert losses[0] != losses[1]
    assert set(dtypes) == {torch.float32}


def test_the_metrics_of_a_job_say_what_it_cost(sets):
    trained = train_networks(SMALL, *sets, TrainingSettings(2, 4), seeds={0: 11, 3: 12}, device=CPU)
    metrics = json.loads(json.dumps(training_metrics(trained, len(sets[0]), "float32", CPU)))
    assert (metrics["device"], metrics["precision"], metrics["training_images"]) == ("cpu", "float32", 10)
    assert metrics["peak_memory_mb"] > 50
    assert metrics["seeds"].keys() == {"0", "3"}
    for run_metrics in metrics["seeds"].values():
        assert run_metrics["images_per_second"] * run_metrics["seconds_per_epoch"] == pytest.approx(10)
        assert run_metrics["epochs"] == 2


def test_training_leaves_the_global_random_state_alone(sets):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(sets, TrainingSettings(1, 4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("n", "sizes"), [(8, [4, 4]), (10, [4, 4, 2]), (9, [4, 5]), (5, [5]), (3, [3]), (13, [4, 4, 5])]
)
def test_a_single_image_left_over_joins_the_batch_before(n, sizes):
    order = torch.randperm(n)
    batches = split_batches(order, 4)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), order)


def test_a_network_learns_classes_that_differ_clearly(architectures):
    sets = image_set(40, effect=0.8), image_set(20, seed=1, effect=0.8)
    unseen = image_set(40, seed=2, effect=0.8)
    for name in ("baseline", "optimized"):
        trained = run(sets, TrainingSettings(12, 4, 1e-3), architectures[name]["downsampled"])
        probabilities = predict(trained.network(), unseen, batch_size=16, device=CPU)
        assert ((probabilities > 0.5) == unseen.labels).mean() > 0.95


def test_a_diverging_run_names_itself_and_leaves_no_checkpoint(sets, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(training.TrainingDiverged, match="diverged") as caught:
        run(sets, TrainingSettings(5, 4, 1e30), name="seed-4", checkpoint=checkpoint, checkpoint_seconds=0)
    assert "seed-4, epoch 1" in str(caught.value)
    assert "learning_rate" in str(caught.value)
    assert not checkpoint.exists()


def test_wrong_image_sets_are_errors(sets):
    train, validation = sets
    one_class = ImageSet([ImagePart(numpy.zeros((3, *SHAPE), numpy.float32), range(3))], [1, 1, 1])
    with pytest.raises(StudyError, match="training set has no image of the class 0"):
        run((one_class, validation), TrainingSettings(1, 4))
    with pytest.raises(StudyError, match="validation set has no image of the class 0"):
        run((train, one_class), TrainingSettings(1, 4))
    with pytest.raises(StudyError, match="takes images of"):
        run((train, image_set(4, shape=(9, 8, 8))), TrainingSettings(1, 4))


@pytest.mark.parametrize(
    "values",
    [
        (1, 4, 1e-4, 0.0, None, "float64"),
        (0, 4, 1e-4, 0.0),
        (1, 1, 1e-4, 0.0),
        (1, 4, 0.0, 0.0),
        (1, 4, float("nan"), 0.0),
        (1, 4, 1e-4, -1.0),
    ],
)
def test_settings_out_of_range_are_errors(values):
    with pytest.raises(StudyError, match="no valid value"):
        TrainingSettings(*values)


def test_without_kernels_the_layers_are_applied_one_by_one(monkeypatch):
    network = build_network(EIGHTS, SHAPE)
    calls = []
    for layer in network.convolutions:
        layer.register_forward_hook(lambda layer, *_: calls.append(layer))
    network(torch.rand(2, 1, *SHAPE))
    assert not any(isinstance(layer, torch.nn.BatchNorm3d) for layer in calls)
    calls.clear()
    monkeypatch.setattr(kernels, "enabled", False)
    network(torch.rand(2, 1, *SHAPE))
    assert calls == list(network.convolutions)
