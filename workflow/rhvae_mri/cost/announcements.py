"""What a study says at its beginning, where it is going to be expensive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

#: Trainings that a study may start without a word about the costs; the simulated study has 20.
CHEAP = 200


def announce_start(jobs: Iterable[tuple[str, Mapping[str, str]]], results: str) -> str | None:
    """Warn of many trainings among the jobs (rule, wildcards), and say their cost or how to find out."""
    n_networks, n_generators = 0, 0
    for rule, wildcards in jobs:
        if rule.endswith("train_generator"):
            n_generators += 1
        elif rule.endswith(("train_cnn", "train_candidates")):
            first, last = map(int, wildcards.get("seeds", wildcards.get("candidates", "0-0")).split("-"))
            n_networks += last - first + 1
    if n_networks + n_generators <= CHEAP:
        return None
    lines = [f"This run trains {n_networks:,} classifiers and {n_generators} generators."]
    estimate = Path(results, "estimate.tsv")
    if estimate.is_file():
        from rhvae_mri.cost.estimate import describe_estimate
        from rhvae_mri.io.files import read_tsv

        text = describe_estimate(read_tsv(estimate))
        lines.append(f"The whole study was estimated to take ({estimate}):\n\n{text}")
    else:
        lines.append("What the study costs, the target `estimate` says before anything is trained.")
    lines.append("Ctrl-C stops it; the same command goes on from there.")
    return "\n".join(lines)
