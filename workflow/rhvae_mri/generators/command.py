"""The command `rhvae-mri`: train a generator on an array of images, draw from it, decode."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy

from rhvae_mri.generators.contract import check_codes, decode_each
from rhvae_mri.generators.registry import BUILT_IN, check_class, load_class
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 1 after an error, which is written to standard error."""
    given = _parser().parse_args(arguments)
    path = BUILT_IN.get(given.generator, given.generator)
    try:
        _run(given, path)
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:  # of a class that cannot take what it was given
        print(f"{path} failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace, path: str) -> None:
    if ":" not in path:
        known = f"Known are {', '.join(BUILT_IN)}; of your own give module:class."
        raise StudyError(f"There is no generator {path}.", where="--generator", remedy=known)
    settings = dict(map(_setting, given.settings)) if given.action == "train" else {}
    check_class(path, settings)
    kind = load_class(path)
    if given.action == "train":
        fitted = kind.fit(_read(given.images), seed=given.seed, device=given.device, **settings)
        fitted.save(given.model)
        return
    loaded = kind.load(given.model, given.device)
    if given.action == "sample":
        codes = loaded.draw(given.count, seed=given.seed)
        check_codes(path, "draw", codes, given.count)
        with atomic_path(given.codes) as temporary, open(temporary, "wb") as file:
            numpy.save(file, codes, allow_pickle=False)
        return
    codes = _read(given.codes)
    shape = loaded.decode(codes[:1].copy()).shape[1:]
    with atomic_path(given.images) as temporary:
        stored = numpy.lib.format.open_memmap(temporary, "w+", numpy.float32, (len(codes), *shape))
        for number, image in enumerate(decode_each(path, loaded, codes, shape)):
            stored[number] = image


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rhvae-mri", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    train = actions.add_parser("train", help="learn the images of an array (n, ...), float32 in [0, 1]")
    train.add_argument("images", help="the array, .npy")
    train.add_argument("model", help="the file of the trained generator, .safetensors, to be written")
    train.add_argument(
        "--settings", nargs="+", default=(), metavar="name=value", help="such as latent_dimension=5"
    )
    sample = actions.add_parser("sample", help="draw latent codes (n, d)")
    sample.add_argument("model", help="the file of the trained generator")
    sample.add_argument("codes", help="the array of codes, .npy, to be written")
    sample.add_argument("--count", type=_positive, default=100, help="how many (default: 100)")
    decode = actions.add_parser("decode", help="decode latent codes to images")
    decode.add_argument("model", help="the file of the trained generator")
    decode.add_argument("codes", help="the array of codes, .npy")
    decode.add_argument("images", help="the array of images, .npy, to be written")
    for action in (train, sample):
        action.add_argument("--seed", type=int, default=1, help="of all random draws (default: 1)")
    for action in (train, sample, decode):
        action.add_argument("--device", default="cpu", help="where to compute: cpu (the default) or cuda")
        names = ", ".join(BUILT_IN)
        action.add_argument("--generator", default="rhvae", help=f"{names}, or module:class (default: rhvae)")
    return parser


def _setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``; numbers and lists as JSON, everything else as text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _read(path: str) -> numpy.ndarray:
    try:
        return numpy.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StudyError(
            "The array cannot be read.", where=path, cause=str(error), remedy="Give a .npy file."
        ) from error
