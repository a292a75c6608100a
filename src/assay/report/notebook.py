"""A `Comparison` as a notebook shows it: HTML tables, in whatever colours the page has."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..comparison import Comparison
from .class_table import class_tables
from .columns import Line
from .published import published_lines
from .sentences import decisions
from .table import ARROWS, headline, legend, table

# Colours are the page's own, so that light and dark both stay readable; a notebook that is not trusted, and a web site
# that shows one, takes styles away, and the tables are tables without them too.
LEFT = ' style="text-align: left"'
RIGHT = ' style="text-align: right; white-space: nowrap"'


def as_html(found: Comparison) -> str:
    """The whole report as an HTML fragment: no script, no style sheet, every name escaped."""
    parts = [f"<p>{_text(headline(found))}</p>"]
    for lines in (published_lines(found, ARROWS), table(found, ARROWS), *class_tables(found, ARROWS)):
        if lines:
            parts.append(_table(lines))
    for heading, sentences in decisions(found):
        items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
        parts.append(f"<p><b>{_text(heading)}</b></p><ul>{items}</ul>")
    parts += [f"<p><small>{_text(line)}</small></p>" for line in legend(found, ARROWS)]
    if found.notes:
        items = "".join(f"<li>{_text(str(note))}</li>" for note in found.notes)
        parts.append(f"<p><b>Notes</b></p><ul>{items}</ul>")
    return f"<div>{''.join(parts)}</div>"


def _table(lines: Sequence[Line]) -> str:
    columns = 1 + max(len(line.cells) for line in lines)
    rows = [_row(line, columns, head=number == 0) for number, line in enumerate(lines)]
    body = f"<thead>{rows[0]}</thead><tbody>{''.join(rows[1:])}</tbody>"
    return f'<div style="overflow-x: auto"><table>{body}</table></div>'


def _row(line: Line, columns: int, *, head: bool) -> str:
    name = _text(line.name.strip())
    if not line.cells:
        scope = "col" if head else "rowgroup"
        return f'<tr><th colspan="{columns}" scope="{scope}"{LEFT}>{name}</th></tr>'
    padded = [*line.cells, *[""] * (columns - 1 - len(line.cells))]
    if head:
        cells = "".join(f'<th scope="col"{RIGHT}>{_text(cell)}</th>' for cell in padded)
        return f"<tr><th{LEFT}>{name}</th>{cells}</tr>"
    cells = "".join(f"<td{RIGHT}>{_text(cell)}</td>" for cell in padded)
    return f'<tr><th scope="row"{LEFT}>{name}</th>{cells}</tr>'


def _text(text: str) -> str:
    """As text of a page; a file's name may hold bytes that are no text, which no page can be sent with."""
    return escape(text.encode("utf-8", "backslashreplace").decode())
