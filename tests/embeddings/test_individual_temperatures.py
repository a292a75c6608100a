"""The temperatures solve the robust problem they come from, and the gradient is the one of the whole training set."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import assay
from assay.embeddings.individual_temperatures import IndividualTemperatures
from assay.scale import tiles


def views(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(n, d, dtype=torch.float64, generator=g)
    b = a + 0.7 * torch.randn(n, d, dtype=torch.float64, generator=g)
    return a.requires_grad_(), b.requires_grad_()


def nearness(a: Tensor, b: Tensor, negatives: str) -> list[Tensor]:
    """h of every anchor, minus infinity for the sample itself: (n, 4n) for one side, (n, n) for each of two."""
    a, b = torch.nn.functional.normalize(a, dim=1), torch.nn.functional.normalize(b, dim=1)
    own = torch.eye(len(a), dtype=torch.bool)
    positive = (a * b).sum(1)[:, None]
    ab, ba, aa, bb = (
        (x @ y.T - positive).masked_fill(own, -torch.inf) for x, y in ((a, b), (b, a), (a, a), (b, b))
    )
    return [torch.cat((ab, aa, ba, bb), 1)] if negatives == "both" else [ab, ba]


def objective(a: Tensor, b: Tensor, temperature: Tensor, rho: float, negatives: str) -> Tensor:
    """F, from whole matrices."""
    parts = []
    for h, t in zip(nearness(a, b, negatives), temperature, strict=True):
        count = h.isfinite().sum(1).double()
        h = h.clamp_min(-1e4)  # minus infinity has no derivative by the temperature
        parts.append((t * ((h / t[:, None]).logsumexp(1) - count.log() + rho)).mean())
    return torch.stack(parts).mean()


def module(n: int, **options: Any) -> IndividualTemperatures:
    return IndividualTemperatures(n, **options).double()


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_without_memory_it_is_the_objective_with_its_gradient(
    negatives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "ROWS", 5)
    monkeypatch.setattr(tiles, "COLUMNS", 7)
    a, b = views(17, 4)
    index = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:17]
    loss = module(30, rate=1.0, momentum=0.0, step=0.02, rho=0.4, negatives=negatives)
    g = torch.Generator().manual_seed(1)
    loss.temperature.copy_(0.1 + 0.5 * torch.rand(loss.temperature.shape, dtype=torch.float64, generator=g))
    before = loss.temperature.clone()
    temperature = before[:, index].requires_grad_()
    expected = objective(a, b, temperature, 0.4, negatives)
    *slopes, by_temperature = torch.autograd.grad(expected, (a, b, temperature))

    assert torch.allclose(loss.exact(a, b, index), expected)
    got = loss(a, b, index)
    assert torch.allclose(got, expected, rtol=1e-12)
    for slope, want in zip(torch.autograd.grad(got, (a, b)), slopes, strict=True):
        assert torch.allclose(slope, want, rtol=1e-10, atol=1e-14)
    # F is a mean over samples and sides; each temperature moves down its own term's slope
    own = by_temperature * 17 * len(before)
    assert torch.allclose(loss.velocity[:, index], own, rtol=1e-9, atol=1e-12)
    assert torch.allclose(loss.temperature[:, index], (temperature - 0.02 * own).clamp(0.05, 0.7))
    untouched = torch.ones(30, dtype=torch.bool)
    untouched[index] = False
    assert torch.equal(loss.temperature[:, untouched], before[:, untouched])


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_at_the_optimum_the_weights_diverge_by_rho(negatives: Any) -> None:
    a, b = (t.detach() for t in views(24, 6))
    index = torch.arange(24)
    rho = 0.4
    loss = module(
        24, rho=rho, rate=1.0, momentum=0.0, step=0.1, temperature_range=(0.01, 3.0), negatives=negatives
    )
    for _ in range(250):
        loss(a, b, index)
    assert float(loss.velocity.abs().max()) < 1e-5
    for h, t in zip(nearness(a, b, negatives), loss.temperature, strict=True):
        p = (h / t[:, None]).softmax(1)
        count = h.isfinite().sum(1).double()
        divergence = (torch.special.xlogy(p, p)).sum(1) + count.log()
        assert torch.allclose(divergence, torch.full_like(divergence, rho), atol=1e-4)
    # and no weighting as near to equal weights has a higher mean: F is that mean
    worst = []
    for h, t in zip(nearness(a, b, negatives), loss.temperature, strict=True):
        worst.append(((h / t[:, None]).softmax(1) * h.nan_to_num(neginf=0.0)).sum(1).mean())
    assert torch.allclose(loss.exact(a, b, index), torch.stack(worst).mean(), atol=1e-6)


def test_one_fixed_temperature_is_decoupled_info_nce() -> None:
    a, b = views(12, 5)
    t = 0.25
    loss = module(12, rate=1.0, step=0.0, temperature=t, negatives="cross")
    unit = torch.nn.functional.normalize
    score = unit(a, dim=1) @ unit(b, dim=1).T / t
    others = score.masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf)
    decoupled = (others.logsumexp(1) + others.logsumexp(0) - 2 * score.diagonal()).mean() / 2
    slopes = torch.autograd.grad(t * decoupled, (a, b))
    for slope, want in zip(torch.autograd.grad(loss(a, b, torch.arange(12)), (a, b)), slopes, strict=True):
        assert torch.allclose(slope, want, rtol=1e-10, atol=1e-14)
    assert bool((loss.temperature == t).all())


def test_the_average_becomes_the_mean_over_the_data_set() -> None:
    a, b = (t.detach() for t in views(40, 6))
    loss = module(40, step=0.0, temperature=0.5, negatives="cross")
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for epoch in range(40):
            loss.rate = 1 / (epoch + 1)  # a plain average
            for index in torch.randperm(40, generator=g).split(8):
                loss(a[index], b[index], index)
    h = torch.stack(nearness(a, b, "cross"))
    error = loss.log_mean - ((h / 0.5).logsumexp(2) - math.log(39))
    assert float(error.abs().max()) < 0.3 and abs(float(error.mean())) < 0.02


def test_the_average_weighs_the_gradient() -> None:
    a, b = views(10, 4)
    index = torch.arange(10)
    loss = module(10, rate=0.3, step=0.0, temperature=0.5, momentum=0.2, rho=0.3, negatives="cross")
    loss(a, b, index)
    before, velocity = loss.log_mean.clone(), loss.velocity.clone()
    c, d = views(10, 4, seed=5)
    got = loss(c, d, index)
    parts, values, slopes_of_temperature = [], [], []
    for h, s in zip(nearness(c, d, "cross"), before.exp(), strict=True):
        mean = (h / 0.5).exp().sum(1) / 9
        tilted = ((h / 0.5).exp() * h.clamp_min(-1e4) / 0.5).sum(1) / 9
        new = 0.7 * s + 0.3 * mean.detach()
        parts.append((0.5 * mean / new).mean())
        values.append((0.5 * (new.log() + 0.3)).mean())
        slopes_of_temperature.append(new.log() + 0.3 - tilted.detach() / new)
    moved = 0.2 * velocity + 0.8 * torch.stack(slopes_of_temperature)
    assert torch.allclose(loss.velocity, moved.detach())
    assert torch.allclose(got, torch.stack(values).mean())
    slopes = torch.autograd.grad(torch.stack(parts).mean(), (c, d))
    for slope, want in zip(torch.autograd.grad(got, (c, d)), slopes, strict=True):
        assert torch.allclose(slope, want, rtol=1e-10, atol=1e-14)


def test_low_temperatures_do_not_overflow() -> None:
    a = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    b = -a  # every negative is nearer than the positive: a mean of exp(400)
    loss = IndividualTemperatures(6, temperature=0.005, temperature_range=(0.005, 0.05), negatives="cross")
    value = loss(a.requires_grad_(), b, torch.arange(6))
    value.backward()
    assert value.isfinite() and a.grad is not None and bool(a.grad.isfinite().all())
    h = torch.stack(nearness(a.detach().double(), b.double(), "cross"))
    assert torch.allclose(loss.log_mean.double(), (h / 0.005).logsumexp(2) - math.log(5), rtol=1e-5)
    assert bool((loss.log_mean > 100).any())


def test_a_sample_twice_in_a_batch_is_one_sample() -> None:
    a, b = views(6, 4)
    index = torch.tensor([3, 0, 3, 7, 7, 3])
    loss = module(8, rate=1.0, step=0.01, momentum=0.0, temperature=0.3, negatives="cross")
    order = torch.tensor([5, 2, 0, 4, 1, 3])
    again = module(8, rate=1.0, step=0.01, momentum=0.0, temperature=0.3, negatives="cross")
    value = loss(a, b, index)
    h = nearness(a, b, "cross")[0].masked_fill(index[:, None] == index[None, :], -torch.inf)
    for sample in (0, 3, 7):
        mine = h[index == sample]
        mean = (mine / 0.3).exp().sum() / mine.isfinite().sum()
        assert torch.allclose(loss.log_mean[0, sample], mean.log().detach())
    assert torch.allclose(again(a[order], b[order], index[order]), value)
    assert torch.allclose(again.temperature, loss.temperature)


def test_many_alike_are_softened_and_the_lone_sharpened() -> None:
    g = torch.Generator().manual_seed(0)
    crowd = torch.randn(1, 16, generator=g) + 0.3 * torch.randn(12, 16, generator=g)
    a = torch.cat((crowd, torch.randn(52, 16, generator=g)))
    b = a + 0.05 * torch.randn(64, 16, generator=g)
    loss = IndividualTemperatures(64, rho=0.3, temperature_range=(0.01, 2.0), rate=1.0, step=0.05)
    for _ in range(60):
        loss(a, b, torch.arange(64))
    assert float(loss.temperature[0, :12].min()) > 1.2 * float(loss.temperature[0, 12:].max())


def test_evaluation_moves_nothing_and_the_state_is_kept() -> None:
    a, b = views(8, 4)
    loss = module(20)
    loss(a, b, torch.arange(8))
    again = module(20, temperature=0.2)
    again.load_state_dict(loss.state_dict())
    state = {name: t.clone() for name, t in loss.state_dict().items()}
    loss.eval()
    first = loss(a, b, torch.arange(8))
    assert first == loss(a, b, torch.arange(8))
    assert all(torch.equal(t, state[name]) for name, t in loss.state_dict().items())
    with pytest.raises(assay.UsageError, match=r"sample 12 was never trained on.*exact"):
        loss(a, b, torch.arange(12, 20).flip(0))
    loss.train()
    assert loss(b, a, torch.arange(8)) == again(b, a, torch.arange(8))
    assert torch.equal(loss.temperature, again.temperature)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"n_samples": 1}, "n_samples"),
        ({"n_samples": 5.0}, "n_samples"),
        ({"rho": -0.1}, "rho"),
        ({"rate": 0.0}, "rate"),
        ({"rate": 1.5}, "rate"),
        ({"step": math.nan}, "step"),
        ({"momentum": 1.0}, "momentum"),
        ({"temperature": 0.9}, "temperature_range"),
        ({"temperature_range": (0.0, 0.5)}, "temperature_range"),
        ({"negatives": "all"}, "negatives"),
        ({"gradients": "all"}, "gradients"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], word: str) -> None:
    with pytest.raises(assay.UsageError, match=word):
        IndividualTemperatures(**{"n_samples": 10, **options})


def test_bad_batches_are_refused_by_name() -> None:
    loss = IndividualTemperatures(10)
    a = torch.randn(4, 3)
    for batch, words in (
        ((a, a, torch.tensor([0, 1, 2, 10])), r"index: 10 is no number.*10 samples"),
        ((a, a, torch.tensor([0, 1, -1, 2])), r"index: -1 is no number"),
        ((a, a, torch.tensor([0, 1, 2])), "a has 4 rows and index 3"),
        ((a, a, torch.rand(4)), "index: expected whole numbers"),
        ((a, a[:, :2], torch.arange(4)), "a has 3 features and b 2"),
        ((a, a, torch.full((4,), 6)), "one sample has no negatives"),
        ((a[:1], a[:1], torch.tensor([0])), "one sample has no negatives"),
    ):
        with pytest.raises(assay.UsageError, match=words):
            loss(*batch)
    assert bool(torch.isneginf(loss.log_mean).all())
