"""What does the text of an option mean?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..comparing.set_names import GENERATOR, candidates_of
from ..errors import UsageError

if TYPE_CHECKING:
    from ..data import ImageSource


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
        _refuse_of_generator({"--samples": samples, "--value-range": value_range}, "no candidate is one")
    return {
        name: _images_of(given, samples, value_range, 0) if given.startswith(GENERATOR) else given
        for name, given in named.items()
    }


def one_by_name(given: str, samples: int | None, value_range: str | None, seed: int | None) -> Any:
    """The set as it was given, or an `ImageSource` for `python:MODULE:NAME`.

    Raises:
        UsageError: options of a generator without one, or a range that is none.
    """
    if not given.startswith(GENERATOR):
        options = {"--samples": samples, "--value-range": value_range, "--seed": seed}
        _refuse_of_generator(options, "what is given is none")
        return given
    return _images_of(given, samples, value_range, 0 if seed is None else seed)


def _refuse_of_generator(options: Mapping[str, object], what: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option}: only for {GENERATOR}MODULE:NAME, and {what}")


def _images_of(given: str, samples: int | None, value_range: str | None, seed: int) -> ImageSource:
    from ..data import sampler_by_name

    bounds = None if value_range is None else _range(value_range)
    return sampler_by_name(given.removeprefix(GENERATOR), samples, value_range=bounds, seed=seed)


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--value-range: expected LOW,HIGH, for example 0,1, got {text!r}") from None
    return low, high
