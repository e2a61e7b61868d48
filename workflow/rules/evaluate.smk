"""The networks on the test sets, and the tables of what they achieve."""


rule evaluate:
    """Predict the validation and test images of ADNI and the images of AIBL, for every seed."""
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


rule summarise_runs:
    """Compute the metrics of every run, in one table."""
    input:
        predictions=collect(
            "<results>/cnn/architecture-{item[architecture]}/training_set-{item[training_set]}/"
            "training_data-{item[training_data]}/n_synthetic-{item[n_synthetic]}/resolution-{item[resolution]}/predictions.tsv",
            item=CONDITIONS,
        ),
    output:
        runs="<results>/tables/runs.tsv",
    log:
        "<logs>/summarise_runs.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        seeds=lookup("cnn/seeds", within=config),
        code=script_digest("summarise_runs"),
    script:
        "../scripts/summarise_runs.py"


rule tabulate_classification:
    """Set mean and standard deviation over the seeds beside the published numbers."""
    input:
        runs="<results>/tables/runs.tsv",
        published=workflow_file("../../resources/published_results.tsv"),
        style=workflow_file("../style/page.css"),
    output:
        table="<results>/tables/classification.tsv",
        html=report(
            "<results>/tables/classification.html",
            caption="../report/classification.rst",
            category="Tables",
            labels={"table": "results beside the published"},
        ),
        markdown="<results>/tables/classification.md",
        latex="<results>/tables/classification.tex",
    log:
        "<logs>/tabulate_classification.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        title=lookup("study/name", within=config),
        optimized=lookup("cnn/optimized", within=config),
        simulated=SIMULATED,
        seed=SEED,
        code=script_digest("tabulate_classification"),
    script:
        "../scripts/tabulate_classification.py"
