"""Changes of orientation and intensities of an image."""

from __future__ import annotations

import gzip
import itertools
import math
import random
from collections.abc import Callable

import nibabel
import numpy
from fuzz_dataset import PEOPLE, SAME, Change, Files, Outcome, decode, images_of, without

Maker = Callable[[Files, random.Random], Change]
PASSED, FAILED, EITHER = ("passed",), ("failed",), ("passed", "failed")


def _choose(dice: random.Random, files: Files) -> tuple[str, numpy.ndarray, numpy.ndarray]:
    """Draw the first image of a participant; give its path, voxels and affine."""
    path = images_of(dice.choice(PEOPLE)[0])[0]
    image = decode(files[path])
    return path, numpy.asarray(image.dataobj), image.affine


def _replace(
    files: Files,
    path: str,
    what: str,
    content: bytes,
    verdicts: tuple[str, ...],
    *,
    refused: str = "",
    twin: str = "",
) -> Change:
    """Put another content in the place of an image; ``refused``: the reason with which it is left out."""
    outcomes = (Outcome(without(path, refused)),) if refused else (SAME,)
    if verdicts and refused:
        outcomes = (*outcomes, SAME)
    return Change(
        f"{path}: {what}", files | {path: content}, outcomes, path if verdicts else "", verdicts, twin
    )


def _rotation(axis: int, degrees: float) -> numpy.ndarray:
    first, second = [one for one in range(3) if one != axis]
    matrix = numpy.eye(4)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def _about_centre(turn: numpy.ndarray, shape: tuple[int, ...], affine: numpy.ndarray) -> numpy.ndarray:
    """Turn an affine about the centre of the image."""
    centre = affine @ [*((numpy.array(shape) - 1) / 2), 1]
    move, back = numpy.eye(4), numpy.eye(4)
    move[:3, 3], back[:3, 3] = centre[:3], -centre[:3]
    return move @ turn @ back @ affine


