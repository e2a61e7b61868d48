"""What the check of DICOM series says of one of them."""

from rhvae_mri.convert.archive import Series
from rhvae_mri.convert.series import find_broken_series


def series_problem(series):
    return find_broken_series([series], progress=False).get(series)


def relisted(series):
    """The same series, with the files that are there now."""
    return Series(series.subject, series.image, series.folder, tuple(sorted(series.folder.iterdir())))
