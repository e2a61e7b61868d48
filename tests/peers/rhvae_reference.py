"""One pass through the RHVAE of pythae or Pyraug, run by the Python of .venv-peers.

    python rhvae_reference.py FOLDER

FOLDER/cases.json lists the cases: name, package, settings, mode and type of the numbers. FOLDER/<name>.pt
holds weights, images, noise, the final metric and latent positions. Writes FOLDER/<name>_reference.pt with
what the package makes of them.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore")


def hidden_layers(n_inputs, widths):
    layers = []
    for width in widths:
        layers += [nn.Linear(n_inputs, width), nn.ReLU()]
        n_inputs = width
    return nn.Sequential(*layers), n_inputs


def make_networks(package, settings, n_voxels):
    """The networks, with the names of our layers, as each package wants them."""
    if package == "pythae":
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder, BaseMetric
    else:
        from pyraug.models.nn import BaseDecoder, BaseEncoder, BaseMetric
    d = settings["latent_dimension"]

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.body, width = hidden_layers(n_voxels, settings["encoder_layers"])
            if settings["encoder_last_activation"] == "none":
                self.body = self.body[:-1]
            self.mean, self.log_variance = nn.Linear(width, d), nn.Linear(width, d)

        def forward(self, x):
            hidden = self.body(x.flatten(1))
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            if package == "pythae":
                return ModelOutput(embedding=mean, log_covariance=log_variance)
            return mean, log_variance

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.body, width = hidden_layers(d, settings["decoder_layers"])
            self.logits = nn.Linear(width, n_voxels)

        def forward(self, z):
            voxels = torch.sigmoid(self.logits(self.body(z)))
            return ModelOutput(reconstruction=voxels) if package == "pythae" else voxels

    class Metric(BaseMetric):
        def __init__(self):
            super().__init__()
            self.body, width = hidden_layers(n_voxels, settings["metric_layers"])
            self.log_diagonal, self.lower = nn.Linear(width, d), nn.Linear(width, d * (d - 1) // 2)

        def forward(self, x):
            hidden = self.body(x.flatten(1))
            factor = torch.diag_embed(self.log_diagonal(hidden).exp())
            rows, columns = torch.tril_indices(d, d, offset=-1)
            factor[:, rows, columns] = self.lower(hidden)
            return ModelOutput(L=factor) if package == "pythae" else factor

    return Encoder(), Decoder(), Metric()


def make_model(package, settings, image_shape):
    """The package's model with our settings."""
    n_voxels = int(torch.Size(image_shape).numel())
    values = {
        "latent_dim": settings["latent_dimension"],
        "n_lf": settings["leapfrog_steps"],
        "eps_lf": settings["leapfrog_step_size"],
        "beta_zero": settings["sqrt_beta_zero"],  # both packages take it as the square root
        "temperature": settings["temperature"],
        "regularization": settings["regularization"],
    }
    if package == "pythae":
        from pythae.models import RHVAE, RHVAEConfig

        config = RHVAEConfig(
            input_dim=tuple(image_shape), reconstruction_loss=settings["reconstruction"], **values
        )
    else:
        from pyraug.models import RHVAE
        from pyraug.models.rhvae import RHVAEConfig

        config = RHVAEConfig(input_dim=n_voxels, **values)
    return RHVAE(config, *make_networks(package, settings, n_voxels))


def hold_momentum(model):
    """Let the first line of a leapfrog step take the gradient at fixed momentum, as in the equations."""
    original = model._leap_step_1

    def step_1(recon_x, x, z, rho, G_inv, G_log_det, steps=3):
        return rho + (original(recon_x, x, z, rho.detach(), G_inv, G_log_det, steps) - rho).detach()

    model._leap_step_1 = step_1


def log_density(package, positions, model):
    if package == "pythae":
        from pythae.samplers import RHVAESampler
    else:
        from pyraug.models.rhvae import RHVAESampler
    return RHVAESampler.log_sqrt_det_G_inv(positions, model)


def run(case, tensors):
    torch.set_default_dtype(getattr(torch, case["dtype"]))
    model = make_model(case["package"], case["settings"], case["image_shape"])
    model.encoder.load_state_dict(tensors["encoder"])
    model.decoder.load_state_dict(tensors["decoder"])
    model.metric.load_state_dict(tensors["metric_network"])
    model.M = [tensors["matrices"]]
    model.centroids = [tensors["centroids"]]
    model.update()
    if case["hold_momentum"]:
        hold_momentum(model)
    model.train(case["training"])
    draws = iter(tensors["noise"])
    torch.randn_like, original = lambda *_, **__: next(draws), torch.randn_like
    try:
        output = model({"data": tensors["images"]})
    finally:
        torch.randn_like = original
    output.loss.backward()
    networks = {"encoder": model.encoder, "decoder": model.decoder, "metric_network": model.metric}
    return {
        "loss": output.loss,
        "reconstruction": output.recon_x.flatten(1),
        "position": output.z,
        "momentum": output.rho,
        "inverse_metric": output.G_inv,
        "log_density": log_density(case["package"], tensors["positions"], model),
        **{
            f"gradient of {network}.{name}": weight.grad
            for network, module in networks.items()
            for name, weight in module.named_parameters()
            if weight.grad is not None
        },
    }


def main(folder, run=run):
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    for case in json.loads((folder / "cases.json").read_text()):
        tensors = torch.load(folder / f"{case['name']}.pt", weights_only=True)
        results = {name: value.detach().clone() for name, value in run(case, tensors).items()}
        torch.save(results, folder / f"{case['name']}_reference.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
