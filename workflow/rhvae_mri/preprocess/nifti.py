"""Opening a NIfTI file, and what its header must say before its voxels are read.

The table of images and the steps of the preprocessing go by the same checks, and refuse an image with the
same words.

No check finds a header that says consistently the wrong thing: an image whose voxels were flipped left to
right without a change of its header looks like the head of another person. Only an sform and a qform that
contradict each other give a flip away. A grid that runs from right to left (radiological order) is no flip:
the header says so.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from numpy import ndarray

if TYPE_CHECKING:
    import nibabel

#: The kinds of faults, as the tables name them.
UNREADABLE = "unreadable NIfTI"
GEOMETRY = "grossly wrong geometry"
DATA_TYPE = "wrong data type"

#: Smallest number of voxels along an axis for an image of a head, and largest number of all voxels: 2 GiB as
#: float32, a cube of 812 voxels.
MINIMUM_VOXELS = 8
MAXIMUM_VOXELS = 2**29

#: Bytes of a file behind its voxels, and before them, which padding and extensions never come near.
_MAXIMUM_SURPLUS = 2**24
_MAXIMUM_OFFSET = 2**28

#: Plausible voxel sizes, in mm: from high-resolution research scans to coarse localizers.
VOXEL_SIZE = (0.2, 10.0)

#: Largest cosine between two axes of the voxel grid that still counts as a right angle.
SHEAR_TOLERANCE = 1e-3

#: Sform and qform may describe different spaces (scanner and template), so they may differ by the pose and
#: the size of a head. The bounds (degrees, factor) were chosen, not measured; the registration makes up for
#: all within them.
FORM_ANGLE, FORM_SCALE = 45.0, 1.5

#: How far the square of a quaternion's vector part may step over 1: three decimal places do as much.
QUATERNION_TOLERANCE = 0.01

_CONVERT_AGAIN = "Convert the image again from DICOM with dcm2niix."

#: The units of length that NIfTI has beside mm (2) and unknown (0, taken for mm).
_FOREIGN_UNITS = {1: "metre", 3: "micrometre"}


class NiftiError(Exception):
    """A NIfTI file that cannot be used: the kind of fault, and half a sentence without paths or free text."""

    def __init__(self, kind: str, words: str, cause: str | None = None, remedy: str | None = None) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind, self.words, self.cause, self.remedy = kind, words, cause, remedy


def _wrong_geometry(words: str, cause: str | None = None, remedy: str | None = None) -> NiftiError:
    return NiftiError(GEOMETRY, words, cause, remedy)


def file_fault(path: Path) -> str | None:
    """Say why there is nothing to read at a path, or return None."""
    if path.is_dir():
        return "it is a folder"
    if not path.exists():
        return f"{'the file that it links to' if path.is_symlink() else 'the file'} does not exist"
    if not path.is_file():
        return "it is no regular file"
    if path.stat().st_size == 0:
        return "the file is empty"
    return None if os.access(path, os.R_OK) else "there is no permission to read the file"


def open_nifti(path: Path) -> nibabel.Nifti1Pair:
    """Open a NIfTI file; only its header is read."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    if fault := file_fault(path):
        raise NiftiError(UNREADABLE, fault)
    if path.suffix == ".gz":
        with open(path, "rb") as file:
            if file.read(2) != b"\x1f\x8b":
                raise NiftiError(UNREADABLE, "it is not compressed with gzip, as its name says")
    try:
        kinds = filter(lambda kind: kind.path_maybe_image(path)[0], _lenient_images())
        image = next(kinds, nibabel).load(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise NiftiError(UNREADABLE, gzip_fault(error)) from error
    except ImageFileError as error:
        raise NiftiError(UNREADABLE, "its content is not NIfTI") from error
    except OSError as error:
        raise NiftiError(UNREADABLE, _system_words(error)) from error
    except (HeaderDataError, ValueError, OverflowError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise NiftiError(UNREADABLE, f"its header is damaged ({words})") from error
    if not isinstance(image, nibabel.Nifti1Pair):
        raise NiftiError(UNREADABLE, f"it is in the format {type(image).__name__}")
    return image


@cache
def _lenient_images() -> list[type[nibabel.Nifti1Pair]]:
    """Make nibabel's classes leave extensions unread and accept rounded quaternions."""
    # extensions hold nothing that the study needs; where the voxels begin does not depend on their content
    import nibabel
    from nibabel.nifti1 import Nifti1Extensions

    unread = type("Unread", (Nifti1Extensions,), {"from_fileobj": classmethod(lambda kind, *_: kind())})
    kinds = []
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        members = {"exts_klass": unread, "quaternion_threshold": -QUATERNION_TOLERANCE}
        header = type("Header", (kind.header_class,), members)
        kinds.append(type(kind.__name__, (kind,), {"header_class": header}))
    return kinds


def open_checked(path: Path) -> tuple[nibabel.Nifti1Pair, ndarray]:
    """Open a NIfTI file, check its header, and read its voxels; see `read_voxels`."""
    image = open_nifti(path)
    check_header(path, image)
    return image, read_voxels(path, image)


def check_header(path: Path, image: nibabel.Nifti1Pair) -> None:
    """Refuse a header that does not describe one 3-D image of a head with its place in space."""
    if image.dataobj.offset < type(image.header).sizeof_hdr:
        raise NiftiError(UNREADABLE, f"its voxels begin at byte {image.dataobj.offset}, inside the header")
    _check_shape(volume_shape(image))
    _check_data_type(image.get_data_dtype())
    if not (image.header["sform_code"] or image.header["qform_code"]):
        raise _wrong_geometry(
            "the header does not say which way is left: neither sform nor qform is set",
            "The image was converted from Analyze or written without its affine matrix.",
            _CONVERT_AGAIN,
        )
    _check_voxel_size(path, image)
    _check_forms_agree(path, image)


def volume_shape(image: nibabel.Nifti1Pair) -> tuple[int, ...]:
    """Return the shape of an image without axes of length 1 after the third."""
    shape = tuple(int(count) for count in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def read_voxels(path: Path, image: nibabel.Nifti1Pair) -> ndarray:
    """Read the scaled voxels of a checked image as float32, in the shape of `volume_shape`.

    nibabel stops behind the last voxel, before the checksum of a gzip file. Here the file is read to its end.
    """
    try:
        content = b"".join(uncompressed(path, image)) if path.suffix == ".gz" else path.read_bytes()
        if len(content) < needed_length(image):
            raise NiftiError(UNREADABLE, "the file is shorter than its header says")
        with numpy.errstate(over="ignore"):  # values beyond float32 become infinite, which is checked
            voxels = numpy.asarray(type(image).from_bytes(content).dataobj, dtype=numpy.float32)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise NiftiError(UNREADABLE, gzip_fault(error)) from error
    except OSError as error:
        raise NiftiError(UNREADABLE, _system_words(error)) from error
    return voxels.reshape(volume_shape(image))


def uncompressed(path: Path, image: nibabel.Nifti1Pair) -> Iterator[bytes]:
    """Yield the content of a compressed file, but little more than its header says: it may be gigabytes."""
    offset = image.dataobj.offset
    left = needed_length(image) - offset + min(offset, _MAXIMUM_OFFSET) + _MAXIMUM_SURPLUS
    with gzip.open(path, "rb") as file:
        while block := file.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise NiftiError(UNREADABLE, "the compressed file holds much more than its header says")
            yield block


def needed_length(image: nibabel.Nifti1Pair) -> int:
    """Return how many bytes the file must have, uncompressed, to hold all voxels."""
    return image.dataobj.offset + math.prod(image.shape) * image.get_data_dtype().itemsize


def gzip_fault(error: Exception) -> str:
    """Say what is wrong with a gzip file, by the error of reading it."""
    if isinstance(error, EOFError):
        return "the compressed file is cut short"
    if "CRC" in str(error) or "length" in str(error):
        return "the compressed file is damaged: its checksum is wrong"
    if "Not a gzipped file" in str(error):
        return "the compressed file is damaged: there is something else behind its end"
    return "the compressed file is damaged"


def times(numbers: Iterable[float]) -> str:
    """Write the numbers of a shape or an extent."""
    return " x ".join(f"{number:.4g}" if isinstance(number, float) else str(number) for number in numbers)


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        words = f"{len(shape)} dimensions ({times(shape)}) instead of 3"
        raise _wrong_geometry(words, "It is a series of volumes or a single slice, not an anatomical scan.")
    if min(shape) < MINIMUM_VOXELS:
        raise _wrong_geometry(f"only {times(shape)} voxels", "It is a localizer, or slices are missing.")
    if math.prod(shape) > MAXIMUM_VOXELS:
        words = f"{times(shape)} voxels are too many for a head"
        raise _wrong_geometry(words, "The header is damaged.")


def _check_data_type(data_type: numpy.dtype) -> None:
    """Refuse voxels that are more than one number each."""
    remedy = "Convert the magnitude image of the T1-weighted series."
    if data_type.names:
        words = f"colours ({''.join(data_type.names)}) instead of intensities"
        raise NiftiError(DATA_TYPE, words, cause="It is a screenshot or a colour map.", remedy=remedy)
    if data_type.kind == "c":
        words = f"complex numbers ({data_type.name}) instead of a magnitude"
        raise NiftiError(DATA_TYPE, words, cause="It is raw scanner output.", remedy=remedy)


def _check_voxel_size(path: Path, image: nibabel.Nifti1Pair) -> None:
    """Refuse an affine that is not finite, singular, sheared, or not in mm."""
    axes = image.affine[:3, :3]
    sizes = numpy.linalg.norm(axes, axis=0)
    if not numpy.isfinite(image.affine).all() or abs(numpy.linalg.det(axes / sizes.clip(min=1e-9))) < 1e-6:
        raise _wrong_geometry("the affine matrix of the header is not invertible", remedy=_CONVERT_AGAIN)
    unit = _FOREIGN_UNITS.get(int(image.header["xyzt_units"]) & 7)
    if unit:
        remedy = "Multiply the affine matrix, or correct the unit if that alone is wrong."
        raise _wrong_geometry(f"voxels of {times(sizes)} in the unit {unit}, not mm", remedy=remedy)
    if not image.header["sform_code"]:
        # nibabel takes 1 mm for a size of zero, and drops the sign of a negative one
        stored = _stored_sizes(path, image)
        sizes = numpy.where(stored > 0, sizes, stored)
    if (sizes < VOXEL_SIZE[0]).any() or (sizes > VOXEL_SIZE[1]).any():
        cause = "The header is damaged, or its unit is not mm."
        raise _wrong_geometry(f"voxels of {times(sizes)} mm", cause, _CONVERT_AGAIN)
    directions = axes / sizes
    if numpy.abs(directions.T @ directions - numpy.eye(3)).max() > SHEAR_TOLERANCE:
        raise _wrong_geometry(
            "the axes of the image are not at right angles to each other",
            "It was scanned with a tilted gantry, or a sheared transform was written into its header.",
            "Resample it to a rectangular grid first; ANTs reads no other.",
        )


def _stored_sizes(path: Path, image: nibabel.Nifti1Pair) -> ndarray:
    """Read the voxel sizes of the header as they are in the file."""
    from nibabel.openers import ImageOpener

    header_class = type(image.header)
    with ImageOpener(path) as file:
        header = header_class(file.read(header_class.sizeof_hdr), check=False)
    return numpy.array(header["pixdim"][1:4], dtype=float)


def _check_forms_agree(path: Path, image: nibabel.Nifti1Pair) -> None:
    """Refuse an sform and a qform of which one must be wrong."""
    if not (image.header["sform_code"] and image.header["qform_code"]):
        return
    try:
        s_axes, s_sizes = _directions(image.get_sform())
        q_axes, q_sizes = _directions(image.get_qform())
    except ValueError:  # a quaternion that is no rotation
        q_axes = numpy.full((3, 3), numpy.nan)
    if not numpy.isfinite(q_axes).all():
        raise _wrong_geometry("the qform of the header is no rotation", remedy=_CONVERT_AGAIN)
    contradict = "sform and qform of the header contradict each other"
    remedy = "Find out which one is right and write it in both places, or convert the image again from DICOM."
    if numpy.linalg.det(s_axes) * numpy.linalg.det(q_axes) < 0:
        cause = "One of the two was flipped and the other was not."
        raise _wrong_geometry(f"{contradict} in what is left and right", cause, remedy)
    cosine = (numpy.trace(s_axes.T @ q_axes) - 1) / 2
    angle = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
    if angle > FORM_ANGLE:
        cause = "The axes were swapped or turned in one of the two only."
        raise _wrong_geometry(f"{contradict} by a rotation of {angle:.0f} degrees", cause, remedy)
    if not (_stored_sizes(path, image) > 0).all():
        return  # the qform has no sizes, and nibabel takes 1 mm for them
    ratio = s_sizes / q_sizes
    if (ratio > FORM_SCALE).any() or (ratio < 1 / FORM_SCALE).any():
        words = f"{contradict}: voxels of {times(s_sizes)} and {times(q_sizes)} mm"
        raise _wrong_geometry(words, "The image was resampled and only one of the two was changed.", remedy)


def _directions(form: ndarray) -> tuple[ndarray, ndarray]:
    sizes = numpy.linalg.norm(form[:3, :3], axis=0)
    return form[:3, :3] / sizes, sizes


def _system_words(error: OSError) -> str:
    """Return what the operating system says, without the path."""
    return f"reading failed ({error.strerror or type(error).__name__})"
