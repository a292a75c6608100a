"""`s3im` equals its definition window by window, and the authors' module."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images.rays import s3im


def rays(n):
    g = np.random.default_rng(5)
    target = g.random((n, 3))
    return np.clip(target + 0.2 * g.standard_normal(target.shape), 0, 1), target


def by_definition(p, t, height, repeats, kernel, stride, seed):
    g = torch.Generator().manual_seed(seed)
    order = torch.cat(
        [torch.arange(len(p)), *(torch.randperm(len(p), generator=g) for _ in range(repeats - 1))]
    )
    taps = np.exp(-((np.arange(kernel) - kernel // 2) ** 2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2
    width, margin, found = len(p) * repeats // height, (kernel - 1) // 2, []
    for channel in range(p.shape[1]):
        a, b = (
            np.pad(z[order.numpy()[: height * width], channel].reshape(height, width), margin) for z in (p, t)
        )
        for i in range(0, a.shape[0] - kernel + 1, stride):
            for j in range(0, a.shape[1] - kernel + 1, stride):
                u, v = (z[i : i + kernel, j : j + kernel] for z in (a, b))
                mu, mv = (window * u).sum(), (window * v).sum()
                covariance = (window * u * v).sum() - mu * mv
                spread = (window * (u * u + v * v)).sum() - mu * mu - mv * mv
                found.append(
                    (2 * mu * mv + 1e-4)
                    * (2 * covariance + 9e-4)
                    / ((mu**2 + mv**2 + 1e-4) * (spread + 9e-4))
                )
    return np.mean(found)


@pytest.mark.parametrize(
    "n,height,repeats,kernel,stride", [(144, 12, 3, 4, 4), (100, 10, 2, 5, 2), (50, 7, 3, 4, 4)]
)
def test_it_equals_the_definition(n, height, repeats, kernel, stride):
    p, t = rays(n)
    value = s3im(p, t, patch_height=height, repeats=repeats, kernel=kernel, stride=stride, seed=3)
    assert value.item() == pytest.approx(by_definition(p, t, height, repeats, kernel, stride, 3), abs=1e-12)
    assert s3im(255 * p, 255 * t, data_range=255, patch_height=height, repeats=repeats, kernel=kernel, stride=stride,
                seed=3).item() == pytest.approx(value.item(), abs=1e-12)  # fmt: skip


def test_it_equals_the_authors_module():
    # 1 minus the loss of Madaoer/S3IM-Neural-Fields, model_components/s3im.py, patches of 64 x 64, after
    # torch.manual_seed(7), on these colours in float32
    i, k = torch.arange(4096.0)[:, None], torch.arange(1.0, 4.0)
    t = 0.5 + 0.4 * torch.sin(0.37 * i * k)
    p = 0.9 * t + 0.1 * torch.cos(1.1 * i + k) ** 2
    assert 1 - s3im(p, t, seed=7).item() == pytest.approx(0.0145987868309021, abs=1e-6)


def test_rearrangements_are_kept_or_fresh():
    p, t = (torch.tensor(z) for z in rays(64))
    assert s3im(p, t).item() == s3im(p, t).item() != s3im(p, t, seed=1).item()
    g = torch.Generator().manual_seed(0)
    first, second = s3im(p, t, generator=g).item(), s3im(p, t, generator=g).item()
    assert first == s3im(p, t).item() != second
    loss = s3im.objective(seed=2)
    assert loss(p, t).item() == -s3im(p, t, seed=2).item()


@pytest.mark.parametrize("colour", [0.0, 0.5])
def test_equal_and_black_colours_have_finite_gradients(colour):
    for t in (torch.full((36, 3), colour), torch.rand(36, 3, generator=torch.Generator().manual_seed(0))):
        for p in (t.clone(), torch.full((36, 3), colour)):
            p.requires_grad_()
            value = s3im(p, t)
            (slope,) = torch.autograd.grad(value, p)
            assert slope.isfinite().all()
            if torch.equal(p, t):
                assert value.item() == pytest.approx(1.0, abs=1e-6) and slope.abs().max() < 1e-6


def test_what_is_refused():
    p, t = (torch.tensor(z) for z in rays(64))
    with pytest.raises(UsageError, match="patch_height"):
        s3im(p, t, patch_height=1)
    with pytest.raises(UsageError, match="patch_height"):
        s3im(p, t, patch_height=0)
    for name in ("kernel", "stride", "repeats"):
        with pytest.raises(UsageError, match=name):
            s3im(p, t, **{name: 0})


def test_no_rounding_takes_it_beyond_1():
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        target = 0.9 + 0.1 * torch.rand(1024, 3, generator=generator)
        near = target + 1e-7 * torch.randn(target.shape, generator=generator)
        assert float(s3im(near, target)) <= 1.0
