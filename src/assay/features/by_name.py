"""Which extractor does a name mean?"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Protocol, get_args

import torch

from assay.devices import chosen_device
from assay.errors import UsageError
from assay.features.efficientnet_lite import WEIGHTS, efficientnet_lite
from assay.features.extractor import Crop, Extractor
from assay.features.pixels import pixels


class Family(Protocol):
    """Builds an extractor; `argument` is what follows the colon in its name, or None."""

    def __call__(self, argument: str | None, *, device: torch.device, crop: Crop | None) -> Extractor: ...


def _efficientnet(name: str) -> Family:
    def build(argument: str | None, *, device: torch.device, crop: Crop | None) -> Extractor:
        if argument is not None:
            raise UsageError(f"{name} takes nothing after a colon, not {argument!r}")
        return efficientnet_lite(name, device=device, crop=crop)

    return build


FAMILIES: Mapping[str, Family] = {**{name: _efficientnet(name) for name in WEIGHTS}, "pixels": pixels}


def get_extractor(
    name: str = "efficientnet-lite0", *, device: torch.device | str | None = None, crop: Crop | None = None
) -> Extractor:
    """The feature extractor called `name`.

    | name | features | what they are |
    |---|---|---|
    | `efficientnet-lite0` | 1280, with 1000 logits | pooled last layer of an ImageNet classifier, 224 x 224 |
    | `pixels` | 3 H W | the image divided by 255; all images of one size |
    | `pixels:SIZE` | 3 SIZE SIZE | the same after resizing |

    device: where `forward` and `torch_module` run; by default a CUDA device if there is one, else the CPU.
    crop: "center" or "none"; by default what the extractor's own page says. It is part of the fingerprint.

    Raises `UsageError` for an unknown name (with the nearest known one), crop or device; `MissingExtra`
    where a package or its weights are not installed.
    """
    family, colon, argument = name.partition(":")
    build = FAMILIES.get(family)
    if build is None:
        near = difflib.get_close_matches(family.lower(), FAMILIES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"unknown features {name!r}: {hint}known are {', '.join(FAMILIES)}, pixels:SIZE")
    if crop is not None and crop not in get_args(Crop):
        raise UsageError(f"crop must be one of {', '.join(get_args(Crop))}, not {crop!r}")
    return build(argument if colon else None, device=chosen_device(device), crop=crop)
