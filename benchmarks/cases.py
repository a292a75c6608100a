"""What is timed: each case makes its inputs once and names its contenders, each a function without arguments.

A contender returns what it computed, so that the table can say whether all computed the same.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import torch

Contender = Callable[[], Any]


def _covered_by_samples(d: int, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of features with a decaying spectrum, as pooled network features have."""
    g = torch.Generator().manual_seed(seed)
    spectrum = torch.logspace(0, -2.5, d, dtype=torch.float64)
    mix = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=g))[0]
    x = torch.randn(n, d, dtype=torch.float64, generator=g) * spectrum.sqrt() @ mix + 0.4
    return x.mean(0), torch.cov(x.T)


def frechet(d: int = 2048) -> dict[str, Contender]:
    """The Fréchet distance from two sets of moments."""
    import assay

    from . import peers

    (m1, c1), (m2, c2) = _covered_by_samples(d, 3 * d, 0), _covered_by_samples(d, 3 * d, 1)
    n1, n2, k1, k2 = m1.numpy(), m2.numpy(), c1.numpy(), c2.numpy()

    def ours() -> float:
        x = assay.Moments.from_covariance(m1, c1, 3 * d)
        y = assay.Moments.from_covariance(m2, c2, 3 * d)
        return float(assay.frechet_distance(x, y))

    reference = assay.Moments.from_covariance(m1, c1, 3 * d).prepare()

    def again() -> float:
        return float(assay.frechet_distance(reference, assay.Moments.from_covariance(m2, c2, 3 * d)))

    def quiet(function: Callable[[], Any]) -> Callable[[], float]:
        def call() -> float:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return float(function())

        return call

    return {
        "assay": ours,
        "assay, known reference": again,
        "pytorch-fid": quiet(lambda: peers.pytorch_fid()(n1, k1, n2, k2)),
        "clean-fid": quiet(lambda: peers.clean_fid()(n1, k1, n2, k2)),
        "torchmetrics": quiet(lambda: peers.torchmetrics_fid()(m1, c1, m2, c2)),
        "torch-fidelity": quiet(lambda: peers.torch_fidelity()(n1, k1, n2, k2)),
    }


def frechet_estimate(n: int = 10_000, d: int = 2048) -> dict[str, Contender]:
    """Value, corrected value and interval against the value alone, features given."""
    import assay

    g = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -1.25, d)
    x, y = torch.randn(n, d, generator=g) * spread, torch.randn(n, d, generator=g) * spread + 0.02
    return {
        "value alone": lambda: float(assay.frechet_distance(x, y)),
        "assay": lambda: assay.frechet_distance.estimate(x, y).value,
    }


def prdc(n: int = 10_000, d: int = 512) -> dict[str, Contender]:
    """Precision, recall, density, coverage with 5 neighbours."""
    import assay

    from . import peers

    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, d, generator=g), torch.randn(n, d, generator=g) * 0.98 + 0.02
    a, b = x.numpy(), y.numpy()

    def theirs() -> list[float]:
        with contextlib.redirect_stdout(io.StringIO()):
            found = peers.prdc()(real_features=a, fake_features=b, nearest_k=5)
        return [round(float(found[k]), 12) for k in ("precision", "recall", "density", "coverage")]

    return {
        "assay": lambda: [round(float(v), 12) for v in assay.prdc(x, y).values()],
        "prdc": theirs,
    }


def kernel(n: int = 50_000, d: int = 512) -> dict[str, Contender]:
    """The exact unbiased kernel distance over all pairs."""
    import assay

    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, d, generator=g), torch.randn(n, d, generator=g) + 0.01
    contenders: dict[str, Contender] = {"assay": lambda: float(assay.kernel_distance(x, y))}
    if n <= 10_000:  # the peer's polynomial MMD holds three (n, n) matrices
        from . import peers

        contenders["torch-fidelity, all in one subset"] = lambda: float(
            peers.polynomial_mmd()(x.numpy(), y.numpy())
        )
    return contenders


def network(batch: int = 64, batches: int = 3) -> dict[str, Contender]:
    """EfficientNet-Lite0 alone: images already preprocessed, no gradient."""
    from assay.features import get_extractor

    extractor = get_extractor("efficientnet-lite0")
    network: Any = extractor.torch_module().network  # type: ignore[union-attr]
    plain = network.to(memory_format=torch.contiguous_format)
    images = torch.rand(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def ours() -> float:
        return float(sum(extractor.forward(images).features.mean() for _ in range(batches)))

    @torch.inference_mode()
    def eager() -> float:
        return float(sum(plain(images)[0].mean() for _ in range(batches)))

    return {"assay": ours, "eager PyTorch": eager}
