"""From one NIfTI file per image to one tensor file per cohort and resolution."""


rule pack_tensors:
    """Pack the cropped images that passed the quality check, rescaled to [0, 1], into one file."""
    input:
        images=cropped_images,
        quality="<results>/quality/cohort-{cohort}/quality.tsv",
    output:
        stack="<results>/tensors/cohort-{cohort}/resolution-{resolution}/images.safetensors",
        index="<results>/tensors/cohort-{cohort}/resolution-{resolution}/images.tsv",
    log:
        "<logs>/pack_tensors/cohort-{cohort}_resolution-{resolution}.log",
    benchmark:
        "<benchmarks>/pack_tensors/cohort-{cohort}_resolution-{resolution}.tsv"
    conda:
        "../../envs/learn.yaml"
    resources:
        mem_mb=grows_with_attempt(3000),
        runtime=grows_with_attempt(120),
    params:
        tensors=settings("tensors"),
        code=script_digest("pack_tensors"),
    script:
        "../scripts/pack_tensors.py"
