"""`assay.total`: the parts add up as said, learned weights find what they should, and the state is kept."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images import ssim, total_variation
from assay.total import total


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
        value = loss(given)
        value.backward()
        return value

    optimiser.step(step)
    variances = loss.weighting.log_variances().exp().tolist()
    assert variances == pytest.approx([0.3, 8.0], rel=1e-4)
    assert loss(given).item() == pytest.approx(
        0.5 + 0.5 * math.log(0.3) + 0.5 + 0.5 * math.log(8.0), rel=1e-6
    )
    assert [loss.log()[f"weight/{n}"] for n in given] == pytest.approx(
        [1 / (2 * 0.3), 1 / (2 * 4.0)], rel=1e-4
    )


def test_uncertainty_begins_at_the_given_weights_and_stops_at_the_floor():
    loss = total({"a": (torch.nn.Identity(), 0.2), "b": (torch.nn.Identity(), 3.0)}, weighting="uncertainty")
    zero = torch.zeros(())
    loss({"a": zero, "b": zero})
    assert [loss.log()["weight/a"], loss.log()["weight/b"]] == pytest.approx([0.2, 3.0])
    with torch.no_grad():
        for each in loss.parameters():
            each.fill_(-50.0)
    value = loss({"a": zero, "b": zero})
    assert value.item() == -10.0  # two halves of the floor
    value.backward()
    assert [each.grad.tolist() for each in loss.parameters()] == [[0.0], [0.0]]


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
        (
            lambda: total({"l1": 1.0}, weighting="uncertainty", kinds=["l1"]),
            r"kinds: expected a kind by name.*got \['l1'\]",
        ),
        (lambda: total({"a.b": (torch.nn.Identity(), 1.0)}), "'a.b' cannot name a part: a dot"),
        (lambda: total({"a": (torch.nn.MSELoss, 1.0)}), r"a: MSELoss is a class; .*MSELoss\(\)"),
        (
            lambda: total({"l1": 1.0})(*torch.zeros(3, 1, 3, 4, 4)[:2], shared=torch.zeros(1)),
            "shared: with members",
        ),
        (lambda: total({"a": (3, 1.0)}), "expected a weight or"),
        (lambda: total({"l1": 1.0})({"l2": torch.zeros(())}), "expected the parts l1, got l2"),
        (lambda: total({"l1": 1.0})({"l1": torch.zeros(3)}), r"expected a scalar loss, got \(3,\)"),
        (
            lambda: total({"a": (torch.nn.Identity(), 1.0)}, weighting="gradients")(
                {"a": torch.zeros((), requires_grad=True)}
            ),
            "shared=",
        ),
    ],
)
def test_wrong_use_is_one_clear_error(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_an_uncertainty_below_the_floor_comes_back_when_its_loss_rises():
    loss = total({"a": (torch.nn.Identity(), 1.0)}, weighting="uncertainty")
    with torch.no_grad():
        loss.weighting.log_variance_a.fill_(-10.5)
    given = torch.tensor(1.0, requires_grad=True)
    value = loss({"a": given})
    value.backward()
    assert value.item() == pytest.approx(0.5 * math.exp(10.0) - 5.0)
    assert given.grad.item() == pytest.approx(0.5 * math.exp(10.0))
    assert loss.weighting.log_variance_a.grad.item() == pytest.approx(0.5 - 0.5 * math.exp(10.0))


def test_given_weights_are_those_of_the_code_and_not_of_a_checkpoint():
    old = total({"l1": 1.0, "ssim": 0.5})
    new = total({"l1": 1.0, "ssim": 0.1})
    new.load_state_dict(old.state_dict())
    assert new.log()["weight/ssim"] == pytest.approx(0.1)
    learned = total({"l1": 1.0, "ssim": 0.5}, weighting="uncertainty")
    assert list(learned.state_dict()) == ["weighting.log_variance_l1", "weighting.log_variance_ssim"]


def test_a_compiled_module_logs_its_last_step(pair):
    x, y = pair
    loss = total({"l1": 1.0, "ssim": 0.5})
    loss(y, y)
    value = torch.compile(loss, backend="eager", fullgraph=True)(x, y)
    assert loss.log()["total"] == pytest.approx(value.item()) and loss.log()["l1"] > 0


def test_a_weight_may_be_any_real_number():
    assert total({"l1": np.float32(0.5), "l2": np.int64(2)}).log() == {"weight/l1": 0.5, "weight/l2": 2.0}


def one_layer(seed):
    torch.manual_seed(seed)
    return torch.nn.Conv2d(3, 3, 3, padding=1)


class Learned(torch.nn.Module):
    """A part with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, y):
        return (self.scale * x - y).square().mean() + 0.1 * self.scale.square().sum()


