"""What the networks look at."""


rule measure_saliency:
    """Attribute the answers of one condition's best seed on validation data to the voxels of the test images."""
    input:
        networks=collect(
            "<results>/cnn/<condition>/seeds-{seeds}/networks.safetensors",
            seeds=SEED_BATCHES,
            allow_missing=True,
        ),
        stack=f"<results>/tensors/cohort-{TRAINING_COHORT}/resolution-{{resolution}}/images.safetensors",
        split="<results>/split/split.tsv",
        regions="<results>/template/regions.nii.gz",
    output:
        maps="<results>/cnn/<condition>/saliency.safetensors",
        table="<results>/cnn/<condition>/saliency.tsv",
    log:
        "<logs>/measure_saliency/<condition>.log",
    benchmark:
        "<benchmarks>/measure_saliency/<condition>.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: lookup("cnn/threads", within=config)
    resources:
        mem_mb=cnn_memory,
        runtime=training_runtime,
        gpu=GPUS,
    params:
        method="integrated_gradients",
        steps=lookup("saliency/steps", within=config),
        batch_size=lookup("cnn/batch_size", within=config),
        align_corners=lookup("tensors/align_corners", within=config),
        code=script_digest("measure_saliency"),
    script:
        "../scripts/measure_saliency.py"
