"""Tables in LaTeX, with the package booktabs: a document that compiles by itself.

A paper that loads the package ``standalone`` can also input such a file: its preamble is then left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rhvae_mri.pages.layout import SHOWN_METRICS, Panel
from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "≥": r"\ensuremath{\ge}",
    "≤": r"\ensuremath{\le}",
    "–": "--",
    "…": r"\ldots{}",
    **{letter: f"\\{letter}" for letter in "$&%#_"},
}

_PREAMBLE = r"""% A paper that loads the package standalone can input this file as it is.
\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[a4paper,landscape,margin=12mm]{geometry}
\usepackage{booktabs}
\usepackage{longtable}
\begin{document}
"""


def escape_latex(text: str) -> str:
    r"""Escape what LaTeX would read as a command; keep the text on one line.

    Letters beyond Latin scripts, which the fonts may lack, become question marks.

    Examples
    --------
    >>> escape_latex("50 % of a_b ± 1")
    '50 \\% of a\\_b \\ensuremath{\\pm} 1'
    """
    letters = (_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
    return "".join(text if text.isascii() or ord(text) < 0x180 else "?" for text in letters)


def latex_document(title: str, tables: Sequence[str], notes: Sequence[str], *, simulated: bool) -> str:
    """Put tables into a document.

    Parameters
    ----------
    title : str
        Plain text.
    tables : sequence of str
        From `latex_panel` or `long_table`.
    notes : sequence of str
        How to read them, plain text.
    simulated : bool
        Whether to say first that the study's data are simulated.
    """
    parts = [_PREAMBLE, f"\\section*{{{escape_latex(title)}}}\n"]
    if simulated:
        notice = f"\\textbf{{{SIMULATED_MARK}:}} {escape_latex(SIMULATED_NOTICE)}"
        parts.append(f"\\noindent {notice}\n\n")
    parts += tables
    if notes:
        items = "".join(f"\\item {escape_latex(note)}\n" for note in notes)
        parts.append(f"\\begin{{itemize}}\n{items}\\end{{itemize}}\n")
    parts.append("\\end{document}\n")
    return "".join(parts)


def long_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    r"""Write a table that may run over several pages.

    Parameters
    ----------
    caption : str
        Plain text.
    columns : sequence of str
        Headings, plain text.
    rows : sequence of sequence of str
        Cells, plain text.
    alignment : str
        LaTeX's letters for the columns, such as ``lrr`` or ``lp{40mm}``.
    """
    head = _row(map(escape_latex, columns))
    body = "".join(_row(map(escape_latex, row)) for row in rows)
    return (
        "{\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"
        f"\\begin{{longtable}}{{{alignment}}}\n"
        f"\\caption{{{escape_latex(caption)}}}\\\\\n"
        f"\\toprule\n{head}\\midrule\n\\endfirsthead\n\\toprule\n{head}\\midrule\n\\endhead\n"
        f"\\bottomrule\n\\endfoot\n{body}\\end{{longtable}}}}\n\n"
    )


def latex_panel(panel: Panel, caption: str) -> str:
    """Write the result table of one architecture in the paper's layout; the best values are bold."""
    n_columns, n_metrics = len(panel.columns), len(SHOWN_METRICS)
    cohorts = [f"\\multicolumn{{{n_metrics}}}{{c}}{{{escape_latex(cohort)}}}" for cohort in panel.cohorts]
    rules = "".join(
        f"\\cmidrule(lr){{{2 + n_metrics * place}-{1 + n_metrics * (place + 1)}}}"
        for place in range(len(panel.cohorts))
    )
    lines = [_row(["", *cohorts, ""]), f"{rules}\n"]
    lines.append(
        _row(["Training data", *(escape_latex(metric.capitalize()) for _, metric in panel.columns), "Runs"])
    )
    for group in panel.groups:
        name = f"\\emph{{Training set: {escape_latex(group.training_set)}}}"
        lines.append(f"\\midrule\n\\multicolumn{{{n_columns + 2}}}{{l}}{{{name}}} \\\\\n")
        for row in group.rows:
            cells = []
            for cell in row.cells:
                value = escape_latex(cell.value)
                published = f" ({escape_latex(cell.published)})" if cell.published else ""
                cells.append((f"\\textbf{{{value}}}" if cell.best else value) + published)
            lines.append(_row([escape_latex(row.label), *cells, escape_latex(row.n_seeds)]))
    heading = escape_latex(f"{panel.architecture.capitalize()} architecture. {caption}")
    return (
        "\\begin{table}[htbp]\\centering\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"
        f"\\caption{{{heading}}}\n\\begin{{tabular}}{{l{'r' * n_columns}r}}\n\\toprule\n"
        f"{''.join(lines)}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n\n"
    )


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\\n"
