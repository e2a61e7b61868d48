"""The figures of how well the networks classify."""


rule draw_seeds:
    """Draw the balanced accuracy of every seed of every condition, with mean and standard deviation."""
    input:
        runs="<results>/tables/runs.tsv",
        published=workflow_file("../../resources/published_results.tsv"),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/seeds.svg",
            caption="../report/seeds.rst",
            category="Results",
            labels={"figure": "every run"},
        ),
        pdf="<results>/figures/seeds.pdf",
        table="<results>/figures/seeds.tsv",
    log:
        "<logs>/draw_seeds.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_seeds"),
    script:
        "../scripts/draw_seeds.py"


rule draw_sizes:
    """Draw balanced accuracy against the size of the synthetic set, beside the published values."""
    input:
        runs="<results>/tables/runs.tsv",
        estimates="<results>/statistics/estimates.tsv",
        published=workflow_file("../../resources/published_results.tsv"),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/sizes.svg",
            caption="../report/sizes.rst",
            category="Results",
            labels={"figure": "by number of synthetic images"},
        ),
        pdf="<results>/figures/sizes.pdf",
        table="<results>/figures/sizes.tsv",
    log:
        "<logs>/draw_sizes.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_sizes"),
    script:
        "../scripts/draw_sizes.py"


rule draw_roc:
    """Draw the ROC curve of every condition of an architecture, with its band."""
    input:
        curves="<results>/statistics/roc.tsv",
        estimates="<results>/statistics/estimates.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/roc_{architecture}.svg",
            caption="../report/roc.rst",
            category="Results",
            labels={"figure": "ROC curves", "network": "{architecture}"},
        ),
        pdf="<results>/figures/roc_{architecture}.pdf",
        table="<results>/figures/roc_{architecture}.tsv",
    log:
        "<logs>/draw_roc/{architecture}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_roc"),
    script:
        "../scripts/draw_roc.py"


rule draw_reliability:
    """Draw the share of AD among the images of a predicted probability, for every condition."""
    input:
        curves="<results>/statistics/reliability.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/reliability_{architecture}.svg",
            caption="../report/reliability.rst",
            category="Results",
            labels={"figure": "calibration", "network": "{architecture}"},
        ),
        pdf="<results>/figures/reliability_{architecture}.pdf",
        table="<results>/figures/reliability_{architecture}.tsv",
    log:
        "<logs>/draw_reliability/{architecture}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_reliability"),
    script:
        "../scripts/draw_reliability.py"


rule draw_confusion:
    """Draw the confusion matrix of every condition of an architecture on one test set."""
    input:
        counts="<results>/statistics/confusion.tsv",
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/confusion_{architecture}_{cohort}.svg",
            caption="../report/confusion.rst",
            category="Results",
            labels={
                "figure": "confusion matrices",
                "network": "{architecture}",
                "test set": "{cohort}",
            },
        ),
        pdf="<results>/figures/confusion_{architecture}_{cohort}.pdf",
        table="<results>/figures/confusion_{architecture}_{cohort}.tsv",
    log:
        "<logs>/draw_confusion/{architecture}_{cohort}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_confusion"),
    script:
        "../scripts/draw_confusion.py"
