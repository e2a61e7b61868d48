"""The generators that a study can have, by their names in the configuration, and where their classes are."""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import PathFinder
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
}

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
    inherited = {"rhvae": config["rhvae"], "vae": config["rhvae"]}
    inherited["ppca"] = {"latent_dimension": config["rhvae"]["latent_dimension"]}
    given = {key: value for key, value in config["generators"].get(name, {}).items() if key != "model"}
    return {**inherited.get(name, {}), **given}


def draw_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give the settings with which a generator draws codes; only the RHVAE has a sampler."""
    names = ("steps", "leapfrog_steps", "leapfrog_step_size") if name == "rhvae" else ()
    return {key: config["synthetic"][key] for key in names}


def load_class(path: str) -> Any:
    """Import a class by its path, ``module:class``."""
    module, _, name = path.partition(":")
    remedy = (
        "Give `model` as module:class; the module is installed, on PYTHONPATH or in the working directory."
    )
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        is_own = f"{module}.".startswith(f"{error.name}.")
        cause = None if is_own else f"It imports {error.name}, which is not installed here."
        what = f"There is no module {module}." if is_own else f"The module {module} cannot be imported."
        raise StudyError(what, where=path, cause=cause, remedy=remedy) from error
    except AttributeError as error:
        raise StudyError(f"The module {module} has no class {name!r}.", where=path, remedy=remedy) from error
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise StudyError(f"The module {module} cannot be imported.", where=path, cause=cause) from error


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
            faults.append(f"{name} has to be {'no ' if is_bound else ''}a class method")
            continue
        given = {**named, **settings} if name == "fit" else named
        try:
            inspect.signature(method).bind(*([] if is_bound else [None]), *arguments, **given)
        except TypeError as error:
            faults.append(f"{name} does not take what it is given: {error}")
    if faults:
        raise StudyError(f"The class is no generator: {'; '.join(faults)}.", where=path, remedy=_INTERFACE)


def own_module(path: str) -> Path | None:
    """Find file or package of a class of the user, also in the working directory; None for another class."""
    top = path.partition(":")[0].partition(".")[0]
    if top == "rhvae_mri":
        return None
    spec = PathFinder.find_spec(top, [*sys.path, str(Path.cwd())])
    if spec is None or not spec.origin:
        return None
    file = Path(spec.origin).absolute()
    return file.parent if spec.submodule_search_locations else file


def module_digest(path: str) -> str | None:
    """Digest the code of the user's module, or of its whole package; comments and formats do not count."""
    found = own_module(path)
    if found is None:
        return None
    files = [found] if found.is_file() else sorted(found.rglob("*.py"))
    trees = [ast.dump(ast.parse(file.read_bytes())) for file in files]
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:16]


def export_modules(config: Mapping[str, Any]) -> None:
    """Let this process and every one that it starts import the classes of the user."""
    for name in config["grid"]["generators"]:
        found = own_module(class_path(config, name))
        if found is None or found.parent.name in ("site-packages", "dist-packages"):
            continue
        folder = str(found.parent)
        if folder not in sys.path:
            sys.path.append(folder)
        paths = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), folder]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
