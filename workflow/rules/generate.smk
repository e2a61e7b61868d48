"""The generators, above all one Riemannian Hamiltonian VAE per class and training set, and their synthetic images."""


rule train_generator:
    """Train a generator, such as the RHVAE, of one class on the images of one training set."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
    output:
        model="<results>/{model_folder}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/model.safetensors",
        history="<results>/{model_folder}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/history.tsv",
    log:
        "<logs>/train_generator/{model_folder}/training_set-{training_set}{replicate}_diagnosis-{diagnosis}.log",
    benchmark:
        "<benchmarks>/train_generator/{model_folder}/training_set-{training_set}{replicate}_diagnosis-{diagnosis}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("rhvae/threads", within=config)
    resources:
        mem_mb=generator_memory,
        runtime=training_runtime,
        gpu=GPUS,
    params:
        generator=generator_name,
        model=generator_class,
        settings=generator_settings,
        images=training_images,
        seed=SEED,
        code=code_with_generator("train_generator"),
    script:
        "../scripts/train_generator.py"


rule generate_synthetic:
    """Draw latent codes of one generator and decode the synthetic images of its class."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-downsampled/images.safetensors",
        model=trained_generator,
    output:
        stack="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/images.safetensors",
        index="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/images.tsv",
        codes="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/latent_codes.safetensors",
        chains="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/chains.json",
    log:
        "<logs>/generate_synthetic{other_generator}/training_set-{training_set}{replicate}_diagnosis-{diagnosis}.log",
    benchmark:
        "<benchmarks>/generate_synthetic{other_generator}/training_set-{training_set}{replicate}_diagnosis-{diagnosis}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("rhvae/threads", within=config)
    resources:
        mem_mb=generator_memory,
        runtime=grows_with_attempt(240),
        gpu=GPUS,
    params:
        n_images=N_SYNTHETIC,
        model=generator_class,
        sampler=sampler_settings,
        dtype=lookup("synthetic/dtype", within=config),
        seed=SEED,
        code=code_with_generator("generate_synthetic"),
    script:
        "../scripts/generate_synthetic.py"


rule measure_generation:
    """Measure how well one generator reconstructs, covers and does not copy the images of its class."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
        model=trained_generator,
        synthetic="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/images.safetensors",
    output:
        table="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/quality.tsv",
        neighbours="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/neighbours.tsv",
        pictures="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/pictures.safetensors",
        pictures_table="<results>/synthetic{other_generator}/training_set-{training_set}{replicate}/diagnosis-{diagnosis}/pictures.tsv",
    log:
        "<logs>/measure_generation{other_generator}/training_set-{training_set}{replicate}_diagnosis-{diagnosis}.log",
    benchmark:
        "<benchmarks>/measure_generation{other_generator}/training_set-{training_set}{replicate}_diagnosis-{diagnosis}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("rhvae/threads", within=config)
    resources:
        mem_mb=generator_memory,
        runtime=grows_with_attempt(240),
        gpu=GPUS,
    params:
        generator=generator_name,
        model=generator_class,
        images=drawn_training_set,
        replicate=replicate_number,
        seed=SEED,
        code=code_with_generator("measure_generation"),
    script:
        "../scripts/measure_generation.py"


rule tabulate_generation:
    """Set the measures of all generators side by side."""
    input:
        tables=[
            f"<results>/synthetic{other_generator(generator)}/training_set-{training_set}{replicate_part(replicate)}/diagnosis-{diagnosis}/quality.tsv"
            for generator, training_set in MEASURED
            for replicate in range(
                count_replicates(generator, training_set, *REPLICATION)
            )
            for diagnosis in CLASSES
        ],
        page=page_files("templates/sheets.html.j2"),
    output:
        table="<results>/tables/generation.tsv",
        flags="<results>/tables/flags.tsv",
        html=report(
            "<results>/tables/generation.html",
            caption="../report/generation_quality.rst",
            category="Tables",
            labels={"table": "quality of the synthetic images"},
        ),
    log:
        "<logs>/tabulate_generation.log",
    group:
        "reporting"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        title=lookup("study/name", within=config),
        simulated=SIMULATED,
        code=script_digest("tabulate_generation"),
    script:
        "../scripts/tabulate_generation.py"
