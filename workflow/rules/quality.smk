"""Quality control: images that fail are left out with the reason; the jobs stay the same."""


rule measure_quality:
    """Measure every image of a cohort: likeness to the template, noise, contrast, bias field, affine."""
    input:
        table="<results>/cohorts/cohort-{cohort}/images.tsv",
        corrected=corrected_images,
        registered=registered_images,
        affines=affines,
        template="<results>/template/template.nii.gz",
    output:
        table="<results>/quality/cohort-{cohort}/metrics.tsv",
    log:
        "<logs>/measure_quality/cohort-{cohort}.log",
    benchmark:
        "<benchmarks>/measure_quality/cohort-{cohort}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    threads: lookup("quality/threads", within=config)
    resources:
        mem_mb=pool_memory,
        runtime=grows_with_attempt(240),
    params:
        code=script_digest("measure_quality"),
    script:
        "../scripts/measure_quality.py"


rule prepare_deep_quality:
    """Fetch the weights of the deep quality control and check that they fit its network."""
    input:
        file=branch(
            lookup("quality/deep/source", within=config),
            cases={"file": lookup("quality/deep/file", within=config)},
            otherwise=[],
        ),
        descriptor=workflow_file("../../resources/deep_quality.json"),
    output:
        weights="<results>/quality/deep_quality_weights.safetensors",
        sidecar="<results>/quality/deep_quality_weights.json",
    log:
        "<logs>/prepare_deep_quality.log",
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(60),
    params:
        deep=settings("quality/deep", "source", "network"),
        code=script_digest("prepare_deep_quality"),
    script:
        "../scripts/prepare_deep_quality.py"


rule check_deep_quality:
    """Show three slices of every registered image of a cohort to the pretrained network, if there is one."""
    input:
        images=registered_images,
        weights=branch(
            lookup("quality/deep/source", within=config),
            cases={"none": []},
            otherwise="<results>/quality/deep_quality_weights.safetensors",
        ),
    output:
        table="<results>/quality/cohort-{cohort}/deep_quality.tsv",
    log:
        "<logs>/check_deep_quality/cohort-{cohort}.log",
    benchmark:
        "<benchmarks>/check_deep_quality/cohort-{cohort}.tsv"
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(4000),
        runtime=grows_with_attempt(240),
        gpu=0 if config["quality"]["deep"]["source"] == "none" else GPUS,
    params:
        deep=settings("quality/deep", "network", "threshold"),
        code=script_digest("check_deep_quality"),
    script:
        "../scripts/check_deep_quality.py"


rule check_quality:
    """Judge every image of a cohort by its metrics, the deep check, and the auditor's decisions."""
    input:
        # not read: with this table the names in the list of decisions were checked
        images="<results>/cohorts/cohort-{cohort}/images.tsv",
        metrics="<results>/quality/cohort-{cohort}/metrics.tsv",
        deep_quality="<results>/quality/cohort-{cohort}/deep_quality.tsv",
        exclude=branch(config["exclude"], then=config["exclude"]),
    output:
        table="<results>/quality/cohort-{cohort}/quality.tsv",
    log:
        "<logs>/check_quality/cohort-{cohort}.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(10),
    params:
        quality=settings("quality", "limits", "outlier_z"),
        code=script_digest("check_quality"),
    script:
        "../scripts/check_quality.py"
