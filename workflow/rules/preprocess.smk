"""The template; per image N4 bias field correction, affine registration to MNI space, crop: the study's recipe."""


rule prepare_template:
    """Put the template on the study's grid, at the voxel size of the configuration."""
    input:
        file=branch(
            lookup("template/source", within=config),
            cases={"file": lookup("template/file", within=config)},
            otherwise=[],
        ),
        descriptor=workflow_file("../../resources/template.json"),
    output:
        image="<results>/template/template.nii.gz",
        sidecar="<results>/template/template.json",
    log:
        "<logs>/prepare_template.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(60),
    params:
        template=settings("template"),
        code=script_digest("prepare_template"),
    script:
        "../scripts/prepare_template.py"


rule outline_regions:
    """Label brain, rest of the head and surroundings of the template on the grid of the cropped images."""
    input:
        template="<results>/template/template.nii.gz",
    output:
        image="<results>/template/regions.nii.gz",
        sidecar="<results>/template/regions.json",
    log:
        "<logs>/outline_regions.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(30),
    params:
        code=script_digest("outline_regions"),
    script:
        "../scripts/outline_regions.py"


#: What the files of an image begin with in its dataset of derivatives, and those in the template's space.
IMAGE = "<results>/derivatives/cohort-{cohort}/{folder}/anat/{image_id}"
IMAGE_IN_SPACE = f"{IMAGE}_space-MNI152NLin2009cSym_res-{RES}"


rule preprocess_image:
    """Correct the bias field of one image (N4), register it to the template (rigid, then affine), crop it."""
    input:
        # what is in the file decides, not its time
        image=ancient(raw_image),
        template="<results>/template/template.nii.gz",
    output:
        corrected=f"{IMAGE}_desc-N4_T1w.nii.gz",
        registered=f"{IMAGE_IN_SPACE}_T1w.nii.gz",
        affine=f"{IMAGE_IN_SPACE}_affine.mat",
        cropped=f"{IMAGE_IN_SPACE}_desc-Crop_T1w.nii.gz",
        sidecars=[
            f"{IMAGE}_desc-N4_T1w.json",
            *multiext(
                IMAGE_IN_SPACE, "_T1w.json", "_affine.json", "_desc-Crop_T1w.json"
            ),
        ],
    log:
        "<logs>/preprocess_image/cohort-{cohort}/{folder}/{image_id}.log",
    benchmark:
        "<benchmarks>/preprocess_image/cohort-{cohort}/{folder}/{image_id}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=image_memory,
        runtime=grows_with_attempt(40),
    params:
        image=image_content,
        n4=settings("bias_correction"),
        levels=settings("registration"),
        voxel_size=lookup("template/voxel_size", within=config),
        seed=SEED,
        code=script_digest("preprocess_image"),
    script:
        "../scripts/preprocess_image.py"
