"""HTML pages that stand alone: one look, and nothing from the network."""

from __future__ import annotations

from html import escape
from pathlib import Path

from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE

STYLE_SHEET = Path(__file__).parents[2] / "style" / "page.css"


def html_page(title: str, body: str, *, simulated: bool, style: str = "", policy: str | None = None) -> str:
    """Put the body of a page into a complete HTML document."""
    notice = f'<p class="notice"><strong>{SIMULATED_MARK}:</strong> {escape(SIMULATED_NOTICE)}</p>\n'
    rules = f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n' if policy else ""
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n'
        "<head>\n"
        '<meta charset="utf-8">\n'
        f"{rules}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{STYLE_SHEET.read_text(encoding='utf-8')}{style}</style>\n"
        "</head>\n"
        "<body>\n"
        "<main>\n"
        f"<h1>{escape(title)}</h1>\n"
        f"{notice if simulated else ''}"
        f"{body}"
        "</main>\n"
        "</body>\n"
        "</html>\n"
    )
