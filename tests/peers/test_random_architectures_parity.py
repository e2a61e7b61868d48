"""The candidates of the search beside ClinicaDL's random architectures: same layers, same outputs."""

import json

import numpy
import pytest
import torch
from safetensors.torch import load_file

from rhvae_mri.cnn.architectures import build_network
from rhvae_mri.search.space import SearchSpace, draw_candidates, tabulate_candidates

pytestmark = pytest.mark.peer

SHAPE = (21, 26, 22)


@pytest.fixture(scope="module")
def compared(tmp_path_factory, load_config, run_peer):
    """Candidates, images, and what ClinicaDL makes of both."""
    folder = tmp_path_factory.mktemp("clinicadl")
    space = load_config("paper.yaml")["search"]["space"] | {"max_parameters": 2_000_000}
    candidates = draw_candidates(SearchSpace(**space), range(40), SHAPE, seed=1)
    table = tabulate_candidates(candidates)
    descriptions = [
        {
            "first_channels": row.first_channels,
            "convolutions": [len(block) for block in candidate.architecture.blocks],
            "channel_limit": space["channel_limit"],
            "n_fully_connected": row.n_fully_connected,
        }
        for row, candidate in zip(table.itertuples(), candidates, strict=True)
    ]
    (folder / "candidates.json").write_text(json.dumps(descriptions))
    images = numpy.random.default_rng(0).random((3, 1, *SHAPE), dtype=numpy.float32)
    numpy.save(folder / "images.npy", images)
    run_peer("clinicadl_random.py", folder / "candidates.json", folder / "images.npy", folder)
    return candidates, torch.from_numpy(images), folder


def test_every_candidate_has_clinicadls_layers_and_gives_its_outputs(compared):
    candidates, images, folder = compared
    assert {len(candidate.architecture.hidden_features) for candidate in candidates} == {0, 1, 2}
    for candidate in candidates:
        theirs = load_file(folder / f"{candidate.number}.safetensors")
        expected = theirs.pop("outputs")
        network = build_network(candidate.architecture, SHAPE).eval()
        names = [name for name in network.state_dict() if "num_batches" not in name]
        weights = dict(zip(names, (theirs[key] for key in sorted(theirs)), strict=True))
        assert not network.load_state_dict(weights, strict=False).unexpected_keys
        assert candidate.n_parameters == sum(weights.numel() for weights in network.parameters())
        with torch.no_grad():
            torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-6)
