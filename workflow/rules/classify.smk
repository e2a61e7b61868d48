"""The convolutional networks: one job trains one condition with several seeds."""


rule train_cnn:
    """Train one network on one training set with several seeds; validation chooses the epoch."""
    input:
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-{{resolution}}/images.safetensors",
        split="<results>/split/split.tsv",
        synthetic=synthetic_sets,
        architectures=workflow_file("../../resources/architectures.json"),
        search=searched_architecture,
    output:
        networks="<results>/cnn/<condition>/seeds-{seeds}/networks.safetensors",
        history="<results>/cnn/<condition>/seeds-{seeds}/history.tsv",
        metrics="<results>/cnn/<condition>/seeds-{seeds}/metrics.json",
    log:
        "<logs>/train_cnn/<condition>/seeds-{seeds}.log",
    benchmark:
        "<benchmarks>/train_cnn/<condition>/seeds-{seeds}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("cnn/threads", within=config)
    resources:
        mem_mb=cnn_memory,
        runtime=training_runtime,
        gpu=GPUS,
    params:
        n_synthetic_per_class=lookup("{n_synthetic}", within=SYNTHETIC_PER_CLASS),
        training_sets=batch_training_sets,
        epochs=lookup("cnn/epochs/{architecture}", within=config),
        cnn=settings("cnn", "learning_rate", "weight_decay", "batch_size", "precision"),
        seed=SEED,
        code=script_digest("train_cnn"),
    script:
        "../scripts/train_cnn.py"
