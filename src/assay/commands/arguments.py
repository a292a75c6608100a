"""What does the text of an option mean?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..comparing.set_names import GENERATOR, candidates_of
from ..errors import UsageError


def listed(text: str) -> list[str]:
    """The parts of a comma-separated list, without the empty ones."""
    return [part for part in (each.strip() for each in text.split(",")) if part]


def made_by_name(generated: Sequence[str], samples: int | None, value_range: str | None) -> dict[str, Any]:
    """Name -> candidate, with an `ImageSource` for each `python:MODULE:NAME`.

    Raises:
        UsageError: options of a generator without one, or a range that is none.
    """
    named = candidates_of(list(generated))
    if not any(given.startswith(GENERATOR) for given in named.values()):
        for option, value in (("--samples", samples), ("--value-range", value_range)):
            if value is not None:
                raise UsageError(f"{option}: only for {GENERATOR}MODULE:NAME, and no candidate is one")
        return named
    from ..data import sampler_by_name

    bounds = None if value_range is None else _range(value_range)
    return {
        name: sampler_by_name(given.removeprefix(GENERATOR), samples, value_range=bounds)
        if given.startswith(GENERATOR)
        else given
        for name, given in named.items()
    }


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--value-range: expected LOW,HIGH, for example 0,1, got {text!r}") from None
    return low, high
