"""Checks of the study's configuration: every problem at once, each with what to do about it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.configuration import Configuration, build_schema
from rhvae_mri.study.grid import (
    choose_primary,
    idle_exclusions,
    is_simulated,
    list_cohorts,
    list_conditions,
    synthetic_per_class,
)
from rhvae_mri.study.training_keys import RHVAE

#: Numbers such as 1e-5, which YAML 1.1 reads as text because they have no dot.
_NUMBER_WITHOUT_DOT = re.compile(r"^[-+]?\d+[eE][-+]?\d+$")

#: The keys of a cohort that each kind of source needs.
SOURCE_KEYS = {
    "simulated": (),
    "none": (),
    "download": ("images", "tables"),
    "oasis1": ("images", "tables"),
    "bids": ("bids",),
}

#: The cohorts of the study, and the sources that only they, and that only others may have.
_STUDY_COHORTS, _OF_STUDY, _OF_OTHERS = ("ADNI", "AIBL"), ("simulated", "download"), ("oasis1",)


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the defaults of all keys that a configuration does not have; nothing is checked."""
    return _over(Configuration().model_dump(), config)


def check_configuration(config: Any) -> dict[str, Any]:
    """Check a configuration against the bounds of its keys and the rules between them, and complete it.

    Values that were given stay as they are; the error names every wrong, missing or unknown key at once.
    """
    problems = [] if isinstance(config, Mapping) else [f"the file has no sections, but {config!r}."]
    problems += _keys_without_text(config)  # with such a key the rest cannot be checked
    if not problems:
        config = complete(config)
        try:
            config = _over(Configuration.model_validate(config).model_dump(), config)
            problems = list(_contradictions(config))
        except ValidationError as error:
            problems = list(_explain(error.errors(include_url=False), config))
    if problems:
        raise StudyError(
            "The configuration is not valid:\n" + "\n".join(f"  - {line}" for line in problems),
            where="the file given with --configfile (by default config/config.yaml)",
            remedy="Correct the keys above; config/README.md explains each key.",
        )
    return dict(config)


