import numpy
import pytest
import torch
from figure_checks import drawn
from matplotlib.patches import FancyArrowPatch, Polygon
from torch import nn

from rhvae_mri.cnn.architectures import Architecture, build_network, count_parameters, read_architectures
from rhvae_mri.figures.networks import draw_networks
from rhvae_mri.generators.rhvae import networks as rhvae_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_json
from rhvae_mri.io.tensor_files import write_image_stack
from rhvae_mri.provenance.networks import (
    NETWORK_COLUMNS,
    choose_classifiers,
    list_layers,
    read_shapes,
    shapes_only,
    tabulate_networks,
)
from rhvae_mri.search.space import Candidate

SHAPES = {"full": (169, 208, 179), "downsampled": (84, 104, 89)}


@pytest.fixture(scope="module")
def architectures(root):
    return read_architectures(root / "resources" / "architectures.json")


@pytest.fixture(scope="module")
def table(architectures):
    classifiers = {
        (name, resolution): architectures[name][resolution]
        for name in ("baseline", "optimized")
        for resolution in ("full", "downsampled")
    }
    return tabulate_networks(classifiers, SHAPES, RHVAESettings())


def rows_of(table, network, resolution="downsampled"):
    return table[(table["network"] == network) & (table["resolution"] == resolution)]


def test_layers_are_listed_with_the_shapes_and_parameters_that_they_have_in_truth():
    network = nn.Sequential(
        nn.Conv3d(1, 3, 3, stride=2, padding=1), nn.Flatten(), nn.Dropout(0.25), nn.Linear(24, 2)
    )
    network.train()
    rows = list_layers(network, (1, 4, 4, 4))
    assert [row["kind"] for row in rows] == ["Conv3d", "Flatten", "Dropout", "Linear"]
    assert [row["output_shape"] for row in rows] == [(3, 2, 2, 2), (24,), (24,), (2,)]
    assert [row["n_parameters"] for row in rows] == [3 * 27 + 3, 0, 0, 50]
    assert [row["detail"] for row in rows] == ["3 × 3 × 3, stride 2", "", "0.25", ""]
    assert network.training
    assert not network[0]._forward_hooks


def test_shapes_only_takes_no_memory_and_ends_with_its_block():
    with shapes_only():
        layer = nn.Linear(10**6, 10**6)
        assert torch.empty(3, device="cpu").device.type == "meta"
    assert layer.weight.is_meta
    assert torch.empty(3).device.type == "cpu"


def test_the_table_agrees_with_the_networks_that_are_trained(architectures, table):
    for name in ("baseline", "optimized"):
        counts = count_parameters(build_network(architectures[name]["downsampled"], SHAPES["downsampled"]))
        rows = rows_of(table, name)
        dense = rows["kind"] == "Linear"
        assert rows.loc[dense, "n_parameters"].sum() == counts["fully_connected"]
        assert rows.loc[~dense, "n_parameters"].sum() == counts["convolutions"]


def test_the_published_sizes_of_the_classifiers_and_the_study_s_rhvae(table):
    assert tuple(table.columns) == NETWORK_COLUMNS
    flattened = table[table["kind"] == "Flatten"].set_index(["network", "resolution"])["output_shape"]
    assert flattened["baseline", "downsampled"] == "4608"
    assert flattened["baseline", "full"] == "32256"
    assert flattened["optimized", "downsampled"] == "1280"
    encoder = rows_of(table, "encoder")
    assert encoder.iloc[0]["n_parameters"] == 84 * 104 * 89 * 500 + 500
    assert rows_of(table, "metric")["output_shape"].tolist()[-2:] == ["10", "45"]


def test_the_rhvae_of_the_table_is_the_one_that_is_trained():
    settings = RHVAESettings(networks="convolutional", channels=(4, 8))
    shape = (21, 26, 22)
    table = tabulate_networks({}, {"downsampled": shape}, settings)
    counts = rhvae_networks.count_parameters(rhvae_networks.build_networks(settings, shape))
    assert table.groupby("network")["n_parameters"].sum().to_dict() == counts


def test_shapes_are_read_from_the_stacks(tmp_path):
    write_image_stack(tmp_path / "stack.safetensors", ["a"], [numpy.zeros((3, 4, 5))], (3, 4, 5))
    assert read_shapes({"full": tmp_path / "stack.safetensors"}) == {"full": (3, 4, 5)}


