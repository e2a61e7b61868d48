"""How much memory and time jobs ask for."""


def grows_with_attempt(amount):
    """Memory in MB or time in minutes that is enough for a job; a further attempt gets more of it."""

    def resource(wildcards, attempt):
        return attempt * amount

    return resource


def pool_memory(wildcards, threads, attempt):
    """Memory in MB of a pool of processes that each hold the volumes of one image at 1 mm."""
    return attempt * (1000 + 1000 * threads)


def image_memory(wildcards, attempt):
    """Memory of an image's preprocessing in MB: 2000 for the registration, or what N4 takes.

    That is for a head of 256 mm with voxels of 1 mm; measured in benchmarks/README.md.
    """
    simulated = config["cohorts"][wildcards.cohort]["source"] == "simulated"
    voxel_size = config["template"]["voxel_size"] if simulated else 1.0
    if config["bias_correction"]["padding"] == "coarse":
        return attempt * max(2000, 500 + int(30e-6 * (256 / voxel_size) ** 3))
    # ANTs pads the image to whole spline distances, at 24 bytes a voxel and something in reserve
    distance = config["bias_correction"]["spline_distance"]
    extent = distance * -(-256 // distance)
    return attempt * max(2000, 500 + int(26e-6 * (extent / voxel_size) ** 3))


def cnn_memory(wildcards, attempt):
    """Memory of a network's training in MB: activations, and the images that stay in memory (20,000 at most)."""
    voxels = 169 * 208 * 179 if wildcards.resolution == "full" else 84 * 104 * 89
    voxels = voxels / config["template"]["voxel_size"] ** 3
    images = min(1000 * config["cnn"]["resident_gb"], 20_000 * 4e-6 * voxels)
    activations = 300e-6 * voxels * config["cnn"]["batch_size"]
    return attempt * (2000 + int(images + activations))


def search_memory(wildcards, attempt):
    """Memory of a candidate's training in MB: maps of the widest first block, and the largest network."""
    voxels = 169 * 208 * 179 if wildcards.resolution == "full" else 84 * 104 * 89
    voxels = voxels / config["template"]["voxel_size"] ** 3
    space = config["search"]["space"]
    maps = 25e-6 * voxels * max(space["first_channels"]) * config["cnn"]["batch_size"]
    # weights, gradients, both moments of Adam, the best weights, and a checkpoint of them; without a limit
    # further attempts find the memory
    return attempt * (2000 + int(maps + 36e-6 * (space["max_parameters"] or 0)))


def training_runtime(wildcards, attempt):
    """Minutes that a training job may take; it saves its state, so a further attempt goes on from there."""
    return attempt * 720


def generator_memory(wildcards, attempt):
    """Memory of a generator's training in MB: that of an RHVAE.

    Counted are four float32 copies of the weights (the live and the best ones, both moments of Adam), four
    more while a checkpoint is written, and the voxels of a batch along the flow.
    """
    voxels = 84 * 104 * 89 / config["template"]["voxel_size"] ** 3
    layers = config["rhvae"]
    if layers["networks"] == "convolutional":
        return attempt * (2000 + int(1.2e-3 * voxels * layers["batch_size"]))
    widths = (
        layers["encoder_layers"][0]
        + layers["decoder_layers"][-1]
        + layers["metric_layers"][0]
    )
    flow = layers["batch_size"] * (layers["leapfrog_steps"] + 1)
    return attempt * (2000 + int(34e-6 * voxels * widths + 20e-6 * voxels * flow))
