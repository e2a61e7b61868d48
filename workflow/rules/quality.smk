"""Quality control: images that fail are left out with the reason; the jobs stay the same."""


rule check_quality:
    """Compare every registered image of a cohort with the template."""
    input:
        images=registered_images,
        table="<results>/cohorts/cohort-{cohort}/images.tsv",
        template="<results>/template/template.nii.gz",
    output:
        table="<results>/quality/cohort-{cohort}/quality.tsv",
    log:
        "<logs>/check_quality/cohort-{cohort}.log",
    benchmark:
        "<benchmarks>/check_quality/cohort-{cohort}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        minimum_similarity=lookup("quality/minimum_similarity", within=config),
        minimum_overlap=lookup("quality/minimum_overlap", within=config),
        code=module_digest("quality.similarity"),
    script:
        "../scripts/check_quality.py"