def _image(voxels: numpy.ndarray, sform: numpy.ndarray | None, qform: numpy.ndarray | None) -> bytes:
    """Encode an image with the two forms as they are given; nibabel would put them right."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_qform(qform, 1 if qform is not None else 0)
    header.set_sform(sform, 1 if sform is not None else 0)
    for name, value in {"scl_slope": 1, "scl_inter": 0, "vox_offset": 352, "xyzt_units": 2}.items():
        header[name] = value
    return gzip.compress(header.binaryblock + bytes(4) + voxels.tobytes("F"), compresslevel=1, mtime=0)


def reorder_axes(files: Files, dice: random.Random) -> Change:
    """The same image in another order of its voxels, which the header says."""
    path, voxels, affine = _choose(dice, files)
    order, signs = dice.choice(
        list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
    )
    matrix = numpy.zeros((4, 4))
    matrix[3, 3] = 1
    for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[old, new] = sign
        matrix[old, 3] = 0 if sign == 1 else voxels.shape[old] - 1
    moved = numpy.flip(voxels.transpose(order), [axis for axis, sign in enumerate(signs) if sign == -1])
    form = affine @ matrix
    kept = dice.choice(["both", "sform", "qform"])
    content = _image(moved, form if kept != "qform" else None, form if kept != "sform" else None)
    return _replace(files, path, f"axes {order} {signs}, {kept}", content, PASSED)


def shift_origin(files: Files, dice: random.Random) -> Change:
    """Another origin."""
    path, voxels, affine = _choose(dice, files)
    distance = dice.choice([0, 5, 30, 200])
    shift = numpy.eye(4)
    shift[:3, 3] = distance * numpy.array(dice.choice([(1, 0, 0), (0, -1, 0), (0, 0, 1), (0.6, 0.8, 0)]))
    return _replace(
        files,
        path,
        f"origin {distance} mm away",
        _image(voxels, shift @ affine, shift @ affine),
        PASSED if distance <= 30 else EITHER,
    )


def turn_header(files: Files, dice: random.Random) -> Change:
    """A header that is turned, and voxels that are not: registration seldom finds the way back, and may."""
    path, voxels, affine = _choose(dice, files)
    axis, degrees = dice.randrange(3), dice.choice([90, 180, 270])
    form = _about_centre(_rotation(axis, degrees), voxels.shape, affine)
    return _replace(
        files,
        path,
        f"header turned by {degrees} degrees about {'xyz'[axis]}",
        _image(voxels, form, form),
        EITHER,
    )


def tilt_header(files: Files, dice: random.Random) -> Change:
    """A head that lies a little turned, as heads do."""
    path, voxels, affine = _choose(dice, files)
    axis, degrees = dice.randrange(3), dice.choice([-15, -8, 8, 15])
    form = _about_centre(_rotation(axis, degrees), voxels.shape, affine)
    return _replace(
        files, path, f"tilted by {degrees} degrees about {'xyz'[axis]}", _image(voxels, form, form), PASSED
    )


def reverse_slices(files: Files, dice: random.Random) -> Change:
    """Voxels that are reversed front to back or top to bottom, and a header that is not."""
    path, voxels, affine = _choose(dice, files)
    axis = dice.choice([1, 2])
    return _replace(
        files, path, f"axis {axis} reversed", _image(numpy.flip(voxels, axis), affine, affine), FAILED
    )


def bad_header(files: Files, dice: random.Random) -> Change:
    """A header that contradicts itself, or describes no head."""
    path, voxels, affine = _choose(dice, files)
    mirror = numpy.diag([-1.0, 1, 1, 1])
    turned = _about_centre(_rotation(dice.randrange(3), dice.choice([90, 180])), voxels.shape, affine)
    sheared = affine.copy()
    sheared[0, 1] = 1.5
    broken = affine.copy()
    broken[dice.randrange(3), dice.randrange(4)] = dice.choice([math.nan, math.inf])
    flat = affine.copy()
    flat[:, 1] = 0
    scale = lambda factor: affine @ numpy.diag([factor, factor, factor, 1])  # noqa: E731
    what, (sform, qform) = dice.choice(
        [
            ("sform mirrored", (mirror @ affine, affine)),
            ("qform mirrored", (affine, mirror @ affine)),
            ("sform turned", (turned, affine)),
            ("qform turned", (affine, turned)),
            ("neither", (None, None)),
            ("sheared", (sheared, None)),
            ("not finite", (broken, None)),
            ("flat", (flat, None)),
            ("voxels x10", (scale(10), scale(10))),
            ("voxels /10", (scale(0.1), scale(0.1))),
            ("voxels x1000", (scale(1000), None)),
            ("sform doubled", (scale(2), affine)),
        ]
    )
    return _replace(files, path, what, _image(voxels, sform, qform), (), refused="grossly wrong geometry")


def bad_shape(files: Files, dice: random.Random) -> Change:
    """One slice, a series of volumes, colours, complex numbers, or another unit."""
    path, voxels, affine = _choose(dice, files)
    what = dice.choice(["slice", "volumes", "colours", "complex", "one volume", "metres"])
    if what == "one volume":
        return _replace(files, path, what, _image(voxels[..., None], affine, affine), PASSED)
    metres = bytearray(gzip.decompress(_image(voxels, affine, affine)))
    metres[123] = 1
    rgb = numpy.zeros(voxels.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    content = {
        "slice": _image(voxels[:, :, 20:21], affine, affine),
        "volumes": _image(numpy.stack([voxels] * 3, axis=-1), affine, affine),
        "colours": _image(rgb, affine, affine),
        "complex": _image(voxels.astype(numpy.complex64), affine, affine),
        "metres": gzip.compress(bytes(metres)),
    }[what]
    return _replace(files, path, what, content, (), refused="grossly wrong geometry|wrong data type")


def other_numbers(files: Files, dice: random.Random) -> Change:
    """The same image in other numbers."""
    path, voxels, affine = _choose(dice, files)
    what = dice.choice(
        [
            "float64",
            "float32",
            "int32",
            "uint16",
            "x 0.01",
            "x 40",
            "slope",
            "slope 0",
            "slope NaN",
            "+ 100",
            "x -1 slope",
        ]
    )
    image = nibabel.Nifti1Image(voxels, affine)
    if what in ("float64", "float32", "int32", "uint16"):
        image = nibabel.Nifti1Image(voxels.astype(what), affine)
    elif what in ("x 0.01", "x 40", "+ 100"):
        values = {"x 0.01": voxels * 0.01, "x 40": voxels * 40.0, "+ 100": voxels + 100.0}[what]
        image = nibabel.Nifti1Image(values.astype(numpy.float32), affine)
    content = bytearray(image.to_bytes())
    if what.startswith("slope"):
        slope = {"slope": 2.5, "slope 0": 0.0, "slope NaN": math.nan}[what]
        content[112:120] = numpy.array([slope, 0 if slope == 2.5 else slope], "<f4").tobytes()
    elif what == "x -1 slope":
        content = bytearray(nibabel.Nifti1Image(-voxels, affine).to_bytes())
        content[112:120] = numpy.array([-1, 0], "<f4").tobytes()
    return _replace(files, path, what, gzip.compress(bytes(content), 1), PASSED)


def doubtful_numbers(files: Files, dice: random.Random) -> Change:
    """Intensities that may be used or not, but not end in another image without a word."""
    path, voxels, affine = _choose(dice, files)
    values = voxels.astype(numpy.float32)
    place = tuple(dice.randrange(length) for length in values.shape)
    what = dice.choice(
        [
            "one bright voxel x20",
            "one bright voxel x1000",
            "minus 200",
            "clipped",
            "bright corner",
            "a thousand zeros",
            "zoomed",
        ]
    )
    if what.startswith("one"):
        values[place] = values.max() * (20 if what.endswith("x20") else 1000)
    elif what == "minus 200":
        values -= 200
    elif what == "clipped":
        values = values.clip(max=numpy.percentile(values, 90))
    elif what == "bright corner":
        values[:4, :4, :4] = values.max() * 5
    elif what == "a thousand zeros":
        values.ravel()[numpy.random.default_rng(0).integers(0, values.size, 1000)] = 0
    if what == "zoomed":
        affine = affine @ numpy.diag([1.4, 1.4, 1.4, 1])
    return _replace(files, path, what, _image(values, affine, affine), EITHER)


def wrong_numbers(files: Files, dice: random.Random) -> Change:
    """Intensities that are no T1-weighted head any more."""
    path, voxels, affine = _choose(dice, files)
    values = voxels.astype(numpy.float32)
    what = dice.choice(
        [
            "constant",
            "inverted",
            "overflow of int8",
            "overflow of int16",
            "NaN",
            "infinite",
            "half",
            "noise",
            "checksum",
            "mask",
            "zeros",
        ]
    )
    if what == "checksum":
        content = bytearray(files[path])
        content[-8] ^= 0xFF
        return _replace(files, path, what, bytes(content), FAILED, refused="unreadable NIfTI")
    middle = dice.randrange(3)
    where = [slice(None)] * 3
    where[middle] = (
        slice(0, values.shape[middle] // 2) if dice.random() < 0.5 else slice(values.shape[middle] // 2, None)
    )
    if what == "half":
        values[tuple(where)] = 0
        what += f" of axis {middle} empty: {where[middle]}"
    values = {
        "constant": numpy.full_like(values, 7),
        "inverted": values.max() - values,
        "overflow of int8": (voxels % 256).astype(numpy.uint8).view(numpy.int8),
        "overflow of int16": (voxels.astype(int) * 100).astype(numpy.int16),
        "NaN": numpy.where(numpy.random.default_rng(0).random(values.shape) < 0.001, numpy.nan, values),
        "infinite": numpy.where(values == values.max(), numpy.inf, values),
        "noise": numpy.random.default_rng(0).normal(300, 50, values.shape).astype(numpy.float32),
        "mask": (values > 60).astype(numpy.uint8),
        "zeros": numpy.where(numpy.arange(values.size).reshape(values.shape) == 7, 1, 0).astype(numpy.int16),
    }.get(what, values)
    return _replace(files, path, what, _image(values, affine, affine), FAILED)


def near_duplicate(files: Files, dice: random.Random) -> Change:
    """One participant's image in the place of another's: rescaled, shifted or with noise."""
    one, other = dice.sample([who for who, *_ in PEOPLE], 2)
    image = decode(files[images_of(one)[0]])
    values = numpy.asarray(image.dataobj).astype(numpy.float32)
    what = dice.choice(["x 1.3", "shifted", "noise", "gamma"])
    values = {
        "x 1.3": values * 1.3,
        "shifted": numpy.roll(values, 1, axis=dice.randrange(3)),
        "noise": values + numpy.random.default_rng(0).normal(0, 5, values.shape).astype(numpy.float32),
        "gamma": values.clip(min=0) ** 0.9,
    }[what]
    path = images_of(other)[0]
    content = _image(values, image.affine, image.affine)
    return _replace(files, path, f"{one}'s, {what}", content, EITHER, twin=one)


ORIENTATION: list[Maker] = [
    reorder_axes,
    reorder_axes,
    shift_origin,
    turn_header,
    turn_header,
    tilt_header,
    reverse_slices,
    bad_header,
    bad_header,
]
INTENSITY: list[Maker] = [
    other_numbers,
    other_numbers,
    doubtful_numbers,
    doubtful_numbers,
    wrong_numbers,
    wrong_numbers,
    wrong_numbers,
    bad_shape,
]
