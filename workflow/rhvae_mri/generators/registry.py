"""The generators that a study can have, by their names in the configuration, and where their classes are."""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rhvae_mri.io.errors import StudyError

#: Where the classes of the built-in generators are, as ``module:class``.
BUILT_IN = {
    "rhvae": "rhvae_mri.generators.rhvae.generator:RHVAEGenerator",
    "vae": "rhvae_mri.generators.vae:VAEGenerator",
    "ppca": "rhvae_mri.generators.ppca:PPCA",
    "real_steps": "rhvae_mri.generators.copies:RealSteps",
    "class_mean": "rhvae_mri.generators.copies:ClassMean",
    "jitter": "rhvae_mri.generators.copies:Jitter",
    # of other participants, see `training_images` of the rules
    "oracle": "rhvae_mri.generators.copies:RealSteps",
}

#: The environment variable with the folders of the user's classes.
_FOLDERS = "RHVAE_MRI_GENERATORS"

#: How the methods that every generator needs are called, without their first argument.
_CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "fit": ((None,), {"seed": 1, "device": "cpu", "checkpoint": None}),
    "draw": ((1,), {"seed": 1}),
    "decode": ((None,), {}),
    "save": (("file",), {}),
    "load": (("file", "cpu"), {}),
}
_INTERFACE = (
    "rhvae_mri.generators.interface says what a generator has to have; docs/generators.md has an example."
)


def class_path(config: Mapping[str, Any], name: str) -> str:
    """Say where the class of a generator of the configuration is, as ``module:class``."""
    return BUILT_IN.get(name) or str(config["generators"][name]["model"])


def fit_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give the settings with which a generator is fitted; ``config`` is without what alters no result."""
    layers = {key: value for key, value in config["rhvae"].items() if key != "replicates"}
    inherited = {"rhvae": layers, "vae": layers}
    inherited["ppca"] = {"latent_dimension": config["rhvae"]["latent_dimension"]}
    given = {key: value for key, value in config["generators"].get(name, {}).items() if key != "model"}
    return {**inherited.get(name, {}), **given}


def load_class(path: str) -> Any:
    """Import a class by its path, ``module:class``."""
    module, _, name = path.partition(":")
    _look_in_folders()
    where = "The module has to be installed, on PYTHONPATH or in the working directory"
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            raise StudyError(f"There is no module {module}.", where=path, remedy=f"{where}.") from error
        remedy = f"Install {error.name}, where Snakemake starts and where the jobs run."
        raise StudyError(
            f"{module} imports {error.name}, which is not here.", where=path, remedy=remedy
        ) from error
    except AttributeError as error:
        remedy = "Give module:class, with the class's own name."
        raise StudyError(f"The module {module} has no class {name!r}.", where=path, remedy=remedy) from error
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        what = f"The module {module} cannot be imported."
        raise StudyError(what, where=path, cause=cause, remedy="Correct the module.") from error


def check_class(path: str, settings: Mapping[str, Any]) -> None:
    """Check that a class has the methods of a generator, and that they take what they will be given."""
    model = load_class(path)
    faults = []
    for name, (arguments, named) in _CALLS.items():
        method = getattr(model, name, None)
        if not callable(method):
            faults.append(f"it has no method {name}")
            continue
        is_bound = inspect.ismethod(method)
        if is_bound != (name in ("fit", "load")):
            faults.append(f"{name} {'must not' if is_bound else 'has to'} be a class method")
            continue
        given = {**named, **settings} if name == "fit" else named
        try:
            inspect.signature(method).bind(*([] if is_bound else [None]), *arguments, **given)
        except TypeError as error:
            faults.append(f"{name} does not take what it is given: {error}")
    if faults:
        raise StudyError(f"The class is no generator: {'; '.join(faults)}.", where=path, remedy=_INTERFACE)


def own_module(path: str) -> Path | None:
    """Find file or package of a class of the user; None for one of this library, or that is not there."""
    top = path.partition(":")[0].partition(".")[0]
    _look_in_folders()
    spec = None if top == "rhvae_mri" else find_spec(top)
    if spec is None:
        return None
    places = [*(spec.submodule_search_locations or ()), *filter(None, [spec.origin])]
    return Path(places[0]).absolute()


def module_digest(path: str) -> str | None:
    """Digest the code of the user's module, or of its whole package; comments and formats do not count."""
    found = own_module(path)
    if found is None:
        return None
    files = [found] if found.is_file() else sorted(found.rglob("*.py"))
    return hashlib.sha256("\n".join(map(_code_of, files)).encode()).hexdigest()[:16]


def export_modules(config: Mapping[str, Any]) -> None:
    """Let every process that is started from here find the classes of the user.

    Their folders are behind all others: no file beside them stands for a library of the same name.
    """
    found = [own_module(class_path(config, name)) for name in config["grid"]["generators"]]
    folders = dict.fromkeys(str(place.parent) for place in found if place)
    os.environ[_FOLDERS] = os.pathsep.join(folders)


def _look_in_folders() -> None:
    for folder in (*os.environ.get(_FOLDERS, "").split(os.pathsep), str(Path.cwd())):
        if folder and folder not in sys.path:
            sys.path.append(folder)


def _code_of(file: Path) -> str:
    try:
        return ast.dump(ast.parse(file.read_bytes()))
    except (SyntaxError, ValueError):  # a file that nobody imports need not be Python
        return hashlib.sha256(file.read_bytes()).hexdigest()
