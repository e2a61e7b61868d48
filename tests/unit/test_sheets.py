import re

import numpy
import pandas
import pytest
from markup import Page, compiles

from rhvae_mri.pages.sheets import Sheet, interval, number, p_value, write_sheets
from rhvae_mri.pages.templates import escape_latex, escape_markdown

EVIL = '<script>\\input{/etc/passwd} $x_1^2$ 50 % & #1 ~ | ± ≥ 漢 "`'
SHEET = Sheet(
    "A & B", "Caption 100 %", ("Name", "Value", "Why"), ((EVIL, "1.0", EVIL), ("b", "−2", "c")), ("Why",)
)


def write(tmp_path, sheet=SHEET, **changes):
    options = {"title": "Title", "notes": ["A note."], "simulated": True} | changes
    write_sheets([sheet], tmp_path / "sheet.html", **options)
    return [(tmp_path / f"sheet.{kind}").read_text(encoding="utf-8") for kind in ("html", "md", "tex")]


def test_every_format_has_every_cell_and_says_that_the_data_are_simulated(tmp_path):
    html, markdown, latex = write(tmp_path)
    page = Page(html)
    assert page.rows == [["Name", "Value", "Why"], [EVIL, "1.0", EVIL], ["b", "−2", "c"]]
    assert "script" not in [tag for tag, _ in page.tags]
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert rows[1] == "|:--|--:|:--|"
    assert re.search(r"(?<!\\)<script", markdown) is None
    assert compiles(latex)
    for text in (html, markdown, latex):
        assert text.index("Simulated data") < text.index("Caption 100")
        assert "A note." in text
    assert "Simulated" not in "".join(write(tmp_path, simulated=False))


def test_short_texts_stand_on_the_left_and_long_keys_can_be_broken(tmp_path):
    sheet = Sheet("H", "C", ("Key", "Verdict", "p"), (("a.long_key", "not run", "0.5"),), labels=("Verdict",))
    html, markdown, latex = write(tmp_path, sheet)
    for text in ("a.<wbr>long_<wbr>key</th>", '<td class="label">not run</td>', "<td>0.5</td>"):
        assert text in html
    assert "|:--|:--|--:|" in markdown
    assert "{llr}" in latex


def test_latex_commands_in_a_text_are_shown_and_not_run(tmp_path):
    assert escape_latex(r"\input{x}") == r"\textbackslash{}input\{x\}"
    assert escape_latex("a_b & 5 %\n漢 Zoë") == r"a\_b \& 5 \% ? Zoë"
    sheet = Sheet(EVIL, EVIL, (EVIL,), ((EVIL,),))
    document = write(tmp_path, sheet, title=EVIL, notes=[EVIL], made={EVIL: EVIL})[2]
    assert compiles(document)
    assert r"\input{" not in document.replace(r"\textbackslash{}input", "")


def test_markdown_leaves_an_ampersand_alone_that_begins_no_entity():
    assert escape_markdown("R & D *\n&lt; &#1") == r"R & D \* \&lt; \&\#1"


def test_an_unescaped_letter_would_be_found():
    with pytest.raises(AssertionError):
        compiles("\\begin{document} 5 $ \\end{document}")
    with pytest.raises(AssertionError):
        compiles("\\begin{tabular}{ll}\n\\toprule \\\\\na & b & c \\\\\n\\end{tabular}")


def test_numbers_have_true_minus_signs_and_missing_ones_are_named():
    assert (number(-0.01), number(-0.01, sign=True)) == ("0.0", "+0.0")
    assert number(-0.26, 1, sign=True) == "−0.3"
    assert number(pandas.NA) == interval(1, numpy.nan) == p_value(numpy.nan) == "n/a"
    assert interval(-1.26, 2, sign=True) == "−1.3 to +2.0"
    assert (p_value(0.00099), p_value(0.001), p_value(1)) == ("<0.001", "0.001", "1.000")
