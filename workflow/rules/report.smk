"""The figures of the study."""


rule draw_seeds:
    """Draw the balanced accuracy of every seed of every condition, with mean and standard deviation."""
    input:
        runs="<results>/tables/runs.tsv",
        published=workflow.source_path("../../resources/published_results.tsv"),
    output:
        multiext("<results>/figures/seeds", svg=".svg", pdf=".pdf", table=".tsv"),
    log:
        "<logs>/draw_seeds.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        simulated=SIMULATED,
        code=module_digest("figures.strips"),
    script:
        "../scripts/draw_seeds.py"


rule draw_slices:
    """Draw real beside synthetic images of each class, in three mid-slices."""
    input:
        real="<results>/tensors/cohort-ADNI/resolution-downsampled/images.safetensors",
        split="<results>/split/split.tsv",
        synthetic=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/images.safetensors",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        style=workflow.source_path("../style/study.mplstyle"),
    output:
        multiext("<results>/figures/slices", svg=".svg", pdf=".pdf", table=".tsv"),
    log:
        "<logs>/draw_slices.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        simulated=SIMULATED,
        training_set=PICTURED_TRAINING_SET,
        examples=3,
        seed=SEED,
        code=module_digest("figures.slices"),
    script:
        "../scripts/draw_slices.py"


rule draw_generation:
    """Draw what the RHVAEs have learnt: along the latent axes, between two images, beside the nearest real ones."""
    input:
        pictures=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/pictures.safetensors",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        pictures_tables=collect(
            "<results>/synthetic/training_set-{training_set}/diagnosis-{diagnosis}/pictures.tsv",
            training_set=PICTURED_TRAINING_SET,
            diagnosis=["AD", "CN"],
        ),
        style=workflow.source_path("../style/study.mplstyle"),
    output:
        multiext(
            "<results>/figures/generation_{picture}",
            svg=".svg",
            pdf=".pdf",
            table=".tsv",
        ),
    log:
        "<logs>/draw_generation/{picture}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        simulated=SIMULATED,
        code=module_digest("figures.generation"),
    script:
        "../scripts/draw_generation.py"
