"""The one error type that is meant for users."""

from __future__ import annotations

import os

from rhvae_mri.io.texts import visible


class StudyError(Exception):
    """A problem with the input, the configuration or the machine that a user can act on.

    `what` is one sentence; `where` the file, image, column or key concerned, `cause` the likely one, `remedy`
    what to do next.

    Examples
    --------
    >>> print(StudyError("The table is empty.", where="tables/ADNIMERGE.csv", remedy="Download it again."))
    The table is empty.
      where:        tables/ADNIMERGE.csv
      what to do:   Download it again.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | os.PathLike[str] | None = None,
        cause: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        # names of files and cells of tables are in these texts; line breaks are ours
        details = {"where": self.where, "likely cause": self.cause, "what to do": self.remedy}
        lines = [f"  {name + ':':<13} {text}" for name, text in details.items() if text is not None]
        return "\n".join(visible(line) for line in "\n".join([self.what, *lines]).split("\n"))
