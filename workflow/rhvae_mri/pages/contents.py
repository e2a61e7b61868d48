"""What a study writes for its readers, in the order in which they are led to it."""

from __future__ import annotations

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
