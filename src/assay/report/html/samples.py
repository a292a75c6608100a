"""How is one sample shown: its picture, its name, a number?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .album import Album, Key
from .markup import Html, element, shortened, together
from .section import scrolling


@dataclass(frozen=True)
class Shown:
    """One sample: of which set, which row, and what is said under it."""

    of: str
    row: int
    caption: str

    @property
    def key(self) -> Key:
        """Where its picture is found."""
        return self.of, self.row


@dataclass(frozen=True)
class Gallery:
    """Samples under a heading; each entry is one sample, or a pair beside each other."""

    title: str
    sentence: str
    heads: tuple[str, ...]
    entries: tuple[tuple[Shown, ...], ...]

    def samples(self) -> Iterator[Key]:
        """Where the pictures of all samples in it are found."""
        for entry in self.entries:
            for each in entry:
                yield each.key


def names_of(sets: Sequence[Any]) -> dict[str, Sequence[str] | None]:
    """Set -> the names of its rows."""
    return {one.name: one.names for one in sets}


def sample_name(names: Sequence[str] | None, row: int) -> str:
    """The row's name; its number, counted from 1, where it has none."""
    return shortened(str(names[row])) if names is not None and row < len(names) else f"sample {row + 1}"


def gallery_html(gallery: Gallery, album: Album, names: dict[str, Sequence[str] | None]) -> Html:
    """Pictures where there are any, else a table of names and numbers."""
    heading = [element("h4", {}, gallery.title), element("p", {"class": "lead"}, gallery.sentence)]
    if any(album.of(key) is not None for key in gallery.samples()):
        entries = (
            element(
                "li",
                {"class": "entry pair" if len(entry) > 1 else "entry"},
                *(_figure(each, album, names) for each in entry),
            )
            for entry in gallery.entries
        )
        pairs = any(len(entry) > 1 for entry in gallery.entries)
        pictures = element("ul", {"class": "pictures pairs" if pairs else "pictures"}, *entries)
        return element("div", {"class": "gallery"}, *heading, pictures)
    rows = (
        element(
            "tr",
            {},
            *(
                together(
                    [
                        element("td", {}, sample_name(names.get(each.of), each.row)),
                        element("td", {"class": "number"}, each.caption),
                    ]
                    if each.caption
                    else [element("td", {}, sample_name(names.get(each.of), each.row))]
                )
                for each in entry
            ),
        )
        for entry in gallery.entries
    )
    head = element("tr", {}, *(element("th", {"scope": "col"}, h) for h in gallery.heads))
    table = element("table", {}, element("thead", {}, head), element("tbody", {}, *rows))
    return element("div", {"class": "gallery"}, *heading, scrolling(gallery.title, table, "tall"))


def _figure(each: Shown, album: Album, names: dict[str, Sequence[str] | None]) -> Html:
    name = sample_name(names.get(each.of), each.row)
    number, drawn = album.of(each.key), album.map_of(each.key)
    picture = [
        element("span", {"class": "no-picture"}, "no picture")
        if number is None
        else element("img", {"data-t": number, "alt": name, "width": 96, "height": 96})
    ]
    if drawn is not None:
        picture.append(
            element(
                "img",
                {"class": "map", "data-t": drawn, "alt": f"heat map of {name}", "width": 96, "height": 96},
            )
        )
    caption = [element("span", {"class": "file", "title": name}, name)]
    if each.caption:
        caption.append(element("span", {"class": "says"}, each.caption))
    return element(
        "figure", {}, element("span", {"class": "frame"}, *picture), element("figcaption", {}, *caption)
    )
