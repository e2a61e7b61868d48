"""Which images a model sees: from the tables of the study to arrays and image sets.

The networks know arrays only, the tables know image identifiers only; this module is the one place where
the two meet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy
import pandas

from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.study.names import CLASSES, LABELS

_CLASSES_BY_LABEL = (CLASSES[1], CLASSES[0])


def list_class_images(split: str | os.PathLike[str], images: str, diagnosis: str) -> list[str]:
    """List the images of a class of a training set, of validation or of test, in the split's order."""
    rows = read_tsv(split)
    chosen = rows[images] == 1 if images in rows else rows["set"] == images
    return rows["image_id"][chosen & (rows["diagnosis"] == diagnosis)].tolist()


def read_class_images(
    stack: str | os.PathLike[str], split: str | os.PathLike[str], training_set: str, diagnosis: str
) -> numpy.ndarray:
    """Read the images of a class of a training set, as float32 (n, *shape), in the split's order."""
    with ImageStack(stack) as images:
        return images.read_many(list_class_images(split, training_set, diagnosis))


def build_training_sets(
    stack: str | os.PathLike[str],
    split: str | os.PathLike[str],
    training_set: str,
    training_data: str,
    synthetic: Sequence[str | os.PathLike[str]],
    n_synthetic_per_class: int,
) -> tuple[ImageSet, ImageSet]:
    """Build the training and the validation set of one condition; validation images are always real.

    Parameters
    ----------
    stack, split : path
        The packed images of the training cohort and the table of the split.
    training_set : str
        ``train-full``, ``train-50``, …
    training_data : {"real", "classic", "synthetic", "augmented"}
        Real images, real ones that the training transforms, synthetic ones, or real and synthetic ones.
    synthetic, n_synthetic_per_class : sequence of path, int
        The synthetic images of AD and of CN from the generators of this training set, of which so many are
        taken from the first on; empty where the data are real.
    """
    rows = read_tsv(split)
    parts: list[ImagePart] = []
    labels: list[int] = []
    if training_data != "synthetic":
        real = rows[rows[training_set] == 1]
        parts.append(_real_part(stack, real["image_id"]))
        labels += real["diagnosis"].map(LABELS).tolist()
    for diagnosis, source in zip(CLASSES if synthetic else (), synthetic, strict=True):
        with ImageStack(source) as stored:
            parts.append(ImagePart(stored.as_array(), range(n_synthetic_per_class), str(source)))
        labels += [LABELS[diagnosis]] * n_synthetic_per_class
    validation = rows[rows["set"] == "validation"]
    return ImageSet(parts, labels, _CLASSES_BY_LABEL), build_image_set(stack, validation)


def build_image_set(stack: str | os.PathLike[str], rows: pandas.DataFrame) -> ImageSet:
    """Build the image set of rows with image_id and diagnosis; StudyError if the stack lacks an image."""
    labels = rows["diagnosis"].map(LABELS).tolist()
    return ImageSet([_real_part(stack, rows["image_id"])], labels, _CLASSES_BY_LABEL)


def list_evaluated_sets(
    split: str | os.PathLike[str],
    independent: str | os.PathLike[str],
    stacks: Mapping[str, str | os.PathLike[str]],
) -> list[tuple[str, str, ImageSet, list[str]]]:
    """List the sets on which networks are evaluated, each as (cohort, set, images, image_ids).

    They are validation and test of ``split``, and the participants of ``independent`` cohorts, which may be
    none; ``stacks`` has the packed images of each cohort, first those of the one that was split.
    """
    held_out = read_tsv(split)
    held_out = held_out[held_out["set"].isin(["validation", "test"])].assign(cohort=next(iter(stacks)))
    others = read_tsv(independent).assign(set="test")
    sets = []
    for (cohort, name), rows in pandas.concat([held_out, others]).groupby(["cohort", "set"]):
        sets.append((cohort, name, build_image_set(stacks[cohort], rows), rows["image_id"].tolist()))
    return sets


def _real_part(stack: str | os.PathLike[str], image_ids: pandas.Series) -> ImagePart:
    with ImageStack(stack) as images:
        position = {key: row for row, key in enumerate(images.keys)}
        missing = sorted(set(image_ids) - set(position))
        if missing:
            raise StudyError(
                f"The tensor file lacks the images {', '.join(missing[:20])}.",
                where=stack,
                cause="The tensors were packed before the image table or the quality table changed.",
                remedy="Pack them again: snakemake --forcerun pack_tensors.",
            )
        return ImagePart(images.as_array(), [position[key] for key in image_ids], str(stack))
