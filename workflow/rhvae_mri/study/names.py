"""What the study calls its things, where readers see them."""

from __future__ import annotations

#: The two classes: Alzheimer's disease, which is the positive one, and cognitively normal.
CLASSES = ("AD", "CN")

#: Their labels for the networks.
LABELS = {"CN": 0, "AD": 1}

#: The training set that holds all others.
TRAIN_FULL = "train-full"

#: What every page, table and figure of a simulated study says.
SIMULATED_MARK = "Simulated data"

SIMULATED_NOTICE = (
    "the participants, their images and their diagnoses were made by a program. The results show that the "
    "workflow runs; they say nothing about Alzheimer's disease and cannot be compared with published results."
)
