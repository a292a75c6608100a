"""`assay.total`: the parts add up as said, learned weights find what they should, and the state is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images import ssim, total_variation
from assay.total import total


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 24, 24, generator=g)
    return x.requires_grad_(), (x.detach() + 0.1 * torch.randn(x.shape, generator=g)).clamp(0, 1)


def test_fixed_weights_add_up_and_are_logged(pair):
    x, y = pair
    loss = total(
        {"l1": 2.0, "ssim": 0.5, "total_variation": 0.1, "mine": (lambda a, b: (a - b).pow(4).mean(), 3.0)}
    )
    l1, similar, rough, fourth = (
        (x - y).abs().mean(), ssim(x, y).mean(), total_variation(x).mean(), (x - y).pow(4).mean()
    )  # fmt: skip
    found = loss(x, y)
    torch.testing.assert_close(found, 2 * l1 + 0.5 * (1 - similar) + 0.1 * rough + 3 * fourth)
    logged = loss.log()
    assert list(logged)[:5] == ["total", "l1", "ssim", "total_variation", "mine"]
    assert logged["total"] == pytest.approx(found.item()) and logged["ssim"] == pytest.approx(similar.item())
    assert logged["weight/l1"] == 2.0 and logged["weight/mine"] == 3.0
    expected = torch.autograd.grad(2 * l1 + 0.5 * (1 - similar) + 0.1 * rough + 3 * fourth, x)[0]
    torch.testing.assert_close(torch.autograd.grad(loss(x, y), x)[0], expected)


def test_a_measure_without_an_upper_bound_enters_as_minus_its_value(pair):
    x, y = pair
    loss = total({"psnr": 1.0})
    assert loss(x, y).item() == pytest.approx(-loss.log()["psnr"])


def test_uncertainty_finds_the_closed_form():
    """The best sigma^2 is the loss of a regression, twice that of a classification; the total is then sum (log L) / 2
    + 1/2 + ..., and the shared gradient sum grad L / (2 L)."""
    loss = total(
        {"depth": (torch.nn.Identity(), 1.0), "classes": (torch.nn.Identity(), 1.0)},
        weighting="uncertainty",
        kinds={"classes": "classification"},
    ).double()
    given = {
        "depth": torch.tensor(0.3, dtype=torch.float64),
        "classes": torch.tensor(4.0, dtype=torch.float64),
    }
    optimiser = torch.optim.LBFGS(loss.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def step():
        optimiser.zero_grad()
        value = loss.combine(given)
        value.backward()
        return value

    optimiser.step(step)
    variances = loss.weighting.log_variances.exp().tolist()
    assert variances == pytest.approx([0.3, 8.0], rel=1e-4)
    assert loss.combine(given).item() == pytest.approx(
        0.5 + 0.5 * math.log(0.3) + 0.5 + 0.5 * math.log(8.0), rel=1e-6
    )
    assert [loss.log()[f"weight/{n}"] for n in given] == pytest.approx(
        [1 / (2 * 0.3), 1 / (2 * 4.0)], rel=1e-4
    )


def test_uncertainty_begins_at_the_given_weights_and_stops_at_the_floor():
    loss = total({"a": (torch.nn.Identity(), 0.2), "b": (torch.nn.Identity(), 3.0)}, weighting="uncertainty")
    zero = torch.zeros(())
    loss.combine({"a": zero, "b": zero})
    assert [loss.log()["weight/a"], loss.log()["weight/b"]] == pytest.approx([0.2, 3.0])
    with torch.no_grad():
        loss.weighting.log_variances.fill_(-50.0)
    value = loss.combine({"a": zero, "b": zero})
    assert value.item() == -10.0  # two halves of the floor
    value.backward()
    assert loss.weighting.log_variances.grad.tolist() == [0.0, 0.0]


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
    kept = loss.eval().weighting.squares.clone()
    loss(10 * x, y)
    assert loss.weighting.squares.equal(kept)


def test_a_part_without_gradient_keeps_its_weight(pair):
    x, y = pair
    loss = total({"l1": 1.0, "still": (lambda a, b: b.mean(), 0.7)}, weighting="gradients")
    assert loss(x, y).isfinite() and loss.weighting.weights().tolist() == pytest.approx([1.0, 0.7])


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: total({}), "at least one"),
        (lambda: total(["l1"]), r"a weight by name.*got \['l1'\]"),
        (lambda: total({"total": (torch.nn.Identity(), 1.0)}), "'total' cannot name a part"),
        (lambda: total({"ssimm": 1.0}), "did you mean 'ssim'"),
        (lambda: total({"ssim": 0.0}), "ssim: expected a weight above 0"),
        (lambda: total({"ssim": "much"}), "expected a weight above 0, got 'much'"),
        (lambda: total({"l1": 1.0}, weighting="even"), "'fixed', 'uncertainty', 'gradients'"),
        (lambda: total({"l1": 1.0}, kinds={"l1": "regression"}), "only weighting='uncertainty'"),
        (
            lambda: total({"l1": 1.0}, weighting="uncertainty", kinds={"l2": "regression"}),
            "there is no part 'l2'",
        ),
        (
            lambda: total({"l1": 1.0}, weighting="uncertainty", kinds={"l1": "ranking"}),
            "'regression' or 'classification'",
        ),
        (lambda: total({"psnr": 1.0}, weighting="uncertainty"), "psnr is not bounded"),
        (lambda: total({"a": (3, 1.0)}), "expected a weight or"),
        (lambda: total({"l1": 1.0}).combine({"l2": torch.zeros(())}), "expected the parts l1, got l2"),
        (lambda: total({"l1": 1.0}).combine({"l1": torch.zeros(3)}), r"expected a scalar loss, got \(3,\)"),
        (
            lambda: total({"a": (torch.nn.Identity(), 1.0)}, weighting="gradients").combine(
                {"a": torch.zeros((), requires_grad=True)}
            ),
            "shared=",
        ),
    ],
)
def test_wrong_use_is_one_clear_error(call, words):
    with pytest.raises(UsageError, match=words):
        call()


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
    torch.testing.assert_close(loss.weighting.squares, never.weighting.squares)
    assert loss.weighting.seen == 2 and loss.log()["weight/ssim"] != 0.5


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


def test_an_uncertainty_below_the_floor_comes_back_when_its_loss_rises():
    loss = total({"a": (torch.nn.Identity(), 1.0)}, weighting="uncertainty")
    with torch.no_grad():
        loss.weighting.log_variances.fill_(-10.5)
    given = torch.tensor(1.0, requires_grad=True)
    value = loss.combine({"a": given})
    value.backward()
    assert value.item() == pytest.approx(0.5 * math.exp(10.0) - 5.0)
    assert given.grad.item() == pytest.approx(0.5 * math.exp(10.0))
    assert loss.weighting.log_variances.grad.item() == pytest.approx(0.5 - 0.5 * math.exp(10.0))


def test_given_weights_are_those_of_the_code_and_not_of_a_checkpoint():
    old = total({"l1": 1.0, "ssim": 0.5})
    new = total({"l1": 1.0, "ssim": 0.1})
    new.load_state_dict(old.state_dict())
    assert new.log()["weight/ssim"] == pytest.approx(0.1)
    learned = total({"l1": 1.0, "ssim": 0.5}, weighting="uncertainty")
    assert list(learned.state_dict()) == ["weighting.log_variances"]


def test_a_compiled_module_logs_its_last_step(pair):
    x, y = pair
    loss = total({"l1": 1.0, "ssim": 0.5})
    loss(y, y)
    value = torch.compile(loss, backend="eager", fullgraph=True)(x, y)
    assert loss.log()["total"] == pytest.approx(value.item()) and loss.log()["l1"] > 0


def test_a_weight_may_be_any_real_number():
    assert total({"l1": np.float32(0.5), "l2": np.int64(2)}).log() == {"weight/l1": 0.5, "weight/l2": 2.0}