@pytest.mark.parametrize("weighting", ["uncertainty", "gradients"])
def test_training_goes_on_from_a_checkpoint_whatever_the_order_of_the_parts(pair, weighting):
    """State and optimiser, of weights and of a part's own parameters: what follows is what would have followed."""
    x, y = (member.detach() for member in pair)

    def made(names):
        parts = {"ssim": 0.5, "mine": (Learned(), 2.0), "l1": 1.0}
        return total({name: parts[name] for name in names}, weighting=weighting)

    def steps(network, loss, optimiser, count):
        for _ in range(count):
            optimiser.zero_grad()
            loss(network(x), y).backward()
            optimiser.step()

    def optimiser_of(network, loss):
        return torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=0.05)

    # of balanced gradients the first part is what others are compared with: it stays the first
    order, other = (
        ("ssim", "mine", "l1"), ("l1", "mine", "ssim") if weighting == "uncertainty" else ("ssim", "l1", "mine")
    )  # fmt: skip
    network, loss = one_layer(0), made(order)
    optimiser = optimiser_of(network, loss)
    steps(network, loss, optimiser, 3)
    kept = copy.deepcopy([network.state_dict(), loss.state_dict(), optimiser.state_dict()])
    steps(network, loss, optimiser, 3)

    again, second = one_layer(1), made(other)
    resumed = optimiser_of(again, second)
    for each, state in zip((again, second, resumed), kept, strict=True):
        each.load_state_dict(state)
    steps(again, second, resumed, 3)
    assert second.log() == pytest.approx(loss.log(), rel=1e-5)
    assert second.objective_mine.scale.item() == pytest.approx(loss.objective_mine.scale.item(), rel=1e-5)
    assert len({round(w, 4) for n, w in loss.log().items() if n.startswith("weight/")}) == 3


def test_the_log_is_of_the_last_call_and_not_of_the_optimisers_step_after_it():
    loss = total({"a": (torch.nn.Identity(), 0.5)}, weighting="uncertainty")
    optimiser = torch.optim.SGD(loss.parameters(), lr=1.0)
    value = loss({"a": torch.tensor(3.0)})
    value.backward()
    optimiser.step()
    assert loss.log() == pytest.approx({"total": 1.5, "a": 3.0, "weight/a": 0.5})
    loss({"a": torch.tensor(3.0)})
    assert loss.log()["weight/a"] == pytest.approx(0.5 * math.exp(-1.0))  # v rose by 1.5 - 0.5


def test_the_factors_are_those_of_a_gaussian_and_of_a_softmax():
    """-log N(y; f, s^2) = (y - f)^2 / (2 s^2) + log s; Kendall et al.'s -log softmax(f / s^2) is CE / s^2 + log s."""
    loss = total(
        {"depth": (torch.nn.Identity(), 1.0), "classes": (torch.nn.Identity(), 1.0)},
        weighting="uncertainty",
        kinds={"classes": "classification"},
    )
    with torch.no_grad():
        loss.weighting.log_variance_depth.fill_(2 * math.log(1.7))
        loss.weighting.log_variance_classes.fill_(2 * math.log(0.6))
    residual, entropy = 1.3, 0.9
    gaussian = -torch.distributions.Normal(0.0, 1.7).log_prob(torch.tensor(residual)).item()
    expected = gaussian - 0.5 * math.log(2 * math.pi) + entropy / 0.6**2 + math.log(0.6)
    found = loss({"depth": torch.tensor(residual**2), "classes": torch.tensor(entropy)})
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_losses_by_name_weigh_as_members_do(pair):
    x, y = pair
    for weighting in ("fixed", "uncertainty", "gradients"):
        parts = {"l1": 2.0, "ssim": 0.5}
        whole, elsewhere = (total(parts, weighting=weighting) for _ in range(2))
        given = {"ssim": 1 - ssim(x, y).mean(), "l1": (x - y).abs().mean()}  # in any order
        torch.testing.assert_close(
            elsewhere(given, shared=x if weighting == "gradients" else None), whole(x, y)
        )
        assert elsewhere.log()["weight/ssim"] == pytest.approx(whole.log()["weight/ssim"])


def test_gradients_add_up_over_parts_of_a_batch(pair):
    x, y = pair
    loss = total({"l1": 2.0, "ssim": 0.5})
    (whole,) = torch.autograd.grad(loss(x, y), x)
    for k in range(2):
        (loss(x[k : k + 1], y[k : k + 1]) / 2).backward()
    torch.testing.assert_close(x.grad, whole)


def test_a_copy_and_a_pickle_weigh_alike(pair):
    x, y = pair
    loss = total({"l1": 2.0, "ssim": 0.5}, weighting="gradients")
    loss(x, y)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin.log() == loss.log() and twin(x, y).item() == loss(x, y).item()


@pytest.mark.parametrize("weighting", ["uncertainty", "gradients"])
def test_a_functional_call_takes_plain_tensors_for_the_state(pair, weighting):
    """As sharded and copied modules do: there, parameters are views that are no `nn.Parameter`."""
    loss = total({"l1": 1.0, "l2": 2.0}, weighting=weighting)
    state = {name: value.detach() + 0.5 for name, value in loss.state_dict().items()}
    again = copy.deepcopy(loss)
    again.load_state_dict(state)
    expected = again(*pair).item()
    assert torch.func.functional_call(loss, state, pair).item() == expected != loss(*pair).item()


def test_parameters_of_parts_come_in_the_order_of_the_names():
    """As an optimiser's state is kept by the place of a parameter."""
    parts = {"b": (torch.nn.Linear(2, 1), 1.0), "a": (Learned(), 1.0)}
    names = [name for name, _ in total(parts).named_parameters()]
    assert names == ["objective_a.scale", "objective_b.weight", "objective_b.bias"]
