"""Which generator does `package.module:name` mean?"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import torch

from assay.data.quantise import ValueRange
from assay.data.sampler import sampler
from assay.data.source import ImageSource
from assay.errors import UsageError


def sampler_by_name(
    target: str,
    n: int | None = None,
    *,
    batch_size: int = 64,
    value_range: ValueRange | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> ImageSource:
    """The generator that `package.module:name` means, as a set; the current folder is looked in first.

    The name is a function or module as `sampler` takes it, or an `ImageSource` (what `sampler` itself
    returns, say), whose own settings then hold. The module is imported, so its code runs.

    Raises:
        UsageError: another form, a module that cannot be imported, no such name, something that makes no images, or
            an `ImageSource` of another number of images than n.
    """
    place, colon, name = target.partition(":")
    if not colon or not place or not name:
        raise UsageError(f"{target!r}: expected module:name, such as my_model:sample")
    found: Any = _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            named = getattr(found, "__dict__", {})
            known = [k for k, v in named.items() if callable(v) and not k.startswith("_")][:8]
            raise UsageError(f"{place} has no {name!r}; it has {', '.join(known) or 'no functions'}")
        found = getattr(found, part)
    if isinstance(found, ImageSource):
        if n is not None and n != len(found):
            raise UsageError(f"{target} is a set of {len(found):,} images, and {n:,} were asked for")
        return found
    return sampler(
        found, n, batch_size=batch_size, value_range=value_range, seed=seed, device=device,
        description=f"sampler {target}",
    )  # fmt: skip


def _module(name: str) -> Any:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module's own code runs here
        missing = isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]
        looked = f" (looked in {Path(here).name or here} and the installed packages)" if missing else ""
        raise UsageError(f"{name} cannot be imported{looked}: {type(error).__name__}: {error}") from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
