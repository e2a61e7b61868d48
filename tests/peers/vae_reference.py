"""One pass through the VAE of pythae, run by the Python of .venv-peers.

    python vae_reference.py FOLDER

FOLDER/cases.json lists the cases: name, settings and shape of the images. FOLDER/<name>.pt holds weights,
images and noise. Writes FOLDER/<name>_reference.pt with what pythae makes of them.
"""

import sys
from pathlib import Path

import torch
from rhvae_reference import main, make_networks


def run(case, tensors):
    from pythae.models import VAE, VAEConfig  # pytest looks for doctests here, without pythae

    settings, shape = case["settings"], tuple(case["image_shape"])
    config = VAEConfig(
        input_dim=shape,
        latent_dim=settings["latent_dimension"],
        reconstruction_loss=settings["reconstruction"],
    )
    encoder, decoder, _ = make_networks("pythae", settings, torch.Size(shape).numel())
    model = VAE(config, encoder, decoder)
    model.encoder.load_state_dict(tensors["encoder"])
    model.decoder.load_state_dict(tensors["decoder"])
    torch.randn_like, original = lambda *_, **__: tensors["noise"], torch.randn_like
    try:
        output = model({"data": tensors["images"]})
    finally:
        torch.randn_like = original
    output.loss.backward()
    return {
        "loss": output.loss,
        "reconstruction": output.recon_loss,
        "divergence": output.reg_loss,
        "position": output.z,
        **{
            f"gradient of {network}.{name}": weight.grad
            for network in ("encoder", "decoder")
            for name, weight in getattr(model, network).named_parameters()
        },
    }


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main(Path(sys.argv[1]), run)
