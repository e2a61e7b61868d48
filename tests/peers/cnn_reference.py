"""Passes through ClinicaDL's Conv5_FC3 and its down-sampled sibling, run by the Python of .venv-peers.

    python cnn_reference.py FOLDER

FOLDER/cases.json lists the cases: name, network, mode, type of the numbers. FOLDER/<name>.pt holds weights in
the order of ClinicaDL's layers, images and labels. Writes FOLDER/<name>_reference.pt: outputs, gradients,
statistics.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

warnings.filterwarnings("ignore")


def make_network(kind, shape):
    """Conv5_FC3; for the smaller images with the narrower layers of its sibling, on the same convolutions."""
    from clinicadl.utils.network.cnn.models import Conv5_FC3
    from clinicadl.utils.network.sub_network import CNN

    network = Conv5_FC3((1, *shape), gpu=False, output_size=2, dropout=0.0)
    if kind == "full":
        return network
    features = network.fc[2].in_features
    layers = [
        nn.Flatten(),
        nn.Dropout(0.0),
        nn.Linear(features, 350),
        nn.ReLU(),
        nn.Linear(350, 25),
        nn.ReLU(),
    ]
    return CNN(network.convolutions, nn.Sequential(*layers, nn.Linear(25, 2)), n_classes=2, gpu=False)


def main(folder):
    torch.set_num_threads(1)
    for case in json.loads((folder / "cases.json").read_text()):
        given = torch.load(folder / f"{case['name']}.pt", weights_only=True)
        network = make_network(case["network"], case["shape"]).to(getattr(torch, case["dtype"]))
        network.load_state_dict(dict(zip(network.state_dict(), given["weights"], strict=True)))
        network.train(case["mode"] == "training")
        images = given["images"].requires_grad_()
        outputs = network(images)
        functional.cross_entropy(outputs, given["labels"]).backward()
        results = {
            "outputs": outputs.detach(),
            "image gradient": images.grad,
            "gradients": [weights.grad for weights in network.parameters()],
            "statistics": list(network.buffers()),
        }
        torch.save(results, folder / f"{case['name']}_reference.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
