"""What the networks look at."""


rule measure_saliency:
    """Attribute the answers of one condition's best seed on validation data to the voxels of the test images."""
    input:
        networks=collect(
            "<results>/cnn/<condition>/seeds-{seeds}/networks.safetensors",
            seeds=SEED_BATCHES,
            allow_missing=True,
        ),
        stack="<results>/tensors/cohort-ADNI/resolution-{resolution}/images.safetensors",
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


rule draw_saliency:
    """Draw the mean attributions of each class, for each architecture trained on real images."""
    input:
        maps=collect(
            "<results>/cnn/architecture-{item[architecture]}/training_set-{item[training_set]}/"
            "training_data-{item[training_data]}/n_synthetic-{item[n_synthetic]}/resolution-{item[resolution]}/saliency.safetensors",
            item=SALIENCY_CONDITIONS,
        ),
        tables=collect(
            "<results>/cnn/architecture-{item[architecture]}/training_set-{item[training_set]}/"
            "training_data-{item[training_data]}/n_synthetic-{item[n_synthetic]}/resolution-{item[resolution]}/saliency.tsv",
            item=SALIENCY_CONDITIONS,
        ),
        style=workflow_file("../style/study.mplstyle"),
    output:
        svg=report(
            "<results>/figures/saliency.svg",
            caption="../report/saliency.rst",
            category="Networks",
            labels={"figure": "attributions"},
        ),
        pdf="<results>/figures/saliency.pdf",
        table="<results>/figures/saliency.tsv",
    log:
        "<logs>/draw_saliency.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        simulated=SIMULATED,
        code=script_digest("draw_saliency"),
    script:
        "../scripts/draw_saliency.py"
