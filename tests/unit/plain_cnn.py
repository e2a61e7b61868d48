"""The published networks written down layer by layer, for comparison."""

from torch import nn
from torch.nn import functional

from rhvae_mri.cnn.architectures import flattened_size


def pad_and_pool(maps):
    """The pooling as it is written down: a padded copy, then torch's pooling."""
    odd = [size % 2 for size in maps.shape[2:]]
    return functional.max_pool3d(functional.pad(maps, (odd[2], 0, odd[1], 0, odd[0], 0)), 2)


def plain_network(architecture, input_shape):
    """The published order of layers: convolution, batch normalisation, activation, pooling."""

    class Pool(nn.Module):
        def forward(self, maps):
            return pad_and_pool(maps)

    activation = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}[architecture.activation]
    layers, channels = [], 1
    for block in architecture.blocks:
        for width in block:
            layers += [nn.Conv3d(channels, width, 3, 1, 1), nn.BatchNorm3d(width), activation()]
            channels = width
        layers.append(Pool())
    layers += [nn.Flatten(), nn.Dropout(architecture.dropout)]
    features = flattened_size(architecture, input_shape)
    for width in architecture.hidden_features:
        layers += [nn.Linear(features, width), activation()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, 2))
