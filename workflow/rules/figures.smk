"""The figures: one rule for each entry of their registry, and which of them a study has."""

from rhvae_mri.figures.registry import FIGURES, log_name, short_name, wildcards_of

#: What the names in braces stand for in the inputs of figures.
FIGURE_FILES = {
    "diagnosis": CLASSES,
    "each_cohort": COHORTS,
    "training_cohort": TRAINING_COHORT,
    "rhvae_training_set": RHVAE_TRAINING_SETS,
    "saliency_condition": [
        condition_path(condition) for condition in SALIENCY_CONDITIONS
    ],
}
#: What the functions that draw figures can ask for.
FIGURE_ARGUMENTS = {
    "cohorts": COHORTS,
    "conditions": CONDITIONS,
    "generated_per_class": N_SYNTHETIC,
    "generators": [name for name in GENERATORS if name not in CONTROLS],
    "models": list(product(RHVAE_TRAINING_SETS, CLASSES)),
    "n_seeds": config["cnn"]["seeds"],
    "seed": SEED,
    "training_cohort": TRAINING_COHORT,
}
#: Whether the study has what figures need.
FIGURE_NEEDS = {
    "": True,
    "synthetic images": MEASURED != [],
    "RHVAE": RHVAE_TRAINING_SETS != [],
    "saliency": SALIENCY_CONDITIONS != [],
    "search": False,  # a target of its own
}
#: How the report calls the wildcards of figures.
FIGURE_LABELS = {
    "architecture": "network",
    "cohort": "test set",
    "model": "network",
    "other_generator": "other generator",
    "resolution": "resolution",
    "training_set": "training set",
}


def study_files(path):
    """One file that a figure is drawn from, or the list of those of the study."""
    if path.startswith("resources/"):
        return workflow_file(f"../../{path}")
    if "{other_generator}" in path:

        def of_generator(wildcards):
            pictured = PICTURED_TRAINING_SETS[wildcards.other_generator]
            return expand(
                f"<results>/{path}",
                other_generator=wildcards.other_generator,
                training_set=pictured,
                diagnosis=CLASSES,
            )

        return of_generator
    # in the order of the path, which is that of the list
    chosen = {
        name: FIGURE_FILES[name] for name in wildcards_of(path) if name in FIGURE_FILES
    }
    files = expand(f"<results>/{path}", **chosen, allow_missing=True)
    return files[0] if all(isinstance(one, str) for one in chosen.values()) else files


def figure_name(pattern, entry):
    """The place of a figure's files without their endings: of other generators in folders of their own."""
    part = "{other_generator}" if entry.of_generators else ""
    return f"figures{part}/{pattern}"


def figure_arguments(entry):
    """What the function that draws a figure is given beside its inputs and wildcards."""
    given = {
        name: FIGURE_ARGUMENTS[name]
        for name in entry.arguments
        if name in FIGURE_ARGUMENTS
    }

    def arguments(wildcards):
        pictured = PICTURED_TRAINING_SETS.get(wildcards.get("other_generator"))
        own = {"training_set": pictured} if "training_set" in entry.arguments else {}
        return given | own | {"simulated": SIMULATED}

    return arguments


def figure_files():
    """SVG, PDF and source table of every figure of the study."""
    rest = {
        "cohort": COHORTS,
        "model": ["cnn", "rhvae"] if RHVAE_TRAINING_SETS else ["cnn"],
        "other_generator": list(PICTURED_TRAINING_SETS),
        "picture": ["traversal", "interpolation", "neighbours"],
    }
    files = []
    for pattern, entry in FIGURES.items():
        name = figure_name(pattern, entry)
        wildcards = wildcards_of(name)
        of_networks = [
            {name: one[name] for name in one if name in wildcards} for one in TRAINED
        ]
        others = {name: rest[name] for name in wildcards if name in rest}
        if FIGURE_NEEDS[entry.needs]:
            for one in of_networks:
                files += expand(
                    f"<results>/{name}.{{kind}}",
                    **one,
                    **others,
                    kind=["svg", "pdf", "tsv"],
                )
    return list(dict.fromkeys(files))


for pattern, entry in FIGURES.items():

    rule:
        name:
            f"draw_{short_name(pattern)}"
        input:
            **{name: study_files(path) for name, path in entry.inputs.items()},
            style=workflow_file("../style/study.mplstyle"),
        output:
            **{
                table: f"<results>/{figure_name(pattern, entry)}_{table}.tsv"
                for table in entry.tables
            },
            svg=report(
                f"<results>/{figure_name(pattern, entry)}.svg",
                caption="../report/figure.rst",
                category=entry.category,
                labels={
                    "figure": entry.label,
                    **{
                        FIGURE_LABELS[name]: f"{{{name}}}"
                        for name in wildcards_of(figure_name(pattern, entry))
                        if name in FIGURE_LABELS
                    },
                },
            ),
            pdf=f"<results>/{figure_name(pattern, entry)}.pdf",
            table=f"<results>/{figure_name(pattern, entry)}.tsv",
        log:
            f"<logs>/draw_{log_name(pattern)}{'{other_generator}' if entry.of_generators else ''}.log",
        group:
            # tables and figures of the study must not wait for the search
            "search" if entry.needs == "search" else "reporting"
        conda:
            "../../envs/report.yaml"
        resources:
            mem_mb=grows_with_attempt(2000),
            runtime=grows_with_attempt(10),
        params:
            draw=entry.draw,
            arguments=figure_arguments(entry),
            caption=entry.caption,
            code=script_digest("draw_figure", f"figures.{entry.draw}"),
        script:
            "../scripts/draw_figure.py"
