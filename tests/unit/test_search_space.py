import math

import numpy
import pytest

from rhvae_mri.cnn.architectures import build_network, count_parameters, read_architectures
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json, write_json
from rhvae_mri.io.tensor_files import write_image_stack
from rhvae_mri.search.space import (
    TOO_MANY_PARAMETERS,
    TOO_MANY_POOLINGS,
    Candidate,
    SearchSpace,
    draw_candidates,
    draw_for_study,
    find_fault,
    make_architecture,
    size_of_network,
    tabulate_candidates,
)

DOWNSAMPLED, FULL, MEDIUM = (84, 104, 89), (169, 208, 179), (21, 26, 22)


@pytest.fixture(scope="module")
def space(load_config):
    """The space of the published study."""
    return SearchSpace(**load_config("paper.yaml")["search"]["space"])


@pytest.fixture(scope="module")
def candidates(space):
    return draw_candidates(space, range(400), DOWNSAMPLED, seed=1)


def changed(space, **values):
    return SearchSpace(**vars(space) | values)


def channels(candidate):
    return [block[-1] for block in candidate.architecture.blocks]


def test_channels_double_to_the_limit_and_inner_convolutions_keep_what_comes_in():
    architecture = make_architecture(32, [2, 1, 3, 1, 2], 1, 0.5, shape=DOWNSAMPLED)
    assert architecture.blocks == ((1, 32), (64,), (64, 64, 128), (256,), (256, 256))
    assert architecture.activation == "leaky_relu"
    odd = make_architecture(5, [1] * 4, 1, 0.5, shape=DOWNSAMPLED, channel_limit=30)
    assert [block[-1] for block in odd.blocks] == [5, 10, 20, 30]
    wide = make_architecture(32, [1, 1], 1, 0.5, shape=DOWNSAMPLED, channel_limit=16)
    assert [block[-1] for block in wide.blocks] == [32, 32]


def test_the_widths_of_the_fully_connected_layers_fall_geometrically():
    # 6 blocks of 84 x 104 x 89 voxels leave 2 x 2 x 2, by 160 channels 1280 features:
    # ratio sqrt(640) = 25.298, cube root 8.618
    widths = {n: make_architecture(5, [1] * 6, n, 0.0, shape=DOWNSAMPLED).hidden_features for n in (1, 2, 3)}
    assert widths == {1: (), 2: (51,), 3: (149, 17)}


def test_the_published_winner_can_be_drawn(space, root):
    winner = read_architectures(root / "resources" / "architectures.json")["optimized"]["downsampled"]
    built = make_architecture(
        5, [1, 1, 3, 1, 1, 1], 1, 0.001, shape=DOWNSAMPLED, channel_limit=space.channel_limit
    )
    assert built == winner
    assert space.n_blocks[0] <= 6 <= space.n_blocks[1]
    assert 5 in space.first_channels
    assert space.convolutions_per_block[0] == 1
    assert space.convolutions_per_block[1] >= 3
    assert space.n_fully_connected[0] == 1
    assert space.dropout[0] <= 0.001 <= space.dropout[1]
    assert find_fault(winner, DOWNSAMPLED, space.max_parameters) is None


def test_a_candidate_is_the_same_however_many_are_drawn_beside_it(space, candidates):
    assert draw_candidates(space, range(7), DOWNSAMPLED, seed=1) == candidates[:7]
    assert draw_candidates(space, [5, 3], DOWNSAMPLED, seed=1) == [candidates[5], candidates[3]]
    assert draw_candidates(space, range(7), DOWNSAMPLED, seed=2) != candidates[:7]
    assert len({str(candidate.architecture) for candidate in candidates}) == 400


def test_every_hyper_parameter_takes_its_whole_range(space, candidates):
    """400 draws reach every choice, and the ends of each range within a twentieth of it."""
    assert {len(candidate.architecture.blocks) for candidate in candidates} == {2, 3, 4, 5, 6}
    assert {channels(candidate)[0] for candidate in candidates} == set(space.first_channels)
    layers = {len(block) for candidate in candidates for block in candidate.architecture.blocks}
    assert layers == {1, 2, 3}
    assert {len(candidate.architecture.hidden_features) for candidate in candidates} == {0, 1, 2}
    ranges = {
        (0.0, 0.9): [candidate.architecture.dropout for candidate in candidates],
        (-5.0, -2.0): [math.log10(candidate.learning_rate) for candidate in candidates],
        (-4.0, -2.0): [math.log10(c.weight_decay) for c in candidates if c.weight_decay],
    }
    for (low, high), values in ranges.items():
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
        quarters = numpy.histogram(values, bins=4, range=(low, high))[0] / len(values)
        assert numpy.abs(quarters - 0.25).max() < 0.1
    has_weight_decay = numpy.mean([candidate.weight_decay > 0 for candidate in candidates])
    assert has_weight_decay == pytest.approx(0.5, abs=0.1)


