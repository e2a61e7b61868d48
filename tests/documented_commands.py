"""The commands of the documents, as a newcomer copies them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read_commands(document):
    """The commands in the indented blocks of a document, in order, without comments.

    A block whose first line ends with a colon is YAML or a piece of a Snakefile.
    """
    text = (ROOT / document).read_text()
    fences = re.findall(r"^ *```(\w*)\n.*?```", text, re.DOTALL | re.MULTILINE)
    assert set(fences) <= {"mermaid"}, f"{document}: commands stand in indented blocks"
    blocks = re.findall(r"(?<=\n\n)(?: {4,}\S.*\n(?:\n(?= {4}))?)+", text)
    lines = [[line.strip() for line in block.splitlines() if line.strip()] for block in blocks]
    return [re.sub(r"\s+#.*", "", line) for block in lines if not block[0].endswith(":") for line in block]