def result_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a complete configuration what alters no result, such as places and threads."""

    def select(node: Mapping[str, Any], value: Any) -> Any:
        if "properties" in node:
            children = node["properties"]
            return {name: select(child, value[name]) for name, child in children.items() if _counts(child)}
        children = [child for child in node.get("patternProperties", {}).values() if "properties" in child]
        return {name: select(children[0], each) for name, each in value.items()} if children else value

    selected: dict[str, Any] = select(build_schema(), config)
    return selected


def _counts(node: Mapping[str, Any]) -> bool:
    return bool(node.get("alters_results", True))


def _over(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Put given values in the place of defaults, section by section."""
    merged = dict(defaults)
    for key, value in given.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def own_files(config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The sections, with their keys, for which the user gives a file of their own."""
    sections = {"template": config["template"], "quality.deep": config["quality"]["deep"]}
    return [(key, section) for key, section in sections.items() if section["source"] == "file"]


def _paths(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every path of the configuration that is set, with its key."""
    places = {f"pathvars.{name}": path for name, path in config["pathvars"].items()}
    for name, cohort in config["cohorts"].items():
        places |= {f"cohorts.{name}.{key}": cohort[key] for key in ("images", "tables", "bids")}
    places |= {"exclude": config["exclude"], "template.file": config["template"]["file"]}
    places["quality.deep.file"] = config["quality"]["deep"]["file"]
    yield from ((key, path) for key, path in places.items() if path is not None)


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


def _explain(errors: Sequence[ErrorDetails], config: Mapping[str, Any]) -> Iterator[str]:
    """Say in plain words what the errors of a validation mean, those of one value in one line."""
    rules: dict[str, tuple[Any, list[str]]] = {}
    for error in errors:
        *parents, last = [str(part) for part in error["loc"]]
        place = ".".join(parents) or "the top level"
        if error["type"] == "extra_forbidden":
            yield f"unknown key `{last}` in {place}: {_nearest(last, _known_keys(parents))}"
        elif error["type"] == "missing":
            yield f"missing key `{last}` in {place}."
        elif last == "[key]":
            known = re.findall("'([^']+)'", str(error.get("ctx", {}).get("expected", "")))
            hint = _nearest(parents[-1], known) if known else _rule_of_names(parents[0])
            yield f"unknown key `{parents[-1]}` in {'.'.join(parents[:-1])}: {hint}"
        else:
            key, value = _find(config, error["loc"])
            is_section = error["type"] in ("model_type", "dict_type")
            rule = "it should have keys of its own" if is_section else error["msg"]
            rules.setdefault(key, (value, []))[1].append(re.sub("^(Input|String|List)", "it", rule))
    for key, (value, texts) in rules.items():
        if isinstance(value, str) and _NUMBER_WITHOUT_DOT.match(value):
            yield (
                f"`{key}` is the text '{value}', not a number: YAML needs a dot in front of the exponent. "
                f"Write {_with_dot(value)}."
            )
        else:
            yield f"`{key}` is {value!r}: {', or '.join(dict.fromkeys(texts))}.{_yes_or_no(value)}"


def _rule_of_names(section: str) -> str:
    if section == "generators":
        return "a name is of small letters, digits and underscores, and begins with a letter."
    return "a name is of letters and digits."


def _find(config: Any, location: Sequence[str | int]) -> tuple[str, Any]:
    """The dotted key and the value of a location, which may go on with the kinds that a value could have."""
    parts = []
    for part in location:
        try:
            config = config[part]
        except (KeyError, TypeError, IndexError):
            break
        parts.append(str(part))
    return ".".join(parts), config


def _known_keys(location: Sequence[str]) -> list[str]:
    """The keys that a section of the configuration may have."""
    node = build_schema()
    for part in location:
        children = node.get("properties") or {
            part: next(iter(node.get("patternProperties", {}).values()), {})
        }
        node = node["items"] if "items" in node else children[part]
    return list(node["properties"])


def _nearest(name: str, known: Sequence[str]) -> str:
    """Say which key may have been meant."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean `{nearest[0]}`?" if nearest else f"known keys: {', '.join(known)}."


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


def _generators(config: Mapping[str, Any]) -> Iterator[str]:
    """Rules for the generators; what a class of the user takes is checked where it is imported."""
    # the built-in ones, with the settings that they have here and the key with the same bounds
    known: dict[str, Sequence[str]] = {
        "rhvae": (),
        "real_steps": (),
        "class_mean": (),
        "jitter": ("noise_share",),
        "oracle": (),
    }
    known |= {
        "vae": [name for name in config["rhvae"] if name not in ("threads", "replicates")],
        "ppca": ("latent_dimension",),
    }
    for name in config["grid"]["generators"]:
        if name not in known and name not in config["generators"]:
            yield (
                f"`grid.generators` asks for `{name}`: {_nearest(name, [*known, *config['generators']])} "
                f"One of your own needs an entry `generators.{name}` with its `model`."
            )
    for name, given in config["generators"].items():
        if name in ("none", "real"):
            yield f"`generators.{name}`: tables have another meaning for this name."
        elif name == "rhvae":
            yield "`generators.rhvae`: the settings of the RHVAE are in the section `rhvae`."
        elif name in known:
            for setting in sorted(given.keys() - set(known[name])):
                hint = _nearest(setting, known[name]) if known[name] else "it has no settings."
                yield f"unknown key `{setting}` in generators.{name}: {hint}"
        elif not re.fullmatch(r"[\w.]+:\w+", str(given.get("model", ""))):
            yield (
                f"`generators.{name}.model` is {given.get('model')!r}: give module:class, such as "
                "my_package:MyModel."
            )
        yield from _generator_settings(name, given, config)


def _generator_settings(name: str, given: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    for setting, value in given.items():
        place = f"`generators.{name}.{setting}`"
        if setting in ("images", "seed", "device", "checkpoint"):
            yield f"{place}: every generator is given this anyway; leave it out."
        elif isinstance(value, str) and _NUMBER_WITHOUT_DOT.match(value):
            yield f"{place} is the text '{value}', not a number: write {_with_dot(value)}."
        elif name == "jitter" and not (isinstance(value, int | float) and 0 <= value < math.inf):
            yield f"{place} is {value!r}: give a number of at least 0."
    if name in ("vae", "ppca"):  # whose settings have the bounds of the RHVAE's
        try:
            RHVAE.model_validate({**config["rhvae"], **given})
        except ValidationError as error:
            for one in error.errors(include_url=False):
                place = ".".join(map(str, one["loc"]))
                yield f"`generators.{name}.{place}` is {one['input']!r}: {one['msg'].lower()}."


def _replicates(config: Mapping[str, Any]) -> Iterator[str]:
    """Rules for what is repeated, kept apart, and tested first."""
    n_replicates, n_runs, split = config["rhvae"]["replicates"], config["cnn"]["seeds"], config["split"]
    if n_runs % n_replicates:
        yield (
            f"`cnn.seeds` is {n_runs}, which is no multiple of `rhvae.replicates`, {n_replicates}: each "
            "model has as many runs."
        )
    if split["redraw_subsets"] and n_replicates == 1:
        yield "`split.redraw_subsets` has no effect with `rhvae.replicates: 1`: give it 2 or more, or false."
    if "oracle" in config["grid"]["generators"]:
        trained = config["cohorts"][list_cohorts(config)[0]]["source"]
        sizes = synthetic_per_class(config["synthetic"]["sizes"], config["synthetic"]["count"])
        if trained != "simulated":
            yield "`grid.generators` has `oracle`, which only a simulated cohort can give new participants."
        elif split["n_oracle_per_class"] < max(sizes.values()):
            yield (
                f"`split.n_oracle_per_class` is {split['n_oracle_per_class']}, but the generator `oracle` "
                f"has to give {max(sizes.values())} images of each class."
            )
    primary = config["statistics"]["primary"]
    named = [name for name, value in primary.items() if value is not None and name != "metric"]
    if named and choose_primary(config) is None:
        yield (
            f"`statistics.primary` names {', '.join(f'{name}: {primary[name]}' for name in named)}, but the "
            "grid lacks this condition of augmented images, or what it is held against."
        )


def _contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Rules between keys."""
    for name, cohort in config["cohorts"].items():
        if cohort["source"] in (_OF_OTHERS if name in _STUDY_COHORTS else _OF_STUDY):
            yield (
                f"`cohorts.{name}.source` is {cohort['source']!r}: only {' and '.join(_STUDY_COHORTS)} can "
                f"be {' or '.join(_OF_STUDY)}, and only further cohorts {' or '.join(_OF_OTHERS)}."
            )
        for variable, meanings in (cohort["values"] or {}).items():
            cells = [str(cell) for spellings in meanings.values() for cell in spellings]
            if twice := sorted({cell for cell in cells if cells.count(cell) > 1}):
                yield f"`cohorts.{name}.values.{variable}` gives {', '.join(twice)} two meanings."
        for key in SOURCE_KEYS[cohort["source"]]:
            if cohort[key] is None:
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
    template = config["template"]["source"]
    if is_simulated(config) != (template == "simulated"):
        yield (
            "`template.source` must be 'simulated' when a cohort is, and must not be when all are real: "
            "simulated heads have their own skull and scalp."
        )
    for key, section in own_files(config):
        if section["file"] is None:
            yield f"`{key}.file` is not set, but `{key}.source` is 'file': give the file's path."
    trained = [
        name
        for name, cohort in config["cohorts"].items()
        if cohort["role"] == "train" and cohort["source"] != "none"
    ]
    if len(trained) != 1:
        yield (
            "`cohorts` needs one cohort of `role: train` whose source is not 'none'; these are: "
            f"{', '.join(trained) or 'none'}."
        )
    sets = ["train-full", *(f"train-{size}" for size in config["split"]["train_subsets"])]
    for name in config["grid"]["training_sets"]:
        if name not in sets:
            yield (
                f"`grid.training_sets` asks for `{name}`, which the split does not make "
                f"(it makes {', '.join(sets)}): add its size to `split.train_subsets`."
            )
    yield from _generators(config)
    if len(trained) == 1:
        yield from _replicates(config)
    for place, given in (("rhvae", {}), ("generators.vae", config["generators"].get("vae", {}))):
        fitted = {**config["rhvae"], **given}
        if fitted["start_at_mean_image"] and fitted["networks"] != "mlp":
            yield (
                f"`{place}.start_at_mean_image` needs `networks: mlp`: the last layer of convolutions has "
                "no bias for each voxel."
            )
    for excluded in idle_exclusions(config["grid"], config["synthetic"]["sizes"]):
        names = ", ".join(f"{name}: {value}" for name, value in excluded.items())
        yield f"`grid.exclude` leaves out {{{names}}}, but the grid has no such condition."
    if not list_conditions(config["grid"], config["synthetic"]["sizes"]):
        yield "`grid.exclude` leaves out every condition of the grid: nothing remains to be trained."
    if config["synthetic"]["count"] == "total":
        for size in config["synthetic"]["sizes"]:
            if size % 2:
                yield f"`synthetic.sizes`: {size} cannot be divided into two classes of equal size."
