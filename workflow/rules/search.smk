"""The random search for an architecture: cross-validated on real images of train-full, once for each resolution."""


rule split_folds:
    """Deal train-full to the folds of the cross-validation, test their balance, check that nobody leaks."""
    input:
        split="<results>/split/split.tsv",
    output:
        folds="<results>/search/folds.tsv",
        balance="<results>/search/balance.tsv",
        leakage="<results>/search/leakage.json",
    log:
        "<logs>/split_folds.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(10),
    params:
        n_folds=lookup("search/folds", within=config),
        seed=SEED,
        code=script_digest("split_folds"),
    script:
        "../scripts/split_folds.py"


rule train_candidates:
    """Train some candidates, once for each fold; the fold that is held out chooses the epoch.

    A candidate follows from its number, the space and the study's seed, so the job draws its own.
    """
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-{{resolution}}/images.safetensors",
        folds="<results>/search/folds.tsv",
    output:
        results="<results>/search/resolution-{resolution}/candidates-{candidates}/folds.tsv",
        history="<results>/search/resolution-{resolution}/candidates-{candidates}/history.tsv",
    log:
        "<logs>/train_candidates/resolution-{resolution}/candidates-{candidates}.log",
    benchmark:
        "<benchmarks>/train_candidates/resolution-{resolution}/candidates-{candidates}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("cnn/threads", within=config)
    resources:
        mem_mb=search_memory,
        runtime=training_runtime,
        gpu=GPUS,
    params:
        search=settings("search", "space", "epochs"),
        cnn=settings("cnn", "batch_size", "precision"),
        seed=SEED,
        code=script_digest("train_candidates"),
    script:
        "../scripts/train_candidates.py"


rule rank_candidates:
    """Rank the candidates by their mean balanced accuracy, and say how far the winner's can be trusted."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-{{resolution}}/images.safetensors",
        results=collect(
            "<results>/search/resolution-{resolution}/candidates-{candidates}/folds.tsv",
            candidates=CANDIDATE_BATCHES,
            allow_missing=True,
        ),
    output:
        candidates="<results>/search/resolution-{resolution}/candidates.json",
        candidates_table="<results>/search/resolution-{resolution}/candidates.tsv",
        table="<results>/search/resolution-{resolution}/leaderboard.tsv",
        summary="<results>/search/resolution-{resolution}/leaderboard.json",
    log:
        "<logs>/rank_candidates/resolution-{resolution}.log",
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(10),
    params:
        n_candidates=lookup("search/candidates", within=config),
        space=settings("search/space"),
        simulated=SIMULATED,
        seed=SEED,
        code=script_digest("rank_candidates"),
    script:
        "../scripts/rank_candidates.py"
