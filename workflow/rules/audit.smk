"""What an auditor of the preprocessing reads: provenance, BIDS descriptions, and a page with pictures."""


rule record_provenance:
    """Record the configuration, the revision of the code, the versions of all packages, and the machine."""
    output:
        configuration="<results>/provenance/configuration.yaml",
        software="<results>/provenance/software.json",
        machine="<results>/provenance/machine.json",
    log:
        "<logs>/record_provenance.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(10),
    params:
        # the one rule that takes the whole configuration: it writes it down
        configuration=config,
        revision=REVISION,
        packages=packages_digest(),
        code=script_digest("record_provenance"),
    script:
        "../scripts/record_provenance.py"


rule record_files:
    """Record size and SHA-256 of every file from the raw image to the cropped one, and what it was made from."""
    input:
        images="<results>/cohorts/cohort-{cohort}/images.tsv",
        conversion=branch(
            lookup("cohorts/{cohort}/source", within=config),
            cases={"bids": []},
            otherwise="<results>/conversion/cohort-{cohort}/conversion.tsv",
        ),
        corrected=corrected_images,
        registered=registered_images,
        affines=affines,
        cropped=cropped_images,
        template="<results>/template/template.nii.gz",
    output:
        table="<results>/provenance/cohort-{cohort}/files.tsv",
    log:
        "<logs>/record_files/cohort-{cohort}.log",
    conda:
        "../../envs/preprocess.yaml"
    threads: lookup("quality/threads", within=config)
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(240),
    params:
        code=script_digest("record_files"),
    script:
        "../scripts/record_files.py"


rule record_chain:
    """Record size, SHA-256 and a digest of the content of every file from the tensors to the predictions."""
    input:
        # not read: when they are made, the chain has ended
        collect(
            "<results>/cnn/{condition}/predictions.tsv",
            condition=map(condition_path, CONDITIONS),
        ),
    output:
        table="<results>/provenance/files.tsv",
    log:
        "<logs>/record_chain.log",
    conda:
        "../../envs/preprocess.yaml"
    threads: lookup("quality/threads", within=config)
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(240),
    params:
        code=script_digest("record_chain"),
    script:
        "../scripts/record_chain.py"


rule describe_derivatives:
    """Write what makes a cohort's derivatives a valid BIDS dataset."""
    input:
        corrected=corrected_images,
        registered=registered_images,
        affines=affines,
        cropped=cropped_images,
        template="<results>/template/template.nii.gz",
    output:
        description="<results>/derivatives/cohort-{cohort}/dataset_description.json",
        readme="<results>/derivatives/cohort-{cohort}/README",
        ignore="<results>/derivatives/cohort-{cohort}/.bidsignore",
    log:
        "<logs>/describe_derivatives/cohort-{cohort}.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(1000),
        runtime=grows_with_attempt(30),
    params:
        raw=raw_dataset,
        simulated=SIMULATED,
        code=script_digest("describe_derivatives"),
    script:
        "../scripts/describe_derivatives.py"


rule draw_audit:
    """Draw every image of a cohort and gather what happened to it in a page that opens offline."""
    input:
        images="<results>/cohorts/cohort-{cohort}/images.tsv",
        values="<results>/cohorts/cohort-{cohort}/values.tsv",
        metrics="<results>/quality/cohort-{cohort}/metrics.tsv",
        quality="<results>/quality/cohort-{cohort}/quality.tsv",
        files="<results>/provenance/cohort-{cohort}/files.tsv",
        corrected=corrected_images,
        registered=registered_images,
        cropped=cropped_images,
        template="<results>/template/template.nii.gz",
        exclude=branch(config["exclude"], then=config["exclude"]),
        page=page_files(
            "templates/audit.html.j2",
            "style/audit.css",
            "style/audit.js",
            "style/study.mplstyle",
        ),
    output:
        page=report(
            directory("<results>/audit/cohort-{cohort}"),
            caption="../report/audit.rst",
            category="Audit",
            labels={"cohort": "{cohort}"},
            htmlindex="index.html",
        ),
    log:
        "<logs>/draw_audit/cohort-{cohort}.log",
    benchmark:
        "<benchmarks>/draw_audit/cohort-{cohort}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: lookup("quality/threads", within=config)
    resources:
        mem_mb=pool_memory,
        runtime=grows_with_attempt(240),
    params:
        simulated=SIMULATED,
        voxel_size=lookup("template/voxel_size", within=config),
        limits=lookup("quality/limits", within=config),
        outlier_z=lookup("quality/outlier_z", within=config),
        deep_threshold=lookup("quality/deep/threshold", within=config),
        code=script_digest("draw_audit"),
    script:
        "../scripts/draw_audit.py"
