"""The networks on the test sets, what they achieve, how sure that is, and the tables of it."""


rule evaluate:
    """Predict the validation and test images, and those of the other cohorts, for every seed."""
    input:
        networks=collect(
            "<results>/cnn/<condition>/seeds-{seeds}/networks.safetensors",
            seeds=SEED_BATCHES,
            allow_missing=True,
        ),
        split="<results>/split/split.tsv",
        stacks=collect(
            "<results>/tensors/cohort-{cohort}/resolution-{resolution}/images.safetensors",
            cohort=COHORTS,
            allow_missing=True,
        ),
        independent="<results>/split/independent.tsv",
    output:
        predictions="<results>/cnn/<condition>/predictions.tsv",
    log:
        "<logs>/evaluate/<condition>.log",
    benchmark:
        "<benchmarks>/evaluate/<condition>.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("cnn/threads", within=config)
    resources:
        mem_mb=cnn_memory,
        runtime=grows_with_attempt(240),
        gpu=GPUS,
    params:
        cohorts=COHORTS,
        batch_size=16,
        precision=lookup("cnn/precision", within=config),
        code=script_digest("evaluate"),
    script:
        "../scripts/evaluate.py"


rule compute_statistics:
    """Gather the histories, and compute all that follows from the predictions: the metrics of every run, estimates
    with intervals over participants and runs, ROC curves, confusion matrices, calibration, and comparisons with real
    images alone.
    """
    input:
        predictions=collect(
            "<results>/cnn/{condition}/predictions.tsv",
            condition=map(condition_path, CONDITIONS),
        ),
        histories=collect(
            "<results>/cnn/{condition}/seeds-{seeds}/history.tsv",
            condition=map(condition_path, CONDITIONS),
            seeds=SEED_BATCHES,
        ),
        published=workflow_file("../../resources/published_results.tsv"),
        flags=branch(MEASURED != [], then="<results>/tables/flags.tsv"),
    output:
        histories="<results>/tables/histories.tsv",
        runs="<results>/tables/runs.tsv",
        estimates="<results>/statistics/estimates.tsv",
        curves="<results>/statistics/roc.tsv",
        confusions="<results>/statistics/confusion.tsv",
        resamples="<results>/statistics/resamples.safetensors",
        calibration="<results>/statistics/calibration.tsv",
        reliability="<results>/statistics/reliability.tsv",
        comparisons="<results>/tables/comparisons.tsv",
    log:
        "<logs>/compute_statistics.log",
    group:
        "reporting"
    conda:
        "../../envs/report.yaml"
    threads: 2
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        seeds=lookup("cnn/seeds", within=config),
        replicates=REPLICATION[0],
        redraws=REPLICATION[1],
        primary=choose_primary(config),
        resamples=lookup("statistics/resamples", within=config),
        confidence=lookup("statistics/confidence", within=config),
        bins=10,
        seed=SEED,
        code=script_digest("compute_statistics"),
    script:
        "../scripts/compute_statistics.py"


rule tabulate_results:
    """Set the results beside the published ones, with a verdict and its reason on every published number."""
    input:
        runs="<results>/tables/runs.tsv",
        estimates="<results>/statistics/estimates.tsv",
        comparisons="<results>/tables/comparisons.tsv",
        configuration="<results>/provenance/configuration.yaml",
        schema=workflow_file("../schemas/config.schema.json"),
        published=workflow_file("../../resources/published_results.tsv"),
        page=page_files(
            "templates/sheets.html.j2",
            "templates/sheets.md.j2",
            "templates/sheets.tex.j2",
        ),
    output:
        report(
            "<results>/tables/classification.html",
            caption="../report/classification.rst",
            category="Tables",
            labels={"table": "results beside the published"},
        ),
        report(
            "<results>/tables/comparisons.html",
            caption="../report/comparisons.rst",
            category="Tables",
            labels={"table": "compared with real images"},
        ),
        report(
            "<results>/tables/published.html",
            caption="../report/published.rst",
            category="Tables",
            labels={"table": "published results reproduced?"},
        ),
        multiext("<results>/tables/classification", ".md", ".tex"),
        multiext("<results>/tables/comparisons", ".md", ".tex"),
        multiext("<results>/tables/published", ".md", ".tex"),
        classification="<results>/tables/classification.tsv",
        published="<results>/tables/published.tsv",
    log:
        "<logs>/tabulate_results.log",
    group:
        "reporting"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        title=lookup("study/name", within=config),
        training_cohort=TRAINING_COHORT,
        optimized=lookup("cnn/optimized", within=config),
        simulated=SIMULATED,
        seed=SEED,
        margin=lookup("statistics/equivalence_margin", within=config),
        confidence=lookup("statistics/confidence", within=config),
        minimum_runs=lookup("statistics/minimum_runs", within=config),
        code=script_digest("tabulate_results"),
    script:
        "../scripts/tabulate_results.py"


rule describe_networks:
    """List the layers of all networks with their shapes and parameters, from the modules themselves."""
    input:
        stacks=collect(
            f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-{{resolution}}/images.safetensors",
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
    group:
        "reporting"
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        conditions=CONDITIONS,
        resolutions=RESOLUTIONS,
        has_rhvae=RHVAE_TRAINING_SETS != [],
        latent_dimension=lookup("rhvae/latent_dimension", within=config),
        networks=lookup("rhvae/networks", within=config),
        encoder_layers=lookup("rhvae/encoder_layers", within=config),
        decoder_layers=lookup("rhvae/decoder_layers", within=config),
        metric_layers=lookup("rhvae/metric_layers", within=config),
        channels=lookup("rhvae/channels", within=config),
        encoder_last_activation=lookup("rhvae/encoder_last_activation", within=config),
        code=script_digest("describe_networks"),
    script:
        "../scripts/describe_networks.py"