def test_the_diagram_of_the_classifiers_has_every_layer_and_number(table, tmp_path):
    figure, texts, source = drawn(tmp_path, draw_networks, table, model="CNN", simulated=False)
    headings = [text for text in texts if "parameters" in text]
    assert headings[1] == (
        "Baseline, down-sampled: 1,916,697 parameters "
        "(294,720 convolutional, 1,621,977 fully connected), ReLU"
    )
    assert len(headings) == 4
    assert {"4,608", "32,256", "1,280", "max pooling 2×2×2"} <= set(texts)
    # input, 5 or 8 convolutions, the pooled maps: three faces each; flattened, 3 or 1 features
    faces = sum(isinstance(patch, Polygon) for patch in figure.axes[0].patches)
    assert faces == 2 * (3 * 7 + 4) + 2 * (3 * 10 + 2)
    arrows = sum(isinstance(patch, FancyArrowPatch) for patch in figure.axes[0].patches)
    assert arrows == 2 * (7 + 4 - 1) + 2 * (10 + 2 - 1)
    assert len(source) == (table["model"] == "CNN").sum()


@pytest.mark.parametrize("networks", ["mlp", "convolutional"])
def test_the_diagram_of_the_rhvae_shows_its_two_heads(networks, tmp_path):
    table = tabulate_networks({}, SHAPES, RHVAESettings(networks=networks))
    texts = drawn(tmp_path, draw_networks, table, model="RHVAE").texts
    assert {"10: mean", "10: log variance", "45: below diagonal"} <= set(texts)
    assert "Simulated data: The networks of the RHVAE" in texts
    assert "batch normalisation" not in " ".join(texts)


def test_layers_over_all_voxels_are_drawn_and_counted_as_fully_connected(tmp_path):
    settings = RHVAESettings(
        networks="mlp", encoder_layers=(31, 32), decoder_layers=(33,), metric_layers=(34,)
    )
    texts = drawn(tmp_path, draw_networks, tabulate_networks({}, SHAPES, settings), model="RHVAE").texts
    assert {"31", "32", "33", "34", f"{84 * 104 * 89:,}"} <= set(texts)
    assert "convolution" not in " ".join(texts)


def test_deep_networks_of_a_search_go_on_in_a_second_line(tmp_path):
    deep = Architecture(
        ((8,) * 3, (16,) * 3, (32,) * 3, (64,) * 3, (128,) * 3, (256,) * 3), "relu", 0.3, (90, 9)
    )
    table = tabulate_networks({("optimized", "full"): deep}, SHAPES, None)
    assert drawn(tmp_path, draw_networks, table, model="CNN").texts.count("256") == 4


def test_the_winner_of_a_search_takes_the_place_of_the_optimized_network(root, tmp_path):
    winner = Candidate(3, Architecture(((4,),), "relu", 0.1, ()), 1e-3, 0.0, 112, {}).to_dict()
    write_json(tmp_path / "leaderboard.json", {"winner": winner})
    grid = [
        {"architecture": name, "resolution": resolution}
        for name in ("baseline", "optimized", "optimized")
        for resolution in ("full", "downsampled")
    ]
    published = root / "resources" / "architectures.json"
    chosen = choose_classifiers(grid, published, {"downsampled": tmp_path / "leaderboard.json"})
    assert len(chosen) == 4
    assert chosen["optimized", "downsampled"].blocks == ((4,),)
    assert chosen["optimized", "full"] == read_architectures(published)["optimized"]["full"]
    assert chosen["baseline", "downsampled"] == read_architectures(published)["baseline"]["downsampled"]


def test_a_study_without_an_rhvae_has_no_diagram_of_it(architectures, tmp_path):
    classifiers = {("baseline", "downsampled"): architectures["baseline"]["downsampled"]}
    table = tabulate_networks(classifiers, SHAPES, None)
    assert table["network"].unique().tolist() == ["baseline"]
    with pytest.raises(StudyError, match="no network of the RHVAE"):
        drawn(tmp_path, draw_networks, table, model="RHVAE")
    assert list(tmp_path.iterdir()) == []