def test_what_pools_a_single_voxel_is_no_candidate():
    def fault(n_blocks, shape):
        return find_fault(make_architecture(2, [1] * n_blocks, 1, 0, shape=shape), shape, None)

    # 21 -> 11 -> 6 -> 3 -> 2 -> 1: the fifth pooling is the last
    assert fault(5, MEDIUM) is None
    assert fault(6, MEDIUM) == TOO_MANY_POOLINGS
    assert fault(7, DOWNSAMPLED) is None
    assert fault(8, DOWNSAMPLED) == TOO_MANY_POOLINGS
    assert fault(3, (5, 40, 40)) is None
    assert fault(4, (5, 40, 40)) == TOO_MANY_POOLINGS


def test_rejected_draws_are_counted_and_drawn_again(space):
    limit = 1_000_000
    drawn = draw_candidates(changed(space, max_parameters=limit), range(100), MEDIUM, seed=1)
    rejected = {
        reason: sum(candidate.rejected[reason] for candidate in drawn)
        for reason in (TOO_MANY_POOLINGS, TOO_MANY_PARAMETERS)
    }
    # one in five architectures has six blocks; 100 valid ones take about 25 of these with them
    assert 10 < rejected[TOO_MANY_POOLINGS] < 60
    assert rejected[TOO_MANY_PARAMETERS] > 10
    assert max(len(candidate.architecture.blocks) for candidate in drawn) == 5
    assert max(candidate.n_parameters for candidate in drawn) <= limit
    assert [candidate.number for candidate in drawn] == list(range(100))


def test_the_size_of_a_network_is_counted_without_building_it(space):
    architecture = make_architecture(4, [2, 1, 3], 3, 0.1, shape=MEDIUM)
    built = count_parameters(build_network(architecture, MEDIUM))
    assert size_of_network(architecture, MEDIUM) == sum(built.values())
    # the largest of the space, which would take a terabyte
    largest = make_architecture(32, [3, 3], 3, 0.1, shape=FULL)
    assert size_of_network(largest, FULL) > 2e11
    assert find_fault(largest, FULL, space.max_parameters) == TOO_MANY_PARAMETERS


def test_a_space_without_valid_architectures_is_refused(space):
    with pytest.raises(StudyError, match="None of 1000 architectures") as caught:
        draw_candidates(changed(space, n_blocks=[6, 6]), range(1), MEDIUM, seed=1)
    assert "1000 with a pooling of a single voxel" in str(caught.value)


def test_candidates_survive_their_file_and_stand_in_a_table(candidates, tmp_path):
    write_json(tmp_path / "candidates.json", [candidate.to_dict() for candidate in candidates[:12]])
    assert [Candidate.from_dict(one) for one in read_json(tmp_path / "candidates.json")] == candidates[:12]
    table = tabulate_candidates(candidates[:12])
    assert table["candidate"].tolist() == list(range(12))
    for row, candidate in zip(table.itertuples(), candidates, strict=False):
        assert row.n_blocks == len(candidate.architecture.blocks)
        assert row.first_channels == channels(candidate)[0]
        assert row.n_convolutions == sum(len(block) for block in candidate.architecture.blocks)
        assert row.n_fully_connected == len(candidate.architecture.hidden_features) + 1
        assert row.learning_rate == pytest.approx(candidate.learning_rate)


def test_a_job_draws_its_candidates_as_the_list_has_them(space, tmp_path):
    stack = tmp_path / "images.safetensors"
    write_image_stack(stack, ["sub-1"], [numpy.zeros(MEDIUM, numpy.float32)], MEDIUM)

    def draw(batch, resolution="downsampled", study_seed=1):
        return draw_for_study(stack, vars(space), batch, resolution=resolution, study_seed=study_seed)

    listed = draw("0-9")
    assert [candidate.number for candidate in listed] == list(range(10))
    assert draw("4-6") == listed[4:7]
    assert draw("0-9", study_seed=2) != listed
    assert draw("0-9", resolution="full") != listed
