"""Which measures of images does a name mean?"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch

from .. import images
from ..check import load_measure
from ..checks import nearest_name
from ..errors import MissingExtra, UsageError
from ..measure_by_name import usual_name
from ..pairs import PairMeasure
from ..report.scored_files import COLUMNS

SURE = ("psnr", "ssim")
DEFAULT_PERCEPTUAL = "efficientnet_lite0_distance"  # needs no network but the one that an extra brings
OWN = "python:"  # before the name of a measure that is somebody's own
IN_A_FILE = "; a command takes what a file of yours binds, as --measures python:FILE.py:NAME"
PROBE = 192  # pixels a side: enough for every window and scale, little work for a network


@cache
def image_measures() -> Mapping[str, PairMeasure]:
    """Every public measure of `assay.images` that scores an image alone or against its target, by name."""
    found: dict[str, PairMeasure] = {}
    for module in (images, *_topics()):
        for name in getattr(module, "__all__", ()):
            measure = getattr(module, name)
            if isinstance(measure, PairMeasure) and _scores_images(measure):
                found.setdefault(measure.name, measure)
    return dict(sorted(found.items()))


def measures_of_images(wanted: str | PairMeasure | Sequence[str | PairMeasure]) -> dict[str, PairMeasure]:
    """Printed name -> measure, in their order, each once.

    Args:
        wanted: names, or measures themselves (with options, or of your own). `ms-ssim` is `ms_ssim`; the module of
            `python:MODULE:NAME` or `python:FILE.py:NAME` is imported, so its code runs.

    Raises:
        UsageError: an unknown name, with the nearest known one; nothing wanted; a measure of something else than an
            image and its target, or with the name of another column of the values.
    """
    entries = [wanted] if isinstance(wanted, (str, PairMeasure)) else list(wanted)
    found: dict[str, PairMeasure] = {}
    for entry in entries:
        measure = _by_name(entry) if isinstance(entry, str) else entry
        if not isinstance(measure, PairMeasure):
            raise UsageError(f"measures: expected names or measures of pairs, got {type(measure).__name__}")
        if not _scores_images(measure):
            raise UsageError(
                f"measures: {measure.name} is of {measure.domain} with the members {', '.join(measure.members)}; score "
                "takes measures of an image, or of an image and its target"
            )
        name = printed(measure)
        if name in COLUMNS:
            raise UsageError(
                f"measures: no measure can be called {name!r}, because the table of values has a column of that name, "
                f"beside {' and '.join(each for each in COLUMNS if each != name)}; rename yours"
            )
        same = found.setdefault(name, measure)
        if same is not measure and (same.function is not measure.function or same.options != measure.options):
            raise UsageError(f"measures: two different measures are called {name!r}; rename one of them")
    if not found:
        raise UsageError(f"measures: none given; known are {', '.join(image_measures())}")
    return found


def usable(
    measures: Mapping[str, PairMeasure], channels: int, device: torch.device, *, by_default: bool
) -> tuple[dict[str, PairMeasure], list[str]]:
    """The measures, tried on one plain image so that what they lack is said before a set is read.

    Args:
        measures: by printed name.
        channels: of the images.
        device: where they will work.
        by_default: nobody asked for these: the perceptual one is left out where it cannot work.

    Returns:
        The measures that work, and why others were left out.

    Raises:
        UsageError: a measure that needs a network or a function to be given, or another number of channels.
        MissingExtra: a measure whose packages are not installed.
    """
    works: dict[str, PairMeasure] = {}
    why: list[str] = []
    ramp = torch.linspace(0.25, 0.75, PROBE, device=device).expand(1, channels, PROBE, PROBE)
    for name, measure in measures.items():
        members = [ramp, ramp.flip(-1)][: len(measure.members)]
        try:
            with torch.no_grad():
                measure(*members)
        except MissingExtra as error:
            if not by_default or name in SURE:
                raise
            why.append(f"{name} was left out: {error}")
        except UsageError as error:
            if not by_default or name in SURE:
                raise UsageError(
                    f"measures: {name} cannot be had like this: {_plain(str(error), name)}"
                    f"{IN_A_FILE if None in measure.options.values() else ''}"
                ) from None
            why.append(f"{name} was left out: {_plain(str(error), name)}")
        else:
            works[name] = measure
    return works, why


def default_measures(*, luma: bool) -> list[str]:
    """`psnr`, `ssim` and, but of luma alone, a perceptual distance that works offline, of those that there are."""
    known = image_measures()
    return [name for name in (SURE if luma else (*SURE, DEFAULT_PERCEPTUAL)) if name in known]


def printed(measure: PairMeasure) -> str:
    """The name, with the options that are not the definition's own: `ssim(window=7)`."""
    usual: Mapping[str, Any] = getattr(measure.function, "__kwdefaults__", None) or {}
    changed = [
        f"{key}={_shown(value)}"
        for key, value in measure.options.items()
        if value is not usual.get(key) and value != usual.get(key)
    ]
    return f"{measure.name}({', '.join(changed)})" if changed else measure.name


def _scores_images(measure: PairMeasure) -> bool:
    return measure.domain == "images" and len(measure.members) in (1, 2)


def _by_name(name: str) -> Any:
    known = image_measures()
    if name.startswith(OWN):
        return load_measure(name.removeprefix(OWN))
    found = known.get(name.strip().lower().replace("-", "_"))
    if found is None:
        near = nearest_name(usual_name(name), known)
        raise UsageError(f"measures: unknown measure {name!r}{near}; known are {', '.join(known)}")
    return found


def _topics() -> list[Any]:
    return [
        importlib.import_module(f"{images.__name__}.{each.name}")
        for each in pkgutil.iter_modules(images.__path__)
        if each.ispkg
    ]


def _plain(message: str, name: str) -> str:
    return message.removeprefix(f"{name}: ")


def _shown(value: Any) -> str:
    if isinstance(value, (bool, int, str)) or value is None:
        return str(value)
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "name", type(value).__name__))
