"""Validation of the study's configuration: every problem at once, each with what to do about it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json
from rhvae_mri.input_folders import check_fetched
from rhvae_mri.study_grid import idle_exclusions, list_conditions

#: Numbers such as 1e-5, which YAML 1.1 reads as text because they have no dot.
_NUMBER_WITHOUT_DOT = re.compile(r"^[-+]?\d+[eE][-+]?\d+$")

#: The keys of a cohort that each kind of source needs.
_SOURCE_KEYS = {
    "simulated": (),
    "none": (),
    "download": ("images", "tables"),
    "oasis1": ("images", "tables"),
    "bids": ("bids",),
}

#: The keys of the search space that are ranges.
_RANGES = (
    "n_blocks",
    "convolutions_per_block",
    "n_fully_connected",
    "dropout",
    "learning_rate",
    "weight_decay",
)


def check_configuration(config: Mapping[str, Any], schema_file: str | os.PathLike[str]) -> None:
    """Hold a configuration against its JSON schema and against the rules that a schema cannot express.

    Parameters
    ----------
    config : mapping
        The configuration, as Snakemake has merged it.
    schema_file : path
        The JSON schema.

    Raises
    ------
    StudyError
        Naming every wrong, missing or unknown key, with its value and the remedy.
    """
    import jsonschema

    schema = read_json(schema_file)
    validator = jsonschema.Draft202012Validator(schema)
    problems = list(_keys_without_text(config))  # with such a key the schema cannot be held against the rest
    if not problems:
        errors = sorted(validator.iter_errors(config), key=_position)
        problems = [line for error in errors for line in _explain(error)]
    if not problems:
        problems = list(_contradictions(config))
    if problems:
        raise StudyError(
            "The configuration is not valid:\n" + "\n".join(f"  - {line}" for line in problems),
            where="the file given with --configfile (by default config/config.yaml)",
            remedy="Correct the keys above; config/README.md explains each key.",
        )


def _keys_without_text(section: Any, path: str = "") -> Iterator[str]:
    """Name the keys that YAML reads as something else than text, such as a number or a date."""
    if isinstance(section, Mapping):
        for key, value in section.items():
            if not isinstance(key, str):
                yield f"{path}{key}: a key has to be text; write it in quotation marks.{_yes_or_no(key)}"
            yield from _keys_without_text(value, f"{path}{key}: ")
    elif isinstance(section, list | tuple):
        for value in section:
            yield from _keys_without_text(value, path)


def check_sources(config: Mapping[str, Any], cohorts: Sequence[str]) -> None:
    """Check that the folders and files that the configuration points to are there and complete.

    Parameters
    ----------
    config : mapping
        A valid configuration.
    cohorts : sequence of str
        The cohorts whose download is still needed.

    Raises
    ------
    StudyError
        Naming each missing folder with its key, and everything that is missing inside a download, or is
        annexed and was not fetched.
    """
    missing = []
    for name in cohorts:
        for key in _SOURCE_KEYS[config["cohorts"][name]["source"]]:
            if not Path(config["cohorts"][name][key]).is_dir():
                missing.append(f"`cohorts.{name}.{key}`: there is no folder {config['cohorts'][name][key]}.")
    for key, section in _own_files(config):
        if not Path(section["file"]).is_file():
            missing.append(f"`{key}.file`: there is no file {section['file']}.")
    if config["exclude"] is not None and not Path(config["exclude"]).is_file():
        missing.append(f"`exclude`: there is no file {config['exclude']}.")
    if missing:
        raise StudyError(
            "The configuration points to what is not there:\n" + "\n".join(f"  - {line}" for line in missing),
            cause="A mistyped path, or a disk that is not mounted.",
            remedy="Correct the paths in the configuration.",
        )
    if config["exclude"] is not None:
        from rhvae_mri.cohort.exclusions import check_cohorts

        check_cohorts(Path(config["exclude"]), config["cohorts"])
    sources = [(name, config["cohorts"][name]) for name in cohorts]
    for name, cohort in sources:
        if cohort["source"] == "bids":
            missing_allowed = cohort.get("allow_missing", False)
            check_fetched(name, Path(cohort["bids"]), allow_missing=missing_allowed)
    downloads = [
        (name, Path(cohort["images"]), Path(cohort["tables"]))
        for name, cohort in sources
        if cohort["source"] == "download"
    ]
    if downloads:
        from rhvae_mri.convert.preflight import check_downloads

        check_downloads(downloads)
    for _, cohort in sources:
        if cohort["source"] == "oasis1":
            from rhvae_mri.convert.oasis import check_oasis

            check_oasis(Path(cohort["images"]), Path(cohort["tables"]))


def is_simulated(config: Mapping[str, Any]) -> bool:
    """Whether any cohort of the study is simulated."""
    return any(cohort["source"] == "simulated" for cohort in config["cohorts"].values())


def _own_files(config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The sections, with their keys, for which the user gives a file of their own."""
    sections = {"template": config["template"], "quality.deep": config["quality"]["deep"]}
    return [(key, section) for key, section in sections.items() if section["source"] == "file"]


