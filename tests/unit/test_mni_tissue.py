import importlib.util

import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.grid import TEMPLATE_ORIGIN, TEMPLATE_SHAPE
from rhvae_mri.preprocess.mni_tissue import read_average


def at(average, *point):
    return average[tuple(round(p - o) for p, o in zip(point, TEMPLATE_ORIGIN, strict=True))]


def test_the_maps_are_on_the_studys_grid():
    image, grey, white = (read_average(name) for name in ("t1", "gm", "wm"))
    assert image.shape == grey.shape == white.shape == TEMPLATE_SHAPE
    assert at(white, 26, -22, 32) > 240  # corona radiata
    assert at(grey, 0, -14, 8) > at(white, 0, -14, 8)  # thalamus
    assert at(image, 0, -14, 100) == 0  # above the head
    volume = (image > 0).sum() / 1000
    assert 1700 < volume < 2000  # millilitres; the average brain is larger than most
    middle = numpy.argwhere(image > 0).mean(axis=0) + TEMPLATE_ORIGIN
    assert abs(middle[0]) < 0.5


def test_missing_nilearn_is_explained(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match="nilearn is not installed"):
        read_average("t1")
