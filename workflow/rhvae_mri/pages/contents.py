"""What a study writes for its readers, in the order in which they are led to it."""

from __future__ import annotations

#: The figures: what each is called in the names of files, by category. Each has a caption of that name in
#: ``workflow/report``; a name that goes on, such as ``training_baseline_train-50``, belongs to the figure
#: that it begins with.
FIGURES = {
    "Results": ("sizes", "seeds", "roc", "reliability", "confusion"),
    "Synthetic images": ("slices", "intruders", "generation", "losses"),
    "Networks": ("networks", "training", "saliency", "search"),
    "Data": ("split", "scheme"),
}

#: The names of all captions.
CAPTIONS = tuple(name for names in FIGURES.values() for name in names)

#: The tables and pages: their files in the results folder without the ending, and what they are.
TABLES = {
    "tables/classification": "The paper's table, ours beside the published numbers",
    "tables/comparisons": "Every condition compared with real images alone",
    "tables/published": "Every published number, and whether it is reproduced",
    "tables/assumptions": "What had to be assumed, and where it can be changed",
    "tables/demographics": "Who is in each set, with tests and standardized differences",
    "tables/generation": "Quality of the synthetic images of every RHVAE",
    "tables/runs": "Every metric of every run",
    "tables/histories": "Training history of every run",
    "tables/layers": "Layers of all networks",
    "statistics/estimates": "Means over the runs with intervals",
    "statistics/roc": "ROC curves with bands",
    "statistics/confusion": "Confusion matrices",
    "statistics/calibration": "Calibration",
    "statistics/reliability": "Reliability curves",
    "split/split": "Participants and the sets that they are in",
    "split/demographics": "Demographics of every set",
    "split/differences": "Standardized differences between the sets",
    "split/balance": "Tests of the balance between sets",
    "split/independent": "Tested participants of the independent cohorts",
    "split/leakage": "Check that no participant is in two sets",
}

#: Endings of files and what they are called.
KINDS = {
    "html": "page",
    "tsv": "TSV",
    "md": "Markdown",
    "tex": "LaTeX",
    "json": "JSON",
    "yaml": "YAML",
    "svg": "SVG",
    "pdf": "PDF",
}


def caption_of(name: str) -> str | None:
    """Return the name of a figure's caption; None for a figure that has none.

    Examples
    --------
    >>> caption_of("training_baseline_train-50"), caption_of("seeds"), caption_of("seedling")
    ('training', 'seeds', None)
    """
    return next((known for known in CAPTIONS if name == known or name.startswith(f"{known}_")), None)