def _paths(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every path of the configuration that is set, with its key."""
    places = {f"pathvars.{name}": path for name, path in config["pathvars"].items()}
    for name, cohort in config["cohorts"].items():
        places |= {f"cohorts.{name}.{key}": cohort.get(key) for key in ("images", "tables", "bids")}
    places |= {"exclude": config["exclude"], "template.file": config["template"]["file"]}
    places["quality.deep.file"] = config["quality"]["deep"]["file"]
    yield from ((key, path) for key, path in places.items() if path is not None)


def _position(error: Any) -> str:
    """Where in the configuration an error is, as a dotted key."""
    return ".".join(str(part) for part in error.absolute_path)


def _explain(error: Any) -> Iterator[str]:
    """Say in plain words what a validation error means."""
    key = _position(error) or "the top level"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        patterns = "|".join(error.schema.get("patternProperties", ["(?!)"]))
        unknown = [
            name for name in error.instance if name not in known and not re.search(patterns, str(name))
        ]
        for name in sorted(unknown, key=str):
            nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"known keys: {', '.join(known)}."
            yield f"unknown key `{name}` in {key}: {hint}"
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield f"missing key `{name}` in {key}."
    elif error.validator == "type" and _NUMBER_WITHOUT_DOT.match(str(error.instance)):
        yield (
            f"`{key}` is the text '{error.instance}', not a number: YAML needs a dot in front of the "
            f"exponent. Write {_with_dot(str(error.instance))}."
        )
    else:
        yield f"`{key}` is {error.instance!r}: {error.message}.{_yes_or_no(error.instance)}"


def _yes_or_no(value: Any) -> str:
    """Say where true and false may come from."""
    if not isinstance(value, bool):
        return ""
    return f" YAML reads {'yes' if value else 'no'} as {str(value).lower()}: write it in quotation marks."


def _with_dot(number: str) -> str:
    """``1e-5`` as YAML 1.1 reads it as a number: ``1.0e-5``."""
    mantissa, exponent = re.split("[eE]", number)
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa}.0e{sign}{exponent}"


def _contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Rules between keys."""
    for name, cohort in config["cohorts"].items():
        for variable, meanings in (cohort.get("values") or {}).items():
            cells = [str(cell) for spellings in meanings.values() for cell in spellings]
            if twice := sorted({cell for cell in cells if cells.count(cell) > 1}):
                yield f"`cohorts.{name}.values.{variable}` gives {', '.join(twice)} two meanings."
        for key in _SOURCE_KEYS[cohort["source"]]:
            if cohort.get(key) is None:
                yield (
                    f"`cohorts.{name}.{key}` is not set, but `cohorts.{name}.source` is "
                    f"'{cohort['source']}': give the folder's path."
                )
    for key, path in _paths(config):
        if any(letter in "{}<>" or not letter.isprintable() for letter in path):
            yield (
                f"`{key}` is {path!r}: Snakemake takes braces and angle brackets in a path for wildcards, "
                "and characters that cannot be printed break tables and logs. Give another name."
            )
    sources = {cohort["source"] for cohort in config["cohorts"].values()}
    template = config["template"]["source"]
    if ("simulated" in sources) != (template == "simulated"):
        yield (
            "`template.source` must be 'simulated' when a cohort is, and must not be when all are real: "
            "simulated heads have their own skull and scalp."
        )
    for key, section in _own_files(config):
        if section["file"] is None:
            yield f"`{key}.file` is not set, but `{key}.source` is 'file': give the file's path."
    if config["cohorts"]["ADNI"]["source"] == "none":
        yield "`cohorts.ADNI.source` is 'none': the study trains on ADNI, only other cohorts can be left out."
    sets = ["train-full", *(f"train-{size}" for size in config["split"]["train_subsets"])]
    for name in config["grid"]["training_sets"]:
        if name not in sets:
            yield (
                f"`grid.training_sets` asks for `{name}`, which the split does not make "
                f"(it makes {', '.join(sets)}): add its size to `split.train_subsets`."
            )
    for excluded in idle_exclusions(config["grid"], config["synthetic"]["sizes"]):
        names = ", ".join(f"{name}: {value}" for name, value in excluded.items())
        yield f"`grid.exclude` leaves out {{{names}}}, but the grid has no such condition."
    if not list_conditions(config["grid"], config["synthetic"]["sizes"]):
        yield "`grid.exclude` leaves out every condition of the grid: nothing remains to be trained."
    for name, value in config["search"]["space"].items():
        if name in _RANGES and value[0] > value[1]:
            yield f"`search.space.{name}` is {value}: give the lower end of the range first."
    if config["synthetic"]["count"] == "total":
        for size in config["synthetic"]["sizes"]:
            if size % 2:
                yield f"`synthetic.sizes`: {size} cannot be divided into two classes of equal size."
