"""How sure the results are: intervals, comparisons, calibration, and verdicts on the published numbers."""


rule pack_predictions:
    """Pack the predictions of all runs into one file that the statistics read in no time."""
    input:
        predictions=collect(
            "<results>/cnn/architecture-{item[architecture]}/training_set-{item[training_set]}/"
            "training_data-{item[training_data]}/n_synthetic-{item[n_synthetic]}/resolution-{item[resolution]}/predictions.tsv",
            item=CONDITIONS,
        ),
    output:
        predictions="<results>/statistics/predictions.safetensors",
    log:
        "<logs>/pack_predictions.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        code=script_digest("pack_predictions"),
    script:
        "../scripts/pack_predictions.py"


rule estimate_performance:
    """Estimate every metric with its interval over participants and runs, ROC curves and confusion matrices."""
    input:
        predictions="<results>/statistics/predictions.safetensors",
    output:
        estimates="<results>/statistics/estimates.tsv",
        curves="<results>/statistics/roc.tsv",
        confusions="<results>/statistics/confusion.tsv",
        replicates="<results>/statistics/replicates.safetensors",
    log:
        "<logs>/estimate_performance.log",
    conda:
        "../../envs/report.yaml"
    threads: 2
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        resamples=lookup("statistics/resamples", within=config),
        confidence=lookup("statistics/confidence", within=config),
        seed=SEED,
        code=script_digest("estimate_performance"),
    script:
        "../scripts/estimate_performance.py"


rule measure_calibration:
    """Measure whether probabilities are what they say: Brier score, calibration error, reliability curves."""
    input:
        predictions="<results>/statistics/predictions.safetensors",
    output:
        measures="<results>/statistics/calibration.tsv",
        curves="<results>/statistics/reliability.tsv",
    log:
        "<logs>/measure_calibration.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        bins=10,
        resamples=lookup("statistics/resamples", within=config),
        confidence=lookup("statistics/confidence", within=config),
        seed=SEED,
        code=script_digest("measure_calibration"),
    script:
        "../scripts/measure_calibration.py"


rule compare_conditions:
    """Compare each condition with real images alone, on the same participants."""
    input:
        predictions="<results>/statistics/predictions.safetensors",
        replicates="<results>/statistics/replicates.safetensors",
        published=workflow_file("../../resources/published_results.tsv"),
        style=workflow_file("../style/page.css"),
    output:
        table="<results>/tables/comparisons.tsv",
        html=report(
            "<results>/tables/comparisons.html",
            caption="../report/comparisons.rst",
            category="Tables",
            labels={"table": "compared with real images"},
        ),
        markdown="<results>/tables/comparisons.md",
        latex="<results>/tables/comparisons.tex",
    log:
        "<logs>/compare_conditions.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        title=lookup("study/name", within=config),
        simulated=SIMULATED,
        confidence=lookup("statistics/confidence", within=config),
        permutations=lookup("statistics/resamples", within=config),
        seed=SEED,
        code=script_digest("compare_conditions"),
    script:
        "../scripts/compare_conditions.py"


rule compare_with_published:
    """Set every published number against ours, with a verdict and its reason."""
    input:
        estimates="<results>/statistics/estimates.tsv",
        configuration="<results>/provenance/configuration.yaml",
        schema=workflow_file("../schemas/config.schema.json"),
        published=workflow_file("../../resources/published_results.tsv"),
        style=workflow_file("../style/page.css"),
    output:
        table="<results>/tables/published.tsv",
        html=report(
            "<results>/tables/published.html",
            caption="../report/published.rst",
            category="Tables",
            labels={"table": "published results reproduced?"},
        ),
        markdown="<results>/tables/published.md",
        latex="<results>/tables/published.tex",
    log:
        "<logs>/compare_with_published.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        title=lookup("study/name", within=config),
        simulated=SIMULATED,
        margin=lookup("statistics/equivalence_margin", within=config),
        confidence=lookup("statistics/confidence", within=config),
        minimum_runs=lookup("statistics/minimum_runs", within=config),
        code=script_digest("compare_with_published"),
    script:
        "../scripts/compare_with_published.py"


rule list_assumptions:
    """List every value that the paper does not give, with our choice and where it can be changed."""
    input:
        configuration="<results>/provenance/configuration.yaml",
        schema=workflow_file("../schemas/config.schema.json"),
        tables=collect(
            "<results>/conversion/cohort-{cohort}/tables.tsv", cohort=CONVERTED
        ),
        style=workflow_file("../style/page.css"),
    output:
        table="<results>/tables/assumptions.tsv",
        html=report(
            "<results>/tables/assumptions.html",
            caption="../report/assumptions.rst",
            category="Tables",
            labels={"table": "assumptions"},
        ),
        markdown="<results>/tables/assumptions.md",
        latex="<results>/tables/assumptions.tex",
    log:
        "<logs>/list_assumptions.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(10),
    params:
        title=lookup("study/name", within=config),
        converted=CONVERTED,
        simulated=SIMULATED,
        code=script_digest("list_assumptions"),
    script:
        "../scripts/list_assumptions.py"
