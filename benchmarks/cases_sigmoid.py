"""The sigmoid loss of pairs: tiles against the whole matrix. Wired into `run` like the other cases."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Contender = Callable[[], Any]


def _towers(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(n, d, generator=g), dim=1)
    b = torch.nn.functional.normalize(a + 0.5 * torch.randn(n, d, generator=g), dim=1)
    return a.requires_grad_(), b.requires_grad_()


def _open_clip() -> Any:
    # the file alone: the package itself asks for torchvision
    package = importlib.util.find_spec("open_clip")
    assert package is not None and package.origin is not None
    spec = importlib.util.spec_from_file_location(
        "open_clip_losses", Path(package.origin).with_name("loss.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SigLipLoss()


def sigmoid_pair(n: int = 8192, d: int = 512) -> dict[str, Contender]:
    """Forward and backward of n pairs of unit rows; what is returned is the loss and a norm of the gradient, added."""
    from assay.embeddings.sigmoid import sigmoid_pair as ours

    a, b = _towers(n, d)
    log_scale = torch.tensor(math.log(10), requires_grad=True)
    bias = torch.tensor(-10.0, requires_grad=True)

    def trained(loss: Callable[[], torch.Tensor]) -> Contender:
        def step() -> float:
            value = loss()
            slopes = torch.autograd.grad(value, (a, b, log_scale, bias))
            return float(value.detach()) + float(slopes[0].norm() + slopes[1].norm())

        return step

    return {
        "assay": trained(lambda: ours(a, b, log_scale=log_scale, bias=bias, normalise=False)),
        "open_clip": trained(lambda: _open_clip()(a, b, log_scale.exp(), bias)),
    }


def sigmoid_pair_large(n: int = 32_768, d: int = 512) -> dict[str, Contender]:
    """The paper's batch, where the matrix and its copies would take tens of gigabytes."""
    return {"assay": sigmoid_pair(n, d)["assay"]}
