"""What does each measure's own documentation say first?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..set_measure import Measure

END = re.compile(r"(?<=[.!?])\s")


def descriptions(measures: Iterable[Measure]) -> dict[str, str]:
    """Full name -> the first sentence of the docstring, for measures that have one."""
    return {m.name: _first_sentence(m.__doc__) for m in measures if m.__doc__ and m.__doc__.strip()}


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return END.split(paragraph, maxsplit=1)[0]
