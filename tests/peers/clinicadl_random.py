"""ClinicaDL's random architectures, built by the Python of .venv-peers from what was drawn elsewhere.

    python clinicadl_random.py CANDIDATES IMAGES OUTPUT

CANDIDATES is JSON: a list of first_channels, convolutions (of each block), channel_limit, n_fully_connected.
Writes OUTPUT/<number>.safetensors for each, with its weights in order, and its outputs for IMAGES (npy).
"""

import json
import sys
from pathlib import Path


def main(candidates, images, output):
    import numpy
    import torch
    from safetensors.torch import save_file

    vars(numpy)["product"] = numpy.prod  # numpy 2 has lost the old name
    from clinicadl.random_search.random_search_utils import update_channels
    from clinicadl.utils.network.cnn.random import RandomArchitecture

    torch.set_num_threads(1)
    images = torch.from_numpy(numpy.load(images))
    for number, candidate in enumerate(json.loads(Path(candidates).read_text())):
        blocks, incoming, width = {}, None, candidate["first_channels"]
        for position, n_conv in enumerate(candidate["convolutions"]):
            blocks[f"conv{position}"] = {
                "in_channels": incoming,
                "out_channels": width,
                "n_conv": n_conv,
                "d_reduction": "MaxPooling",
            }
            incoming, width = update_channels(width, candidate["channel_limit"])
        torch.manual_seed(number)
        network = RandomArchitecture(
            blocks, candidate["n_fully_connected"], list(images.shape[1:]), gpu=False
        ).eval()
        weights = [value for name, value in network.state_dict().items() if "num_batches" not in name]
        with torch.no_grad():
            tensors = {f"{place:03d}": value.contiguous() for place, value in enumerate(weights)}
            save_file(tensors | {"outputs": network(images)}, Path(output) / f"{number}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
