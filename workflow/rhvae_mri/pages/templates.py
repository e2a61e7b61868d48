"""Pages from templates (`workflow/templates`): one look, and nothing from the network."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE

_WORKFLOW = Path(__file__).parents[2]
STYLE_SHEET = _WORKFLOW / "style" / "page.css"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_WORKFLOW / "templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # of the filter tojson
    environment.policies["json.dumps_kwargs"] = {
        "ensure_ascii": False,
        "allow_nan": False,
        "separators": (",", ":"),
    }
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template; in HTML every value is escaped that the template does not call safe."""
    marks = {"simulated_mark": SIMULATED_MARK, "simulated_notice": SIMULATED_NOTICE}
    return _environment().get_template(template).render(marks | values)


def html_page(
    title: str,
    body: str = "",
    *,
    simulated: bool,
    style: str = "",
    policy: str | None = None,
    template: str = "page.html.j2",
    **values: Any,
) -> str:
    """Fill the frame of all pages with a body, or a template that extends the frame with values."""
    values |= {"title": title, "body": body, "simulated": simulated, "policy": policy}
    return render(template, style=STYLE_SHEET.read_text(encoding="utf-8") + style, **values)
