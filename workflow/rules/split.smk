"""Training, validation and test sets of one cohort, and the other cohorts that are tested; by participant."""


rule find_duplicates:
    """Find the images of a cohort that another participant has too, in the cohort or in the one trained on."""
    input:
        images=of_cohort_and_training("cohorts/cohort-{}/images.tsv"),
        contents=of_cohort_and_training("cohorts/cohort-{}/image_files.tsv"),
        stacks=of_cohort_and_training(
            "tensors/cohort-{}/resolution-downsampled/images.safetensors"
        ),
    output:
        table="<results>/split/duplicates_cohort-{cohort}.tsv",
    log:
        "<logs>/find_duplicates/cohort-{cohort}.log",
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(60),
    params:
        training_cohort=TRAINING_COHORT,
        code=script_digest("find_duplicates"),
    script:
        "../scripts/find_duplicates.py"


rule split_cohort:
    """Split the training cohort, test the balance of age, sex and site, and check that no participant is in two sets."""
    input:
        images=f"<results>/cohorts/cohort-{TRAINING_COHORT}/images.tsv",
        quality=f"<results>/quality/cohort-{TRAINING_COHORT}/quality.tsv",
        duplicates=f"<results>/split/duplicates_cohort-{TRAINING_COHORT}.tsv",
    output:
        split="<results>/split/split.tsv",
        balance="<results>/split/balance.tsv",
    log:
        "<logs>/split_cohort.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        split=settings(
            "split",
            "n_test_per_class",
            "validation_fraction",
            "train_subsets",
            "n_oracle_per_class",
            "p_threshold",
            "site_threshold",
            "require_balance",
        ),
        n_draws=REPLICATION[0] if REPLICATION[1] else 1,
        cohort=TRAINING_COHORT,
        seed=SEED,
        code=script_digest("split_cohort"),
    script:
        "../scripts/split_cohort.py"


rule select_test_cohorts:
    """Select the tested participants of the other cohorts, check for leakage, and describe all sets."""
    input:
        split="<results>/split/split.tsv",
        images=collect("<results>/cohorts/cohort-{cohort}/images.tsv", cohort=COHORTS),
        quality=collect("<results>/quality/cohort-{cohort}/quality.tsv", cohort=COHORTS),
        duplicates=collect(
            "<results>/split/duplicates_cohort-{cohort}.tsv", cohort=COHORTS
        ),
    output:
        independent="<results>/split/independent.tsv",
        demographics="<results>/split/demographics.tsv",
        leakage="<results>/split/leakage.json",
    log:
        "<logs>/select_test_cohorts.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        cohorts=COHORTS,
        aibl_per_class=lookup("split/aibl_per_class", within=config),
        seed=SEED,
        code=script_digest("select_test_cohorts"),
    script:
        "../scripts/select_test_cohorts.py"


rule tabulate_demographics:
    """Describe who is in each set and how the sets differ, with the leakage checks, for reading."""
    input:
        split="<results>/split/split.tsv",
        independent="<results>/split/independent.tsv",
        demographics="<results>/split/demographics.tsv",
        leakage="<results>/split/leakage.json",
        images=collect("<results>/cohorts/cohort-{cohort}/images.tsv", cohort=COHORTS),
        page=page_files(
            "templates/sheets.html.j2",
            "templates/sheets.md.j2",
            "templates/sheets.tex.j2",
        ),
    output:
        differences="<results>/split/differences.tsv",
        html=report(
            "<results>/tables/demographics.html",
            caption="../report/demographics.rst",
            category="Tables",
            labels={"table": "who is in each set"},
        ),
        markdown="<results>/tables/demographics.md",
        latex="<results>/tables/demographics.tex",
    log:
        "<logs>/tabulate_demographics.log",
    group:
        "reporting"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(10),
    params:
        title=lookup("study/name", within=config),
        simulated=SIMULATED,
        seed=SEED,
        code=script_digest("tabulate_demographics"),
    script:
        "../scripts/tabulate_demographics.py"
