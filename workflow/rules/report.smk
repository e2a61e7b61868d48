"""The figures of images, models, training and data."""


rule draw_slices:
    """Draw real beside synthetic images of each class, in three mid-slices."""
    input:
        real="<results>/tensors/cohort-ADNI/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
        synthetic=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.safetensors",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/slices.svg",
            caption="../report/slices.rst",
            category="Synthetic images",
            labels={"figure": "real and synthetic slices"},
        ),
        pdf="<results>/figures/slices.pdf",
        table="<results>/figures/slices.tsv",
    log:
        "<logs>/draw_slices.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        training_set=PICTURED_TRAINING_SET,
        examples=3,
        seed=SEED,
        code=script_digest("draw_slices"),
    script:
        "../scripts/draw_slices.py"


rule draw_generation:
    """Draw what the RHVAEs have learnt: along the latent axes, between two images, beside the nearest real ones."""
    input:
        pictures=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/pictures.safetensors",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        pictures_tables=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/pictures.tsv",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/generation_{picture}.svg",
            caption="../report/generation.rst",
            category="Synthetic images",
            labels={"figure": "{picture}"},
        ),
        pdf="<results>/figures/generation_{picture}.pdf",
        table="<results>/figures/generation_{picture}.tsv",
    log:
        "<logs>/draw_generation/{picture}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_generation"),
    script:
        "../scripts/draw_generation.py"


rule draw_intruders:
    """Draw real and synthetic slices mixed without labels; the answers are a table of their own."""
    input:
        real="<results>/tensors/cohort-ADNI/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
        synthetic=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.safetensors",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/intruders.svg",
            caption="../report/intruders.rst",
            category="Synthetic images",
            labels={"figure": "find the intruders"},
        ),
        pdf="<results>/figures/intruders.pdf",
        table="<results>/figures/intruders.tsv",
        answers="<results>/figures/intruders_answers.tsv",
    log:
        "<logs>/draw_intruders.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        training_set=PICTURED_TRAINING_SET,
        examples=8,
        seed=SEED,
        code=script_digest("draw_intruders"),
    script:
        "../scripts/draw_intruders.py"


rule draw_losses:
    """Draw the loss of every RHVAE and its terms by epoch."""
    input:
        histories=collect(
            "<results>/rhvae/training_set-{training_set}/diagnosis-{diagnosis}/history.tsv",
            training_set=SYNTHETIC_TRAINING_SETS,
            diagnosis=["AD", "CN"],
        ),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/losses.svg",
            caption="../report/losses.rst",
            category="Synthetic images",
            labels={"figure": "losses of the RHVAEs"},
        ),
        pdf="<results>/figures/losses.pdf",
        table="<results>/figures/losses.tsv",
    log:
        "<logs>/draw_losses.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        models=list(product(SYNTHETIC_TRAINING_SETS, ["AD", "CN"])),
        code=script_digest("draw_losses"),
    script:
        "../scripts/draw_losses.py"


rule gather_histories:
    """Put the training histories of all runs into one table."""
    input:
        histories=collect(
            "<results>/cnn/architecture-{item[architecture]}/training_set-{item[training_set]}/"
            "training_data-{item[training_data]}/n_synthetic-{item[n_synthetic]}/resolution-{item[resolution]}/"
            "seeds-{seeds}/history.tsv",
            item=CONDITIONS,
            seeds=SEED_BATCHES,
        ),
    output:
        table="<results>/tables/histories.tsv",
    log:
        "<logs>/gather_histories.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        code=script_digest("gather_histories"),
    script:
        "../scripts/gather_histories.py"


rule draw_training:
    """Draw loss and accuracy of every run by epoch, with the selected epochs."""
    input:
        histories="<results>/tables/histories.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/training_{architecture}_{training_set}.svg",
            caption="../report/training.rst",
            category="Networks",
            labels={
                "figure": "training",
                "network": "{architecture}",
                "training set": "{training_set}",
            },
        ),
        pdf="<results>/figures/training_{architecture}_{training_set}.pdf",
        table="<results>/figures/training_{architecture}_{training_set}.tsv",
    log:
        "<logs>/draw_training/{architecture}_{training_set}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_training"),
    script:
        "../scripts/draw_training.py"


rule describe_networks:
    """List the layers of all networks with their shapes and parameters, from the modules themselves."""
    input:
        stacks=collect(
            "<results>/tensors/cohort-ADNI/resolution-{resolution}/images.safetensors",
            resolution=RESOLUTIONS,
        ),
        architectures=workflow_file("../../resources/architectures.json"),
        searches=branch(
            config["cnn"]["optimized"] == "searched",
            then=expand(
                "<results>/search/resolution-{resolution}/leaderboard.json",
                resolution=RESOLUTIONS,
            ),
        ),
    output:
        table="<results>/tables/layers.tsv",
    log:
        "<logs>/describe_networks.log",
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        conditions=CONDITIONS,
        resolutions=RESOLUTIONS,
        has_rhvae=SYNTHETIC_TRAINING_SETS != [],
        latent_dimension=lookup("rhvae/latent_dimension", within=config),
        networks=lookup("rhvae/networks", within=config),
        encoder_layers=lookup("rhvae/encoder_layers", within=config),
        decoder_layers=lookup("rhvae/decoder_layers", within=config),
        metric_layers=lookup("rhvae/metric_layers", within=config),
        channels=lookup("rhvae/channels", within=config),
        code=script_digest("describe_networks"),
    script:
        "../scripts/describe_networks.py"


rule draw_networks:
    """Draw the architectures of the classifiers or of the RHVAE."""
    input:
        layers="<results>/tables/layers.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/networks_{model}.svg",
            caption="../report/networks.rst",
            category="Networks",
            labels={"figure": "architectures", "network": "{model}"},
        ),
        pdf="<results>/figures/networks_{model}.pdf",
        table="<results>/figures/networks_{model}.tsv",
    log:
        "<logs>/draw_networks/{model}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_networks"),
    script:
        "../scripts/draw_networks.py"


rule draw_split:
    """Draw how many images each step leaves, and the participants of every set."""
    input:
        images=collect("<results>/cohorts/cohort-{cohort}/images.tsv", cohort=COHORTS),
        quality=collect("<results>/quality/cohort-{cohort}/quality.tsv", cohort=COHORTS),
        metrics=collect("<results>/quality/cohort-{cohort}/metrics.tsv", cohort=COHORTS),
        split="<results>/split/split.tsv",
        independent="<results>/split/independent.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/split.svg",
            caption="../report/split.rst",
            category="Data",
            labels={"figure": "split"},
        ),
        pdf="<results>/figures/split.pdf",
        table="<results>/figures/split.tsv",
    log:
        "<logs>/draw_split.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        cohorts=COHORTS,
        code=script_digest("draw_split"),
    script:
        "../scripts/draw_split.py"


rule draw_scheme:
    """Draw how training sets are augmented, and how the classifiers are trained and tested."""
    input:
        split="<results>/split/split.tsv",
        independent="<results>/split/independent.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/scheme.svg",
            caption="../report/scheme.rst",
            category="Data",
            labels={"figure": "scheme"},
        ),
        pdf="<results>/figures/scheme.pdf",
        table="<results>/figures/scheme.tsv",
    log:
        "<logs>/draw_scheme.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        conditions=CONDITIONS,
        generated_per_class=N_SYNTHETIC,
        n_seeds=lookup("cnn/seeds", within=config),
        code=script_digest("draw_scheme"),
    script:
        "../scripts/draw_scheme.py"
