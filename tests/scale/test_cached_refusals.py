"""What chunks cannot do is refused by the argument's name, before a wrong gradient is there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import assay
from assay.scale.cached.backward import CachedObjective, cached_backward

from .cached_networks import bn, draw, network, spread


class Bad(nn.Module):
    """A network whose output is `made(features, rows seen before)`."""

    def __init__(self, made) -> None:
        super().__init__()
        self.body, self.made, self.count = network(), made, 0

    def forward(self, x):
        self.count += len(x)
        return self.made(self.body(x), self.count - len(x))


X = draw(9, 5)


STRANGE = torch.zeros(4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    "encoder, inputs, loss, chunk, match",
    [
        (network(), X, spread, 0, r"chunk_size: .*at least 1, got 0"),
        (network(), X, spread, -2, r"chunk_size: .*got -2"),
        (network(), X, spread, 2.0, r"chunk_size: .*got 2.0"),
        (network(), X, spread, True, r"chunk_size: .*got True"),
        (network(), X, spread, 10, r"chunk_size: 10 is above the batch of 9"),
        (network(), X[:0], spread, 1, r"inputs: has no rows: shape \(0, 5\)"),
        (network(), "text", spread, 1, r"inputs: expected a tensor, .*got str"),
        (network(), {"a": X, "b": [X[:8]]}, spread, 1, r"inputs\['b'\]\[0\]: has 8 rows and inputs\['a'\] has 9"),
        (network(), {"a": X, "t": X[0, 0]}, spread, 1, r"inputs\['t'\]: is a tensor without axes"),
        ([network()], X, spread, 1, r"inputs: expected a list of 1, .*got Tensor"),
        ([network()], [X, X], spread, 1, r"inputs: expected a list of 1, .*got 2 of them"),
        ({"a": network()}, {"b": X}, spread, 1, r"keys \['a'\], got keys \['b'\]"),
        ([network(), network()], [X, X[:0]], spread, 1, r"inputs\[1\]: has no rows"),
        ([], [], spread, 1, r"encoder: there is none"),
        (lambda x: x, X, spread, 1, r"encoder: expected a torch.nn.Module, got function"),
        ([network(), torch.sin], [X, X], spread, 1, r"encoder\[1\]: expected a torch.nn.Module"),
        (network(), X, "spread", 1, r"loss: expected a function"),
        (network(), X, lambda z: z.mean(0), 1, r"loss: expected a scalar from it, got shape \(4,\)"),
        (network(), X, lambda z: float(z.detach().mean()), 1, r"loss: expected a scalar tensor from it, got float"),
        (network(), X, lambda z: spread(z.detach()), 4, r"loss: no gradient reaches the features"),
        (network(), X, lambda z: STRANGE.sum() + spread(z.detach()), 4, r"loss: no gradient reaches"),
        (bn(), X, spread, 4, r"encoder.1.0 \(and 1 more\): BatchNorm1d in training mode .*\.eval\(\).*GroupNorm"),
        ({"im": bn()}, {"im": X}, spread, 4, r"encoder\['im'\].1.0"),
        (bn(track_running_stats=False).eval(), X, spread, 4, r"BatchNorm1d without running statistics"),
        (nn.InstanceNorm1d(5, track_running_stats=True), X, spread, 4, r"InstanceNorm1d in training mode averages"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4).double()), X, spread, 4, r"changed its buffer '.*_u'"),
        (Bad(lambda z, n: z[:, : 4 - (n > 0)]), X, spread, 4, r"encoder: its output changes between chunks: \(n, 4\)"),
        (Bad(lambda z, n: {"a": z} if n else {"a": z, "b": z}), X, lambda z: spread(z["a"]), 4, r"changes between"),
        (Bad(lambda z, n: z.float() if n else z), X, spread, 4, r"changes between chunks: .*float64.*float32"),
        (Bad(lambda z, n: z[:2]), X, spread, 4, r"encoder: its output has shape \(2, 4\) for a chunk of 4"),
        (Bad(lambda z, n: (z, z.mean())), X, spread, 4, r"its output\[1\] has shape \(\) .*one value a sample"),
        (Bad(lambda z, n: None), X, spread, 4, r"encoder: returned no tensor but NoneType"),
        (Bad(lambda z, n: z.detach()), X, spread, 4, r"encoder: its output carries no gradient"),
        (Bad(lambda z, n: z + STRANGE), X, spread, 4, r"encoder: uses a tensor of shape \(4,\) .*nn.Parameter"),
        (network().requires_grad_(False), X, spread, 4, r"nothing to train"),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(encoder, inputs, loss, chunk, match):
    STRANGE.grad = None
    with pytest.raises(assay.UsageError, match=match):
        cached_backward(encoder, inputs, loss, chunk)
    assert STRANGE.grad is None


def test_gradients_switched_off():
    with torch.no_grad(), pytest.raises(assay.UsageError, match="no_grad"):
        cached_backward(network(), X, spread, 4)
    with torch.inference_mode(), pytest.raises(assay.UsageError, match="inference_mode"):
        cached_backward(network(), X, spread, 4)


def test_what_changes_between_loss_and_backward_is_refused():
    model, x = network(), X.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    for change, match in (
        (lambda: x.add_(1), "inputs: was written to"),
        (optimizer.step, "before optimizer.step"),
    ):
        value = CachedObjective(spread, 4)(model, x)
        model[0].weight.grad = torch.ones_like(model[0].weight)
        change()
        with pytest.raises(assay.UsageError, match=match):
            value.backward()


def test_a_second_derivative_is_refused_behind_a_loss_that_is_a_plain_sum() -> None:
    """Such a loss's slopes have no graph of their own, and the penalty would add nothing without a word."""
    encoder = network()
    value = CachedObjective(lambda z: z.sum(), chunk_size=4)(encoder, draw(10, 5))
    gradients = torch.autograd.grad(value, list(encoder.parameters()), create_graph=True)
    penalty = torch.stack([g.square().sum() for g in gradients]).sum()
    with pytest.raises(assay.UsageError, match="no second derivative"):
        (penalty + encoder[0].weight.square().sum()).backward()
