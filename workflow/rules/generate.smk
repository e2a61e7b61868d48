"""One Riemannian Hamiltonian VAE per class and training set, and the synthetic images that it makes."""


rule train_rhvae:
    """Train the RHVAE of one class on the images of one training set."""
    input:
        stack="<results>/tensors/cohort-ADNI/resolution-downsampled/images.safetensors",
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
        latent_dimension=lookup("rhvae/latent_dimension", within=config),
        networks=lookup("rhvae/networks", within=config),
        encoder_layers=lookup("rhvae/encoder_layers", within=config),
        decoder_layers=lookup("rhvae/decoder_layers", within=config),
        metric_layers=lookup("rhvae/metric_layers", within=config),
        channels=lookup("rhvae/channels", within=config),
        leapfrog_steps=lookup("rhvae/leapfrog_steps", within=config),
        leapfrog_step_size=lookup("rhvae/leapfrog_step_size", within=config),
        sqrt_beta_zero=lookup("rhvae/sqrt_beta_zero", within=config),
        temperature=lookup("rhvae/temperature", within=config),
        regularization=lookup("rhvae/regularization", within=config),
        integrator=lookup("rhvae/integrator", within=config),
        reconstruction=lookup("rhvae/reconstruction", within=config),
        learning_rate=lookup("rhvae/learning_rate", within=config),
        batch_size=lookup("rhvae/batch_size", within=config),
        max_epochs=lookup("rhvae/max_epochs", within=config),
        patience=lookup("rhvae/patience", within=config),
        device=lookup("study/device", within=config),
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
        n_stored=N_SYNTHETIC if STORES_IMAGES else min(16, N_SYNTHETIC),
        steps=lookup("synthetic/steps", within=config),
        leapfrog_steps=lookup("synthetic/leapfrog_steps", within=config),
        leapfrog_step_size=lookup("synthetic/leapfrog_step_size", within=config),
        dtype=lookup("synthetic/dtype", within=config),
        device=lookup("study/device", within=config),
        seed=SEED,
        code=script_digest("generate_synthetic"),
    script:
        "../scripts/generate_synthetic.py"


rule measure_generation:
    """Measure how well one RHVAE reconstructs, covers and does not copy the images of its class."""
    input:
        stack="<results>/tensors/cohort-ADNI/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
        model="<results>/rhvae/training_set-{training_set}/diagnosis-{diagnosis}/model.safetensors",
        codes="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/latent_codes.safetensors",
        index="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.tsv",
        stored="<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.safetensors",
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
        importance_samples=lookup("evidence/importance_samples", within=config),
        n_synthetic=lookup("evidence/n_synthetic", within=config),
        device=lookup("study/device", within=config),
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
            diagnosis=["AD", "CN"],
        ),
        style=workflow_file("../style/page.css"),
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
