"""Contrastive objectives, forward and backward, beside the packages that people train with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import peers

Contender = Callable[[], Any]


def _pairs(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Rows and partners, about as similar as those of a half-trained encoder."""
    g = torch.Generator().manual_seed(0)
    a = torch.randn(n, d, generator=g)
    b = a + torch.randn(n, d, generator=g)
    return a.requires_grad_(), b.requires_grad_()


def _trained(loss: Callable[..., Tensor], *rows: Tensor) -> float:
    """One step's work: the loss, and its gradient by every row."""
    value = loss(*rows)
    value.backward()  # type: ignore[no-untyped-call]
    for tensor in rows:
        tensor.grad = None
    return float(value.detach())


def _quiet(function: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


def _lightly_nt_xent(temperature: float) -> Callable[..., Tensor]:
    loss: Callable[..., Tensor] = _quiet(lambda: peers._from("lightly.loss", "NTXentLoss"))(temperature)
    return loss


def nt_xent(n: int = 8192, d: int = 128) -> dict[str, Contender]:
    """`info_nce(..., negatives="both")` of n pairs, forward and backward, against lightly's NTXentLoss."""
    from assay.embeddings import info_nce

    a, b = _pairs(n, d)
    return {
        "assay": lambda: _trained(lambda x, y: info_nce(x, y, temperature=0.1, negatives="both"), a, b),
        "lightly": lambda: _trained(_lightly_nt_xent(0.1), a, b),
    }


def info_nce_cross(n: int = 8192, d: int = 128) -> dict[str, Contender]:
    """`info_nce` of n pairs, both directions, forward and backward, against the cross entropy over the whole matrix.

    At 65,536 pairs only assay's contender runs: the matrix alone is 17 GB.
    """
    from assay.embeddings import info_nce

    a, b = _pairs(n, d)

    def whole(x: Tensor, y: Tensor) -> Tensor:
        x, y = (torch.nn.functional.normalize(rows) for rows in (x, y))
        logits, own = x @ y.T / 0.1, torch.arange(n)
        entropy = torch.nn.functional.cross_entropy
        return (entropy(logits, own) + entropy(logits.T, own)) / 2

    learnt = torch.tensor(0.01, requires_grad=True)
    return {
        "assay": lambda: _trained(lambda x, y: info_nce(x, y, temperature=0.1), a, b),
        "assay, learnt temperature of 0.01": lambda: _trained(
            lambda x, y: info_nce(x, y, temperature=learnt), a, b
        ),
        "cross entropy of the matrix": lambda: _trained(whole, a, b),
    }


def supervised(n: int = 4096, d: int = 128, classes: int = 100) -> dict[str, Contender]:
    """`supcon` of n rows, forward and backward, against pytorch-metric-learning's SupConLoss."""
    from assay.embeddings import supcon

    z = _pairs(n, d)[0]
    labels = torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(1))

    def theirs() -> float:
        loss = _quiet(lambda: peers._from("pytorch_metric_learning.losses", "SupConLoss"))(temperature=0.1)
        return _trained(lambda x: loss(x, labels), z)

    return {
        "assay": lambda: _trained(lambda x: supcon(x, labels, temperature=0.1), z),
        "pytorch-metric-learning": theirs,
    }


def uniformity_of(n: int = 10_000, d: int = 128) -> dict[str, Contender]:
    """`uniformity` of n rows, forward and backward, against the formula over torch.pdist."""
    from assay.embeddings import uniformity

    x = _pairs(n, d)[0]

    def pdist(rows: Tensor) -> Tensor:
        distances = torch.pdist(torch.nn.functional.normalize(rows))
        return distances.square().mul(-2).exp().mean().log()

    return {"assay": lambda: _trained(uniformity, x), "torch.pdist": lambda: _trained(pdist, x)}


CASES: dict[str, Callable[..., dict[str, Contender]]] = {
    "nt_xent": nt_xent,
    "info_nce_cross": info_nce_cross,
    "supervised": supervised,
    "uniformity": uniformity_of,
}
