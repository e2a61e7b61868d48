"""Small charts as inline SVG; their colours come from the page's style sheet, so they follow its scheme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy

from rhvae_mri.io.errors import StudyError

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 34

#: The largest number of bins of a histogram.
_MAXIMUM_BINS = 40


def histogram(
    values: Sequence[float],
    label: str,
    *,
    thresholds: Mapping[str, float] | None = None,
    fences: Mapping[str, float] | None = None,
    bounds: tuple[float, float] | None = None,
) -> str:
    """Draw a histogram with vertical lines at thresholds."""
    if len(values) == 0:
        raise StudyError(f"There is no value of {label} to draw.")
    marks = {**(thresholds or {}), **(fences or {})}
    ends = [*values, *marks.values()]
    low, high = bounds or (min(ends), max(ends))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    n_bins = int(numpy.clip(2 * math.sqrt(len(values)), 8, _MAXIMUM_BINS))
    counts, edges = numpy.histogram(values, bins=n_bins, range=(low, high))
    top = max(int(counts.max()), 1)
    parts = [_axes(low, high, 0, top, label, "images")]
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            x, right, y = _x(start, low, high), _x(stop, low, high), _y(count, 0, top)
            parts.append(
                f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{max(right - x - 0.6, 0.6):.1f}" '
                f'height="{_HEIGHT - _BOTTOM - y:.1f}"><title>{number(start)} to {number(stop)}: '
                f"{count}</title></rect>"
            )
    for name, place in marks.items():
        if low <= place <= high:
            kind = "mark outlier" if fences and name in fences else "mark"
            parts.append(
                f'<path class="{kind}" d="M{_x(place, low, high):.1f} {_TOP}V{_HEIGHT - _BOTTOM}">'
                f"<title>{escape(name)}: {number(place)}</title></path>"
            )
    words = (
        f"Histogram of {label} for {len(values)} images: from {number(min(values))} to "
        f"{number(max(values))}, median {number(float(numpy.median(values)))}"
    )
    words += "".join(f"; {name} {number(place)}" for name, place in marks.items()) + "."
    return _svg("".join(parts), words)


def curve_band(
    x: Sequence[float], mean: Sequence[float], low: Sequence[float], high: Sequence[float], label: str
) -> str:
    """Draw a mean curve with a band, on a logarithmic vertical axis."""
    positive = [value for value in [*mean, *low, *high] if value > 0]
    if not positive:
        raise StudyError(f"There is no value of {label} to draw.")
    top = math.ceil(math.log10(max(positive)))
    bottom = max(math.floor(math.log10(min(positive))), top - 5)
    ends = (min(x), max(x))

    def points(values: Sequence[float]) -> list[str]:
        logs = [math.log10(value) if value > 0 else bottom for value in values]
        return [
            f"{_x(place, *ends):.1f} {_y(max(log, bottom), bottom, top):.1f}"
            for place, log in zip(x, logs, strict=True)
        ]

    outline = "L".join([*points(high), *reversed(points(low))])
    axes = _axes(*ends, bottom, top, label, "share of voxels", logarithmic=True)
    words = f"Share of voxels by {label}: mean over the images and the band of the middle 80 %."
    return _svg(
        f'{axes}<path class="band" d="M{outline}Z"/><path class="curve" d="M{"L".join(points(mean))}"/>',
        words,
    )


def number(value: float) -> str:
    """Write a number with three significant digits, large ones without an exponent.

    Examples
    --------
    >>> number(0.12345), number(12345.6), number(2)
    ('0.123', '12346', '2')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _svg(content: str, words: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}">'
        f"{content}</svg>"
    )


def _x(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, bottom: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (value - bottom) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(
    low: float,
    high: float,
    bottom: float,
    top: float,
    label: str,
    quantity: str,
    *,
    logarithmic: bool = False,
) -> str:
    """Draw both axes with a few ticks and their names."""
    base = _HEIGHT - _BOTTOM
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}"/>']
    for tick in _ticks(low, high):
        x = _x(tick, low, high)
        parts.append(
            f'<path class="axis" d="M{x:.1f} {base}v3"/>'
            f'<text x="{x:.1f}" y="{base + 13}" text-anchor="middle">{number(tick)}</text>'
        )
    whole = range(int(bottom), int(top) + 1) if logarithmic else [0, top]
    for tick in whole:
        y = _y(tick, bottom, top)
        # names of powers as 10 with a raised exponent
        name = f'10<tspan dy="-3" font-size="7">{tick}</tspan>' if logarithmic else number(tick)
        parts.append(f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{name}</text>')
    middle = (_TOP + base) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 5}" text-anchor="middle">'
        f"{escape(label)}</text>"
        f'<text x="11" y="{middle}" text-anchor="middle" transform="rotate(-90 11 {middle})">'
        f"{quantity}</text>"
    )
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Give about five round numbers between two ends."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]
