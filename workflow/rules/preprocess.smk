"""Per image: N4 bias field correction, affine registration to MNI space, crop. The study's recipe."""


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


rule correct_bias:
    """Correct the bias field of one image with N4."""
    input:
        # what is in the file decides, not its time
        image=ancient(raw_image),
    output:
        image="<results>/derivatives/cohort-{cohort}/{folder}/anat/{image_id}_desc-N4_T1w.nii.gz",
        sidecar="<results>/derivatives/cohort-{cohort}/{folder}/anat/{image_id}_desc-N4_T1w.json",
    log:
        "<logs>/correct_bias/cohort-{cohort}/{folder}/{image_id}.log",
    benchmark:
        "<benchmarks>/correct_bias/cohort-{cohort}/{folder}/{image_id}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=n4_memory,
        runtime=grows_with_attempt(20),
    params:
        image=image_content,
        n4=settings("bias_correction"),
        code=script_digest("correct_bias"),
    script:
        "../scripts/correct_bias.py"


rule register_to_mni:
    """Register one bias-corrected image to the template: rigid, then affine."""
    input:
        image="<results>/derivatives/cohort-{cohort}/{folder}/anat/{image_id}_desc-N4_T1w.nii.gz",
        sidecar="<results>/derivatives/cohort-{cohort}/{folder}/anat/{image_id}_desc-N4_T1w.json",
        template="<results>/template/template.nii.gz",
    output:
        image=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_T1w.nii.gz"
        ),
        sidecar=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_T1w.json"
        ),
        affine=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_affine.mat"
        ),
        affine_sidecar=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_affine.json"
        ),
    log:
        "<logs>/register_to_mni/cohort-{cohort}/{folder}/{image_id}_res-{res}.log",
    benchmark:
        "<benchmarks>/register_to_mni/cohort-{cohort}/{folder}/{image_id}_res-{res}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(2000),
        runtime=grows_with_attempt(15),
    params:
        levels=settings("registration"),
        seed=SEED,
        code=script_digest("register_to_mni"),
    script:
        "../scripts/register_to_mni.py"


rule crop_to_template:
    """Crop one registered image to the box of the study's tensors."""
    input:
        image=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_T1w.nii.gz"
        ),
        sidecar=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_T1w.json"
        ),
    output:
        image=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_desc-Crop_T1w.nii.gz"
        ),
        sidecar=(
            "<results>/derivatives/cohort-{cohort}/{folder}/anat/"
            "{image_id}_space-MNI152NLin2009cSym_res-{res}_desc-Crop_T1w.json"
        ),
    log:
        "<logs>/crop_to_template/cohort-{cohort}/{folder}/{image_id}_res-{res}.log",
    conda:
        "../../envs/preprocess.yaml"
    resources:
        mem_mb=grows_with_attempt(500),
        runtime=grows_with_attempt(5),
    params:
        voxel_size=lookup("template/voxel_size", within=config),
        code=script_digest("crop_to_template"),
    script:
        "../scripts/crop_to_template.py"
