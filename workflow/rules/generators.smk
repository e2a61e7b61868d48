"""What generators and what is trained on their images are given: class, settings, code, training sets and synthetic images."""

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


def batch_replicates(wildcards):
    """The replicates that the runs of a batch are of, each with the numbers of its runs."""
    generator = generator_of(wildcards.other_generator)
    if wildcards.n_synthetic == "0":
        generator = NO_GENERATOR
    n = count_replicates(generator, wildcards.training_set, *REPLICATION)
    return group_runs(wildcards.seeds, n)


def batch_training_sets(wildcards):
    """For each replicate of a batch its training set, as the split has it, and the numbers of its runs."""
    redraws = config["split"]["redraw_subsets"]
    return [
        (drawn_set(wildcards.training_set, replicate if redraws else 0), runs)
        for replicate, runs in batch_replicates(wildcards).items()
    ]


def synthetic_sets(wildcards):
    """The synthetic images of both classes, for the conditions that train on them; of each replicate in turn."""
    if wildcards.n_synthetic == "0":
        return []
    return expand(
        "<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/images.safetensors",
        other_generator=wildcards.other_generator,
        training_set=wildcards.training_set,
        replicate=map(replicate_part, batch_replicates(wildcards)),
        diagnosis=CLASSES,
    )
