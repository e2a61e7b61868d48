"""BIDS datasets for tests, written in a few lines: tables as text, images by the number of their noise."""

import gzip

import numpy
from nifti_files import SHAPE, encode_nifti

from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.io.files import read_tsv


def image_bytes(number, **options):
    """A compressed image of noise, another one for each number."""
    voxels = numpy.random.default_rng(number).integers(0, 120, SHAPE).astype(numpy.int16)
    return gzip.compress(encode_nifti(voxels, **options), compresslevel=1, mtime=0)


def table(*rows):
    """Rows of words as tab-separated text."""
    return "".join("\t".join(row.split()) + "\n" for row in rows)


def write_bids(folder, files):
    """Write a dataset: by path, its text, its bytes, or the number of an image."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            content = image_bytes(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def people(*names, columns="age sex diagnosis site mmse", cells="70 F AD Oslo 25"):
    """A table of participants that are all alike."""
    return table(f"participant_id {columns}", *(f"{name} {cells}" for name in names))


def plain_bids(folder, **changed):
    """Three participants with one image each; ``changed`` are further files, with ``/`` as ``__``."""
    names = ["sub-01", "sub-02", "sub-03"]
    files = {"participants.tsv": people(*names)}
    files |= {f"{name}/anat/{name}_T1w.nii.gz": number for number, name in enumerate(names)}
    return write_bids(folder, files | changed)


def listing(folder, **options):
    """List the images of a dataset; return the table of images by image, and that of the values."""
    target, values = folder.parent / "images.tsv", folder.parent / "values.tsv"
    list_images("X", folder, None, None, target, values=values, **options)
    return read_images(target).set_index("image_id"), read_tsv(values, ("value", "participants"))


def fates(folder, **options):
    """The fate of each file of a dataset, by its name: the reason, or ``kept``."""
    images, _ = listing(folder, **options)
    images = images[images["path"].notna()]
    names = images["path"].str.rpartition("/")[2]
    return dict(zip(names, images["reason"].fillna("kept"), strict=True))
