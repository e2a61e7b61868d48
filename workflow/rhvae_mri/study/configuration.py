"""Every key of the configuration: type, default, bounds, what it means and where its value comes from.

Those of each section are in `data_keys` and `training_keys`, the one source: `make docs` writes the schema,
``config/config.yaml`` and ``config/README.md`` from them. Rules between keys are in `rhvae_mri.study.checks`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import Field

from rhvae_mri.study.data_keys import (
    BiasCorrection,
    Cohort,
    Quality,
    Registration,
    Simulation,
    Split,
    Study,
    Template,
    Tensors,
)
from rhvae_mri.study.keys import CohortName, GeneratorName, Section, key
from rhvae_mri.study.training_keys import CNN, RHVAE, Estimate, Grid, Saliency, Search, Statistics, Synthetic


class Configuration(Section):
    """Every key of the configuration.

    Marks: [P] published, [C] read from the public code that the study used, [D] not readable: a documented
    default or our choice, reported as an assumption, [ours] no counterpart in the study.
    """

    pathvars: dict[str, str] = key({"results": "results"}, alters_results=False)
    """Where the workflow writes; `results` is the root of everything. Give each study its own."""
    study: Study = Study()
    cohorts: dict[CohortName, Cohort] = Field(
        default={
            "ADNI": Cohort(source="simulated", role="train"),
            "AIBL": Cohort(source="simulated"),
        }
    )
    """The cohorts: ADNI is split into training, validation and test [P]; AIBL is an independent test cohort
    [P]. Further cohorts, under any name of letters and digits, are given in the same way."""
    exclude: str | None = key(None, alters_results=False)
    """Table of an auditor's decisions on single images (config/exclude.tsv is an empty one; columns cohort,
    participant_id, session_id, decision, reason, who, date), or null. `exclude` leaves an image out, `keep`
    keeps it though a check failed, `replace` takes the participant's next usable visit instead."""
    simulation: Simulation = Simulation()
    template: Template = Template()
    bias_correction: BiasCorrection = BiasCorrection()
    registration: Registration = Registration()
    quality: Quality = Quality()
    tensors: Tensors = Tensors()
    split: Split = Split()
    rhvae: RHVAE = RHVAE()
    generators: dict[GeneratorName, dict[str, Any]] = key({}, "ours")
    """Settings of generators other than the RHVAE, by their names. Of a built-in one, what is to differ from
    its defaults: `vae` has the settings of `rhvae`, `ppca` its latent dimension, `jitter` a `noise_share` of
    0.7. Of your own, `model`, where its class is (`my_package:MyModel`), and what its `fit` takes; see
    docs/generators.md."""
    synthetic: Synthetic = Synthetic()
    cnn: CNN = CNN()
    grid: Grid = Grid()
    search: Search = Search()
    saliency: Saliency = Saliency()
    statistics: Statistics = Statistics()
    estimate: Estimate = Estimate()


@cache
def build_schema() -> dict[str, Any]:
    """Build the JSON schema, without references; a description ends with the study's value and the mark."""
    schema = Configuration.model_json_schema()
    sections = schema.pop("$defs")

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(sections[node["$ref"].rpartition("/")[2]])
        resolved = {name: resolve(value) for name, value in node.items() if name != "title"}
        if "description" in node:
            resolved["description"] = " ".join(node["description"].split())
        if "mark" in node:
            value = f" {plain(node['study'])}" if "study" in node else ""
            resolved["description"] += f"{value} [{node['mark']}]"
        return resolved

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **resolve(schema)}


def plain(value: Any) -> str:
    """Write a value as a person does: lists without brackets."""
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
