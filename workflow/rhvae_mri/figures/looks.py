"""The names, colours and looks that figures share."""

from __future__ import annotations

from typing import Any

#: How figures call the resolutions.
RESOLUTIONS = {"full": "high resolution", "downsampled": "down-sampled"}

#: Colours of what is not data: means and texts, reference lines, bands behind the data.
INK = "#1c1f23"
QUIET = "#9aa2ab"
BAND = "#f5f6f8"

#: The looks that figures share: level of chance, mean, single runs, and the white marks on other things.
Look = dict[str, Any]
CHANCE = Look(color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)))
MEAN = Look(color=INK, linewidth=1.3)
MARK = Look(linestyle="none", marker="o")
RUNS = MARK | Look(markersize=2.6, markeredgewidth=0, alpha=0.65)
RING = MARK | Look(markerfacecolor="white", markeredgecolor=INK)
