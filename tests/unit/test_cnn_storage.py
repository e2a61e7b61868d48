import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from rhvae_mri.cnn.architectures import Architecture, build_network
from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.cnn.prediction import predict
from rhvae_mri.cnn.storage import TrainedNetwork, load_networks, save_networks
from rhvae_mri.io.errors import StudyError

SHAPE = (7, 6, 5)
CPU = torch.device("cpu")
ARCHITECTURE = Architecture(blocks=((4,), (8,)), activation="relu", dropout=0.5, hidden_features=(3,))


def trained(seed, architecture=ARCHITECTURE):
    weights = build_network(architecture, SHAPE, seed).state_dict()
    history = [{"epoch": 1, "train_loss": 0.1 + seed, "validation_balanced_accuracy": 2 / 3, "best": 1}]
    return TrainedNetwork(architecture, SHAPE, weights, 1, history, 12.5)


@pytest.fixture
def images():
    stack = numpy.random.default_rng(0).random((9, *SHAPE), dtype=numpy.float32)
    return ImageSet([ImagePart(stack, range(9))])


def test_networks_come_back_as_they_were_stored(tmp_path):
    networks = {11: trained(11), 2: trained(2)}
    save_networks(tmp_path / "networks.safetensors", networks)
    loaded = load_networks(tmp_path / "networks.safetensors")
    assert list(loaded) == [11, 2]
    for seed, network in networks.items():
        ours = loaded[seed]
        assert (ours.architecture, ours.input_shape) == (ARCHITECTURE, SHAPE)
        assert (ours.history, ours.selected_epoch, ours.images_per_second) == (network.history, 1, 12.5)
        assert ours.weights.keys() == network.weights.keys()
        assert all(torch.equal(ours.weights[key], value) for key, value in network.weights.items())
    assert [path.name for path in tmp_path.iterdir()] == ["networks.safetensors"]


def test_predictions_are_softmax_probabilities_in_evaluation_mode(images):
    network = trained(3).network().train()
    probabilities = predict(network, images, batch_size=4, device=CPU)
    assert network.training
    network.eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(images.batch(range(9)))[:, None]).double().numpy()
    expected = 1 / (1 + numpy.exp(logits[:, 0] - logits[:, 1]))
    numpy.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert len(set(probabilities)) == 9


def test_the_batch_size_of_a_prediction_changes_nothing_but_rounding(images):
    network = trained(3).network()
    whole, pieces = (predict(network, images, batch_size=size, device=CPU) for size in (9, 1))
    numpy.testing.assert_allclose(whole, pieces, rtol=1e-4)
    streamed = predict(network, images, batch_size=9, device=CPU, resident_bytes=0)
    numpy.testing.assert_array_equal(whole, streamed)


def test_prediction_of_wrong_images_or_with_damaged_weights_is_an_error(images):
    small = ImageSet([ImagePart(numpy.zeros((2, 3, 3, 3), numpy.float32), [0, 1])])
    with pytest.raises(StudyError, match="takes images of"):
        predict(trained(1).network(), small, batch_size=4, device=CPU)
    network = trained(1).network()
    network.classifier[-1].bias.data[0] = torch.nan
    with pytest.raises(StudyError, match="not finite"):
        predict(network, images, batch_size=4, device=CPU)


def test_networks_of_one_file_are_of_one_architecture(tmp_path):
    other = Architecture(blocks=((4,), (6,)), activation="relu", dropout=0.5, hidden_features=(3,))
    with pytest.raises(StudyError, match="one architecture"):
        save_networks(tmp_path / "n.safetensors", {0: trained(0), 1: trained(1, other)})
    with pytest.raises(StudyError, match="no network"):
        save_networks(tmp_path / "n.safetensors", {})
    assert not list(tmp_path.iterdir())


def test_files_that_hold_no_networks_are_errors(tmp_path):
    file = tmp_path / "networks.safetensors"
    with pytest.raises(StudyError, match="does not exist"):
        load_networks(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(StudyError, match="no file of trained networks of this version"):
        load_networks(file)
    save_networks(file, {0: trained(0)})
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(StudyError, match="cannot be read"):
        load_networks(file)


def test_weights_of_another_architecture_are_an_error():
    network = trained(0)
    network.weights.pop("classifier.2.bias")
    with pytest.raises(StudyError, match="do not fit"):
        network.network()


def test_the_tensors_are_named_by_seed(tmp_path):
    save_networks(tmp_path / "networks.safetensors", {3: trained(3)})
    assert "seed-3/convolutions.0.weight" in load_file(tmp_path / "networks.safetensors")
