"""What the tests of figures check: texts in the files, texts that overlap or are cut off."""

import itertools
from typing import NamedTuple
from xml.etree import ElementTree

import pandas
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from rhvae_mri.figures.style import save_drawing, study_style
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.tensor_files import write_image_stack

FILES = {"svg": "svg", "pdf": "pdf", "table": "tsv"}
SVG = "{http://www.w3.org/2000/svg}"
#: Shapes of the images of a small study, twice as fine as the demo, and of the published one, down-sampled.
SHAPES = {"demo": (21, 26, 22), "paper": (84, 104, 89)}


class Drawn(NamedTuple):
    figure: Figure
    texts: list[str]
    source: pandas.DataFrame

    def images(self):
        return [image for ax in self.figure.axes for image in ax.get_images()]


#: Of a table of comparisons what figures read of it: whose images have flags. None has.
NO_DOUBT = pandas.DataFrame(columns=["generator", "training_set", "flags"])


def saved(folder, draw, *sources, **arguments):
    """Draw a figure as a job does, into files that are called `figure`."""
    files = {name: folder / f"figure.{kind}" for name, kind in FILES.items()}
    with study_style():
        drawing = draw(*sources, **arguments)
        tables = {name: folder / f"figure_{name}.tsv" for name in drawing.tables}
        save_drawing(drawing, **files, **tables)
    return drawing.figure


def drawn(folder, draw, *sources, simulated=True, **arguments):
    """Draw a figure; no text may overlap another or be cut off, and it says whether data are simulated."""
    figure = saved(folder, draw, *sources, simulated=simulated, **arguments)
    assert overlapping_texts(figure) == ([], [])
    svg = (folder / "figure.svg").read_text()
    assert ("imulated" in svg) == simulated
    texts = ["".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert any(text.startswith("Simulated data: ") for text in texts) == simulated
    assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")
    return Drawn(figure, texts, read_tsv(folder / "figure.tsv"))


def write_stack(path, volumes):
    """Write images by name; give the path as jobs do."""
    shape = next(iter(volumes.values())).shape
    write_image_stack(path, list(volumes), volumes.values(), shape)
    return str(path)


def marked(ax, marker):
    """The values at the marks of a kind."""
    return sorted(y for line in ax.lines if line.get_marker() == marker for y in line.get_ydata())


def overlapping_texts(figure):
    """Draw the figure and find texts whose boxes overlap or that are cut off by its edge."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts]
    # Tick labels outside the axis' limits are not drawn.
    drawn = [
        (text, box) for (text, box), artist in zip(boxes, texts, strict=True) if _is_drawn(artist, figure)
    ]
    width, height = figure.bbox.width, figure.bbox.height
    cut = [text for text, b in drawn if b.x0 < -1 or b.y0 < -1 or b.x1 > width + 1 or b.y1 > height + 1]
    pairs = [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(drawn, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5
    ]
    return cut, pairs


def _is_drawn(text, figure):
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            ticks = [label for tick in axis.get_major_ticks() for label in (tick.label1, tick.label2)]
            if text in ticks:
                return ax.axison and text in [
                    label
                    for tick in axis._update_ticks()
                    for label in (tick.label1, tick.label2)
                    if label.get_visible()
                ]
            if text is axis.get_label() or text is axis.get_offset_text():
                return ax.axison
    return True
