"""One Riemannian Hamiltonian VAE per class and training set, and the synthetic images that it makes."""


rule train_rhvae:
    """Train the RHVAE of one class on the images of one training set."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
    output:
        model="<results>/rhvae/training_set-{training_set}/diagnosis-{diagnosis}/model.safetensors",
        history="<results>/rhvae/training_set-{training_set}/diagnosis-{diagnosis}/history.tsv",
    log:
        "<logs>/train_rhvae/training_set-{training_set}_diagnosis-{diagnosis}.log",
    benchmark:
        "<benchmarks>/train_rhvae/training_set-{training_set}_diagnosis-{diagnosis}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("rhvae/threads", within=config)
    resources:
        mem_mb=rhvae_memory,
        runtime=training_runtime,
        gpu=GPUS,
    params:
        rhvae=settings("rhvae"),
        seed=SEED,
        code=script_digest("train_rhvae"),
    script:
        "../scripts/train_rhvae.py"


rule generate_synthetic:
    """Sample the latent space of one RHVAE and decode the synthetic images of its class."""
    input:
        model="<results>/rhvae/training_set-{training_set}/diagnosis-{diagnosis}/model.safetensors",
    output:
        stack="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.safetensors",
        index="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.tsv",
        codes="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/latent_codes.safetensors",
        chains="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/chains.json",
    log:
        "<logs>/generate_synthetic/training_set-{training_set}_diagnosis-{diagnosis}.log",
    benchmark:
        "<benchmarks>/generate_synthetic/training_set-{training_set}_diagnosis-{diagnosis}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("rhvae/threads", within=config)
    resources:
        mem_mb=rhvae_memory,
        runtime=grows_with_attempt(240),
        gpu=GPUS,
    params:
        n_images=N_SYNTHETIC,
        sampler=settings("synthetic", "steps", "leapfrog_steps", "leapfrog_step_size"),
        dtype=lookup("synthetic/dtype", within=config),
        seed=SEED,
        code=script_digest("generate_synthetic"),
    script:
        "../scripts/generate_synthetic.py"


rule measure_generation:
    """Measure how well one RHVAE reconstructs, covers and does not copy the images of its class."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
        model="<results>/rhvae/training_set-{training_set}/diagnosis-{diagnosis}/model.safetensors",
        synthetic="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.safetensors",
    output:
        table="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/quality.tsv",
        neighbours="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/neighbours.tsv",
        pictures="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/pictures.safetensors",
        pictures_table="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/pictures.tsv",
    log:
        "<logs>/measure_generation/training_set-{training_set}_diagnosis-{diagnosis}.log",
    benchmark:
        "<benchmarks>/measure_generation/training_set-{training_set}_diagnosis-{diagnosis}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("rhvae/threads", within=config)
    resources:
        mem_mb=rhvae_memory,
        runtime=grows_with_attempt(240),
        gpu=GPUS,
    params:
        seed=SEED,
        code=script_digest("measure_generation"),
    script:
        "../scripts/measure_generation.py"


rule tabulate_generation:
    """Set the measures of all RHVAEs side by side."""
    input:
        tables=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/quality.tsv",
            training_set=SYNTHETIC_TRAINING_SETS,
            diagnosis=CLASSES,
        ),
        page=page_files("templates/sheets.html.j2"),
    output:
        table="<results>/tables/generation.tsv",
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
