"""Photographs to compare, and the measures as their authors' programs compute them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from skimage import data
from torch.nn import functional


@pytest.fixture(scope="session")
def published():
    spec = importlib.util.spec_from_file_location("published", Path(__file__).parent / "published.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def photographs():
    """(height, width) -> damaged and whole photographs in [0, 1], float64: noise, blur, and one upside down."""

    def made(height, width):
        whole = []
        for image in (data.astronaut(), data.coffee(), data.chelsea()):
            pixels = torch.tensor(image).permute(2, 0, 1)[None].double() / 255
            whole.append(functional.interpolate(pixels, (height, width), mode="area"))
        noise = torch.randn(
            1, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        damaged = [
            (whole[0] + 0.1 * noise).clamp(0, 1),
            functional.avg_pool2d(whole[1], 5, 1, 2, count_include_pad=False),
            whole[2].flip(2),
        ]
        return torch.cat(damaged), torch.cat(whole)

    return made
