"""Downloads of virtual participants with known ground truth, for studies without access to ADNI and AIBL."""


rule simulate_adni:
    """Write a simulated ADNI download: DICOM series in LONI's layout, study tables, ground truth."""
    output:
        images=directory("<results>/downloads/cohort-ADNI/images"),
        tables=directory("<results>/downloads/cohort-ADNI/tables"),
        truth="<results>/downloads/cohort-ADNI/truth.tsv",
    log:
        "<logs>/simulate_adni.log",
    benchmark:
        "<benchmarks>/simulate_adni.tsv"
    conda:
        "../../envs/convert.yaml"
    resources:
        mem_mb=grows_with_attempt(3000),
        runtime=grows_with_attempt(60),
    params:
        cohort="ADNI",
        generation=lookup("simulation/tables", within=config),
        participants=lookup("simulation/participants/ADNI", within=config),
        special_cases=lookup("simulation/special_cases", within=config),
        voxel_size=lookup("template/voxel_size", within=config),
        seed=SEED,
        code=script_digest("simulate_download"),
    script:
        "../scripts/simulate_download.py"


use rule simulate_adni as simulate_aibl with:
    output:
        images=directory("<results>/downloads/cohort-AIBL/images"),
        tables=directory("<results>/downloads/cohort-AIBL/tables"),
        truth="<results>/downloads/cohort-AIBL/truth.tsv",
    log:
        "<logs>/simulate_aibl.log",
    benchmark:
        "<benchmarks>/simulate_aibl.tsv"
    params:
        cohort="AIBL",
        # AIBL's tables are still the release of 2018
        generation=2018,
        participants=lookup("simulation/participants/AIBL", within=config),
        special_cases=lookup("simulation/special_cases", within=config),
        voxel_size=lookup("template/voxel_size", within=config),
        seed=SEED,
        code=script_digest("simulate_download"),
