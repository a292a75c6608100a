"""How is a part of the page framed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .markup import Html, element, together


@dataclass(frozen=True)
class Section:
    """One part of the page; parts without a body are left out.

    Attributes:
        identity: what links lead to.
        title: its heading, also in the navigation.
        lead: plain sentences on what is seen and what is good.
        body: the rest.
    """

    identity: str
    title: str
    lead: Sequence[str]
    body: Html

    def html(self) -> Html:
        """The section's markup."""
        return element(
            "section",
            {"id": self.identity, "aria-labelledby": f"{self.identity}-title"},
            element("h2", {"id": f"{self.identity}-title"}, self.title),
            *(element("p", {"class": "lead"}, sentence) for sentence in self.lead),
            self.body,
        )


def tabs(label: str, panels: Sequence[tuple[str, Html]]) -> Html:
    """Panels of which one is seen at a time; all of them, under headings, where scripts do not run."""
    if len(panels) == 1:
        return panels[0][1]
    inner = (
        element("div", {"class": "panel", "data-tab": title}, element("h3", {}, title), body)
        for title, body in panels
    )
    return element("div", {"class": "tabs", "data-tabs": label}, together(inner))


def scrolling(label: str, table: Html, kind: str = "") -> Html:
    """A table that scrolls inside itself, also by keyboard."""
    attributes = {"class": f"scroll {kind}".strip(), "tabindex": "0", "role": "region", "aria-label": label}
    return element("div", attributes, table)
