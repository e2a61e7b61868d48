"""Downloads of pinned files: checked against a SHA-256, retried, resumed, written atomically.

This module is the only one that touches the network.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from rhvae_mri.errors import StudyError

logger = logging.getLogger(__name__)

_BLOCK = 1 << 20

#: Answers after which another attempt may help: time-out, too many requests, and every error of the server.
_TRANSIENT = (408, 425, 429)


class _Interrupted(Exception):
    """A transfer that broke off, or never started, for a reason that may pass."""


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Give the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: str | os.PathLike[str], sha256: str | None = None) -> Path:
    """Check a file that the user gives.

    Parameters
    ----------
    path : path
        The file.
    sha256 : str, optional
        What its SHA-256 must be; without it the file must only exist and not be empty.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    StudyError
        If there is no such file, it is empty, or it is another file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise StudyError(
            "The file does not exist.",
            where=file,
            cause="The path in the configuration is wrong, or the file was moved.",
            remedy="Correct the path. Relative paths start at the folder in which the workflow runs.",
        )
    if file.stat().st_size == 0:
        raise StudyError("The file is empty.", where=file, remedy="Copy or download it again.")
    if sha256 is not None:
        found = sha256_of(file)
        if found != sha256.lower():
            raise StudyError(
                f"The file has the SHA-256 {found}, not the pinned {sha256}.",
                where=file,
                cause="It is another version of the file, or the copy is damaged.",
                remedy="Download it again, or pin its SHA-256 if you mean to use this version.",
            )
    return file


def fetch(
    url: str,
    sha256: str,
    target: str | os.PathLike[str],
    *,
    attempts: int = 5,
    timeout: float = 30.0,
    pause: float = 2.0,
) -> Path:
    """Download a file, unless it is there already.

    What has arrived is kept in ``<target>.part``, from which the next attempt, or the next run, goes on.

    Parameters
    ----------
    url : str
        The address, http or https.
    sha256 : str
        The file's SHA-256.
    target : path
        Where the file is to be.
    attempts : int
        How often to try before giving up.
    timeout : float
        Seconds without any byte after which an attempt ends.
    pause : float
        Seconds before the second attempt; it doubles each time.

    Returns
    -------
    pathlib.Path
        The target.

    Raises
    ------
    StudyError
        If the address is wrong, the server cannot be reached, or the file is not the pinned one.
    """
    target = Path(target)
    if not url.startswith(("http://", "https://")):
        raise StudyError(f"{url} is not an http or https address.", remedy="Correct the descriptor's `url`.")
    if target.is_file() and sha256_of(target) == sha256.lower():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, attempts + 1):
        try:
            resumed = _transfer(url, part, timeout)
            found = sha256_of(part)
            if found == sha256.lower():
                os.replace(part, target)
                return target
            part.unlink()
            if not resumed:
                raise StudyError(
                    f"The download has the SHA-256 {found}, not the pinned {sha256}.",
                    where=url,
                    cause="The file on the server was replaced, or a proxy answered in its place.",
                    remedy=f"Get the right file by other means and put it at {target}.",
                )
            problem = "the parts do not fit together; starting afresh"
        except _Interrupted as error:
            problem = str(error)
        logger.warning("Attempt %d of %d to download %s: %s", attempt, attempts, url, problem)
        if attempt < attempts:
            time.sleep(pause * 2 ** (attempt - 1))
    raise StudyError(
        f"The download failed {attempts} times; the last time: {problem}.",
        where=url,
        cause="This machine has no network, or the server is down.",
        remedy=f"Run again with network (it goes on where it stopped), or put the file at {target}.",
    )


def _transfer(url: str, part: Path, timeout: float) -> bool:
    """Bring ``part`` to its full length; say whether its beginning was there before."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "rhvae-mri"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            resumed = bool(have) and _continues(response, have)
            _receive(response, part, have if resumed else 0)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing after these bytes: they are the whole file, or more
            return True
        if error.code in _TRANSIENT or error.code >= 500:
            raise _Interrupted(f"the server answers {error.code} {error.reason}") from error
        raise StudyError(
            f"The server answers {error.code} {error.reason}.",
            where=url,
            cause="The file was moved or removed.",
            remedy="Look for its new address and correct the descriptor, or give the path of your own copy.",
        ) from error
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        raise _Interrupted(str(getattr(error, "reason", error)) or type(error).__name__) from error
    return resumed


def _continues(response: http.client.HTTPResponse, have: int) -> bool:
    """Say whether the answer starts where the partial file ends."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _receive(response: http.client.HTTPResponse, part: Path, have: int) -> None:
    """Append the answer to the first ``have`` bytes of ``part``, with a progress bar."""
    from tqdm import tqdm

    length = response.headers.get("Content-Length")
    expected = None if length is None else have + int(length)
    with (
        open(part, "r+b" if have else "wb") as file,
        tqdm(total=expected, initial=have, unit="B", unit_scale=True, desc="download", mininterval=5) as bar,
    ):
        file.seek(have)
        while block := response.read(_BLOCK):
            file.write(block)
            bar.update(len(block))
        received = file.tell()
        file.flush()
        os.fsync(file.fileno())
    if expected is not None and received < expected:
        raise _Interrupted(f"the connection ended after {received} of {expected} bytes")
