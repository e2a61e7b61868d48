"""What the tests read written pages and LaTeX with."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """The texts of a page's cells by row, its tags and its attributes."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []  # every element is closed

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "col", "wbr"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += text


def compiles(latex):
    """Check what LaTeX checks first: braces and environments close, and special letters are commands."""
    body = re.sub(r"(?m)^%.*$", "", latex)
    bare = re.sub(r"\\\\|\\[{}$&%#_]", "", body)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert not re.search(r"[$#%^~<>|]", bare)
    assert not re.search(r"_", bare)
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", body):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    assert all(letter.isascii() or ord(letter) < 0x180 for letter in body)
    for table in re.findall(
        r"\\begin\{(?:longtable|tabular)\}(.*?)\\end\{(?:longtable|tabular)\}", body, re.DOTALL
    ):
        columns = re.match(r"\{((?:[^{}]|\{[^{}]*\})*)\}", table).group(1)
        n_columns = len(re.sub(r"\{[^}]*\}", "", columns))
        for row in re.split(r"\\\\\n", table)[1:-1]:
            if "\\caption" in row or "&" not in row:
                continue
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + spans == n_columns, row
    return True
