"""What the rules of generate.smk are given: by the wildcards of a path, which generator it is of, its class, settings and code."""

from rhvae_mri.generators.registry import module_digest


def generator_name(wildcards):
    """The generator that a path is of: of its models, or of what it makes."""
    names = wildcards.keys()
    return generator_of(
        wildcards.model_folder if "model_folder" in names else wildcards.other_generator
    )


def generator_class(wildcards):
    """Where the class of a generator is."""
    return class_path(config, generator_name(wildcards))


def generator_settings(wildcards):
    """The settings that a generator is fitted with."""
    return fit_settings(RESULT_SETTINGS, generator_name(wildcards))


def sampler_settings(wildcards):
    """The settings that a generator draws codes with; only the RHVAE has a sampler."""
    names = ("steps", "leapfrog_steps", "leapfrog_step_size")
    is_sampled = generator_name(wildcards) == OWN_GENERATOR
    return {name: config["synthetic"][name] for name in names if is_sampled}


def code_with_generator(script):
    """Digest of a script, and of the generator that it uses: one of the library, or the user's own."""

    @cache
    def digest(path):
        own = module_digest(path)
        library = [] if own else [path.partition(":")[0].removeprefix("rhvae_mri.")]
        return f"{script_digest(script, *library)} {own or ''}".strip()

    def code(wildcards):
        return digest(generator_class(wildcards))

    return code


def replicate_number(wildcards):
    """The number of a replicate of a generator, from the part of a path that names it."""
    return int(wildcards.replicate.rpartition("-")[2] or 0)


def drawn_training_set(wildcards):
    """The training set of a replicate as the split has it: all have one, or each its own draw."""
    redraws = config["split"]["redraw_subsets"]
    return drawn_set(
        wildcards.training_set, replicate_number(wildcards) if redraws else 0
    )


def training_images(wildcards):
    """The images that a generator is fitted to: those of its training set, or of participants kept apart for it."""
    return (
        "oracle"
        if generator_name(wildcards) == "oracle"
        else drawn_training_set(wildcards)
    )


def trained_generator(wildcards):
    """The file of the generator that makes a synthetic set."""
    folder = model_folder(generator_name(wildcards))
    return f"<results>/{folder}/training_set-{wildcards.training_set}{wildcards.replicate}/diagnosis-{wildcards.diagnosis}/model.safetensors"


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
