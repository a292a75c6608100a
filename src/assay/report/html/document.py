"""How do sections become one HTML file that needs nothing else?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from ...errors import DataError
from ...written_whole import write_whole
from .markup import Html, element, readable
from .policy import content_policy
from .section import Section


def document(
    sentence: str,
    about: Iterable[str],
    sections: Sequence[Section],
    told: Iterable[str],
    data: Html,
    styles: Sequence[str] = ("report.css",),
    scripts: Sequence[str] = ("report.js",),
) -> str:
    """A page that asks for nothing from outside itself.

    Args:
        sentence: what was found, in one: its title and heading.
        about: lines under the heading.
        sections: its parts, which the navigation leads to.
        told: lines at its end.
        data: what its scripts read.
        styles: files beside this one, one after the other.
        scripts: likewise.
    """
    style, script = ("".join(map(_asset, names)) for names in (styles, scripts))
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": content_policy(style, script)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, f"assay: {sentence}"),
        element("link", {"rel": "icon", "href": "data:,"}),
        element("style", {}, Html(style)),
    )
    body = element(
        "body",
        {},
        element("a", {"class": "skip", "href": "#main"}, "To the numbers"),
        _header(sentence, about),
        element(
            "nav",
            {"aria-label": "parts of the page"},
            *(element("a", {"href": f"#{section.identity}"}, section.title) for section in sections),
        ),
        element("main", {"id": "main"}, *(section.html() for section in sections)),
        element("footer", {}, *(element("p", {}, line) for line in told)),
        data,
        element("script", {}, Html(script)),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, body) + "\n"


def write_document(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page under a temporary name beside the target, and rename it when it is complete.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
    """
    try:
        write_whole(path, page.encode())
    except OSError as error:
        where = readable(str(Path(path)))
        raise DataError(f"{where} cannot be written: {(error.strerror or str(error)).lower()}") from None


def _header(sentence: str, about: Iterable[str]) -> Html:
    return element(
        "header",
        {},
        element(
            "div",
            {"class": "bar-line"},
            element("span", {"class": "brand"}, "assay"),
            element("button", {"type": "button", "id": "theme", "aria-pressed": "false"}, "Dark"),
        ),
        element("h1", {}, sentence),
        *(element("p", {"class": "about"}, line) for line in about),
        element(
            "noscript",
            {},
            element("p", {"class": "lead"}, "Pictures, sorting and tabs need scripts, which are off."),
        ),
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
