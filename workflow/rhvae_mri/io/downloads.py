"""Files from elsewhere that the study needs: pinned downloads, by descriptor, or files of the user's own.

This module is the only one that touches the network. It does not use pooch (1.9), which takes a transfer that
broke off from its start again, in the next attempt and in the next run, and asks again also after a 404.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_yaml

logger = logging.getLogger(__name__)

_BLOCK = 1 << 20
_ATTEMPTS = 5

#: Seconds before the second attempt, which double each time, and without any byte after which one ends.
_PAUSE, _TIMEOUT = 2.0, 30.0

#: Answers after which another attempt may help: time-out, too many requests, and every error of the server.
_TRANSIENT = (408, 425, 429)

#: Optional texts of a descriptor, and what sidecars call them.
_ORIGIN = {"name": "Origin", "url": "URL", "license": "License", "reference": "Reference"}


def obtain_file(
    source: str | os.PathLike[str], downloads: str | os.PathLike[str], entry: str | None = None
) -> tuple[Path, dict[str, str]]:
    """Give the file that a descriptor (.json, .yaml, .yml) or an entry of it pins, or the user's own.

    Beside it is what a sidecar says of its origin: Origin, SHA256, and URL and more of a download.
    """
    if not os.fspath(source).lower().endswith((".json", ".yaml", ".yml")):
        file = check_file(source)
        return file, {"Origin": "the user's file", "SHA256": sha256_of(file)}
    descriptor = read_descriptor(source, entry)
    name = urlsplit(descriptor["url"]).path.rsplit("/", 1)[-1]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
        raise StudyError(
            "The address does not end in the plain name of a file.",
            where=descriptor["url"],
            remedy="Give an address that ends in letters, digits, dots and dashes; or download the file "
            "yourself and give its path.",
        )
    file = fetch(descriptor["url"], descriptor["sha256"], Path(downloads) / name)
    known = {"name": name, **descriptor}
    origin = {term: str(known[key]) for key, term in _ORIGIN.items() if key in known}
    return file, {**origin, "SHA256": descriptor["sha256"].lower()}


def read_descriptor(path: str | os.PathLike[str], entry: str | None = None) -> dict[str, Any]:
    """Read the `url`, the `sha256` and what else a JSON or YAML file, or an entry of it, says of one."""
    file = check_file(path)
    try:
        descriptor = read_yaml(file)  # JSON is YAML
    except StudyError as error:
        raise StudyError(
            "The descriptor is not valid JSON or YAML.", where=file, cause=error.cause
        ) from error
    if entry is not None:
        known = sorted(descriptor) if isinstance(descriptor, dict) else []
        if entry not in known:
            raise StudyError(
                f"The file of descriptors has no entry {entry!r}.",
                where=file,
                remedy=f"Its entries are {', '.join(known)}." if known else None,
            )
        descriptor = descriptor[entry]
    for key in ("url", "sha256"):
        if not isinstance(descriptor, dict) or not isinstance(descriptor.get(key), str):
            raise StudyError(
                f"The descriptor has no text `{key}`.",
                where=file,
                remedy="A descriptor needs `url` and `sha256`; resources/template.json is one.",
            )
    return descriptor


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Give the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: str | os.PathLike[str], sha256: str | None = None) -> Path:
    """Check that a file that the user gives is there, is not empty and, if it is pinned, is the right one."""
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
    if sha256 is not None and (found := sha256_of(file)) != sha256.lower():
        raise StudyError(
            f"The file has the SHA-256 {found}, not the pinned {sha256}.",
            where=file,
            cause="It is another version of the file, or the copy is damaged.",
            remedy="Download it again, or pin its SHA-256 if you mean to use this version.",
        )
    return file


def fetch(url: str, sha256: str, target: Path) -> Path:
    """Download a pinned file, unless it is there already.

    What has arrived is kept in ``<target>.part``, from which the next attempt, or the next run, goes on.
    """
    if not url.startswith(("http://", "https://")):
        raise StudyError(f"{url} is not an http or https address.", remedy="Correct the descriptor's `url`.")
    if target.is_file() and sha256_of(target) == sha256.lower():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            resumed = _transfer(url, part)
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
        logger.warning("Attempt %d of %d to download %s: %s", attempt, _ATTEMPTS, url, problem)
        if attempt < _ATTEMPTS:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
    raise StudyError(
        f"The download failed {_ATTEMPTS} times; the last time: {problem}.",
        where=url,
        cause="This machine has no network, or the server is down.",
        remedy=f"Run again with network (it goes on where it stopped), or put the file at {target}.",
    )


class _Interrupted(Exception):
    """A transfer that broke off, or never started, for a reason that may pass."""


def _transfer(url: str, part: Path) -> bool:
    """Bring ``part`` to its full length; say whether its beginning was there before."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "rhvae-mri"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            start = response.headers.get("Content-Range", "")
            # a server that knows no ranges sends the whole file
            resumed = have > 0 and response.status == 206 and start.startswith(f"bytes {have}-")
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
