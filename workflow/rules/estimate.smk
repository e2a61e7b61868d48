"""Core-hours, GPU-hours, memory and disk of each stage."""


rule estimate:
    """What the study will cost, from the benchmarks of a finished smaller one."""
    input:
        configuration=f"{config['estimate']['reference']}/provenance/configuration.yaml",
        benchmarks=f"{config['estimate']['reference']}/benchmarks",
    output:
        table="<results>/estimate.tsv",
    log:
        "<logs>/estimate.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(500),
        runtime=grows_with_attempt(10),
    params:
        gpu_speedup=lookup("estimate/gpu_speedup", within=config),
        # like record_provenance, it takes the whole configuration: every part of it costs something
        configuration=config,
        code=script_digest("estimate"),
    script:
        "../scripts/estimate.py"
