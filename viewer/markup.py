"""Figures as the page shows them."""

from __future__ import annotations

import html


def table(rows: dict[str, str]) -> str:
    """The HTML of a table of names and what is said of them; line breaks stay."""
    cells = "".join(
        f'<tr><td style="opacity:0.65;padding:0.15em 1em 0.15em 0;vertical-align:top;white-space:nowrap">'
        f'{html.escape(name)}</td><td style="white-space:pre-line;overflow-wrap:anywhere">{html.escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f'<table style="font-size:13px;line-height:1.4;margin:0.4em 0.8em;border-collapse:collapse">{cells}</table>'
