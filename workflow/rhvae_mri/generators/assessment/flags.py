"""What a reader has to know before a gain by a generator's images: that it can hardly have come from them."""

from __future__ import annotations

import pandas

#: From which unexplained variance on, and below which part of the real images' variance, there is a flag.
UNEXPLAINED, VARIED = 0.95, 0.2

COLUMNS = ("generator", "training_set", "flags")


def list_flags(table: pandas.DataFrame) -> pandas.DataFrame:
    """List the flags of each generator and training set that has any, by diagnosis, in words.

    ``table`` has the rows of `measures.measure_generation` of all models, with their generator, training set,
    replicate and diagnosis. The columns are `COLUMNS`.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for row in table.itertuples():
        flag = _flag(row.measure, row.images, row.value)
        if flag:
            model = row.diagnosis + (f", replicate {row.replicate}" if row.replicate else "")
            found.setdefault((row.generator, row.training_set), []).append(f"{model}: {flag}")
    rows = [(*key, "; ".join(flags)) for key, flags in found.items()]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def _flag(measure: str, images: str, value: float) -> str | None:
    if (measure, images) == ("unexplained_variance", "training") and value >= UNEXPLAINED:
        return f"leaves {100 * value:.0f} % of its training images' variance unexplained"
    if (measure, images) == ("recall", "synthetic") and value == 0:
        return "covers none of its training images"
    if (measure, images) == ("variance_ratio", "synthetic") and value < VARIED:
        return f"its images vary {100 * value:.0f} % as much as real ones"
    return None
