"""`assay.total` with balanced gradients: each part pulls with the strength of its weight, and nothing upsets it."""

from __future__ import annotations

import math

import pytest
import torch

from assay.errors import UsageError
from assay.images import ssim
from assay.total import total


def test_balanced_gradients_pull_with_the_given_strength(pair):
    """After one step the parts' gradients by the image are as long as the first one's times their weights."""
    x, y = pair
    loss = total({"l2": 1.0, "ssim": 0.5}, weighting="gradients")
    first = loss(x, y)
    weights = loss.weighting.weights().tolist()
    parts = [
        torch.autograd.grad(part, x)[0].norm().item()
        for part in ((x - y).square().mean(), 1 - ssim(x, y).mean())
    ]
    assert weights[0] == 1.0 and weights[1] * parts[1] == pytest.approx(0.5 * parts[0], rel=1e-5)
    first.backward()  # the graph is still there
    again = total({"l2": 1.0, "ssim": 0.5}, weighting="gradients")
    again.load_state_dict(loss.state_dict())
    assert again.weighting.weights().tolist() == weights
    kept = loss.eval().weighting.kept("square_")
    loss(10 * x, y)
    assert loss.weighting.kept("square_").equal(kept)


def test_a_part_without_gradient_keeps_its_weight(pair):
    x, y = pair
    loss = total({"l1": 1.0, "still": (lambda a, b: b.mean(), 0.7)}, weighting="gradients")
    assert loss(x, y).isfinite() and loss.weighting.weights().tolist() == pytest.approx([1.0, 0.7])


class Counted(torch.autograd.Function):
    """The identity; how often its gradient was asked for, by name."""

    calls: dict[str, int] = {}

    @staticmethod
    def forward(ctx, x, name):
        ctx.name = name
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        Counted.calls[ctx.name] = Counted.calls.get(ctx.name, 0) + 1
        return slope, None


def test_balancing_runs_each_part_once_more_and_not_once_a_part(pair):
    x, y = pair
    Counted.calls.clear()
    parts = {name: ((lambda a, b, name=name: Counted.apply(a, name).mean()), 1.0) for name in "abc"}
    value = total(parts, weighting="gradients")(x, y)
    assert Counted.calls == {"a": 1, "b": 1, "c": 1}
    value.backward()
    assert Counted.calls == {"a": 2, "b": 2, "c": 2}


def test_a_step_of_nan_does_not_stay_in_the_balance(pair):
    """As float16 training meets it: the scaler skips the step, and so does the mean of norms."""
    x, y = pair
    loss, never = (total({"l1": 1.0, "ssim": 0.5}, weighting="gradients") for _ in range(2))
    for broken in (True, False, True, False):
        given = (x.detach() * (math.nan if broken else 1.0)).requires_grad_()
        loss(given, y)
    never(x, y), never(x, y)
    torch.testing.assert_close(loss.weighting.kept("square_"), never.weighting.kept("square_"))
    assert loss.weighting.kept("seen_").tolist() == [2.0, 2.0] and loss.log()["weight/ssim"] != 0.5


def test_float16_images_are_refused_where_their_gradient_would_vanish():
    g = torch.Generator().manual_seed(1)
    x = torch.rand(4, 3, 256, 256, generator=g)
    loss = total({"l2": 1.0, "l1": 1.0}, weighting="gradients")
    with pytest.raises(UsageError, match=r"float16.*\.float\(\)"):
        loss(x.half().requires_grad_(), x + 0.002)
    loss(x.half().requires_grad_().float(), x + 0.002)
    expected = 2 * 0.002 * 1.0  # |g_l2| / |g_l1|: every entry 2 d / N against 1 / N
    assert loss.log()["weight/l1"] == pytest.approx(expected, rel=0.1)
    total({"l2": 1.0, "l1": 1.0})(x.half().requires_grad_(), x).backward()  # fixed weights take them


def test_a_part_that_is_added_later_begins_its_own_balance(pair):
    x, y = pair
    old = total({"l2": 1.0, "l1": 1.0}, weighting="gradients")
    for _ in range(5):
        old(x, y)
    new = total({"l2": 1.0, "ssim": 1.0, "l1": 1.0}, weighting="gradients")
    told = new.load_state_dict(old.state_dict(), strict=False)
    assert told.missing_keys == ["weighting.square_ssim", "weighting.seen_ssim"] and not told.unexpected_keys
    assert new.weighting.weights()[1] == 1.0
    new(x, y)
    fresh = total({"l2": 1.0, "ssim": 1.0, "l1": 1.0}, weighting="gradients")
    fresh(x, y)
    torch.testing.assert_close(new.weighting.weights(), fresh.weighting.weights())
    assert new.weighting.kept("seen_").tolist() == [6.0, 1.0, 6.0]


def test_where_the_first_part_does_not_pull_the_others_keep_their_weights(pair):
    """There is nothing to compare with; weights of 0 would stop the training."""
    x, y = pair
    loss = total({"still": (lambda a, b: b.mean(), 1.0), "l1": 0.7}, weighting="gradients")
    loss(x, y)
    assert loss.weighting.weights().tolist() == pytest.approx([1.0, 0.7])


def test_the_balance_is_the_mean_of_the_first_ten_steps_and_then_forgets():
    """A gradient of length k at step k: the mean of its square over k steps, then a tenth of each new one."""
    loss = total({"a": (torch.nn.Identity(), 1.0)}, weighting="gradients")
    shared, expected = torch.ones(1, requires_grad=True), 0.0
    for step in range(1, 15):
        loss({"a": step * shared.sum()}, shared=shared)
        expected += max(1 / step, 0.1) * (step**2 - expected)
        if step == 10:
            assert expected == pytest.approx(sum(k**2 for k in range(1, 11)) / 10)
        assert loss.weighting.kept("square_").tolist() == pytest.approx([expected])


def test_no_ratio_of_gradients_goes_beyond_the_limit(pair):
    x, y = pair
    loss = total({"l1": 1.0, "weak": (lambda a, b: 1e-9 * (a - b).abs().mean(), 0.5)}, weighting="gradients")
    loss(x, y)
    assert loss.weighting.weights().tolist() == pytest.approx([1.0, 0.5 * 1e4])
