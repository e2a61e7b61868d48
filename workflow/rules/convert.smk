"""From a download, or a BIDS folder of the user, to a table of the images that the study takes."""


rule convert_to_bids:
    """Convert a download to BIDS with Clinica, after a check of its folders, tables and DICOM series."""
    input:
        images=branch(
            lookup("cohorts/{cohort}/source", within=config),
            cases={
                "simulated": "<results>/downloads/cohort-{cohort}/images",
                "download": lookup("cohorts/{cohort}/images", within=config),
                "oasis1": lookup("cohorts/{cohort}/images", within=config),
            },
        ),
        tables=branch(
            lookup("cohorts/{cohort}/source", within=config),
            cases={
                "simulated": "<results>/downloads/cohort-{cohort}/tables",
                "download": lookup("cohorts/{cohort}/tables", within=config),
                "oasis1": lookup("cohorts/{cohort}/tables", within=config),
            },
        ),
    output:
        # a conversion that runs again and fails leaves the former dataset; without the report it is made again
        bids=update(directory("<results>/bids/cohort-{cohort}")),
        report="<results>/conversion/cohort-{cohort}/conversion.tsv",
        tables="<results>/conversion/cohort-{cohort}/tables.tsv",
        folders="<results>/conversion/cohort-{cohort}/folders.json",
    log:
        "<logs>/convert_to_bids/cohort-{cohort}.log",
    benchmark:
        "<benchmarks>/convert_to_bids/cohort-{cohort}.tsv"
    conda:
        "../../envs/convert.yaml"
    threads: intake_threads
    resources:
        mem_mb=grows_with_attempt(4000),
        runtime=grows_with_attempt(720),
    params:
        source=lookup("cohorts/{cohort}/source", within=config),
        folders=folders_digest,
        code=script_digest("convert_to_bids"),
    script:
        "../scripts/convert_to_bids.py"


checkpoint list_images:
    """List every candidate image of a cohort with its clinical data, and why it is kept or left out."""
    input:
        bids=branch(
            lookup("cohorts/{cohort}/source", within=config),
            cases={"bids": lookup("cohorts/{cohort}/bids", within=config)},
            otherwise="<results>/bids/cohort-{cohort}",
        ),
        report=branch(
            lookup("cohorts/{cohort}/source", within=config),
            cases={"bids": []},
            otherwise="<results>/conversion/cohort-{cohort}/conversion.tsv",
        ),
        exclude=branch(config["exclude"], then=config["exclude"]),
    output:
        table="<results>/cohorts/cohort-{cohort}/images.tsv",
        values="<results>/cohorts/cohort-{cohort}/values.tsv",
        contents=update("<results>/cohorts/cohort-{cohort}/image_files.tsv"),
    log:
        "<logs>/list_images/cohort-{cohort}.log",
    conda:
        "../../envs/preprocess.yaml"
    threads: intake_threads
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(240),
    params:
        folders=dataset_digest,
        cohort=reading_settings,
        code=script_digest("list_images"),
    script:
        "../scripts/list_images.py"
