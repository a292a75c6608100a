"""The gradient over chunks is the gradient of the whole batch, whatever the chunks, the loss and the parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import assay
from assay.scale.cached.backward import cached_backward

from .cached_networks import Temperature, bn, draw, info_nce, network, same, spread, taken

REFERENCE = draw(40, 4, seed=9)


LOSSES = {
    "plain function": spread,
    "kernel distance": assay.kernel_distance.objective(reference=REFERENCE),
    "Frechet distance": assay.frechet_distance.objective(reference=REFERENCE),
    "views of one output": lambda z: info_nce(z[:, :2], z[:, 2:]),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("chunk", [1, 5, 12, 23])
def test_gradient_is_that_of_the_whole_batch(loss, chunk):
    model, x = network(), draw(23, 5)
    wanted = loss(model(x))
    wanted.backward()
    slopes = taken(model)
    value = cached_backward(model, x, loss, chunk)
    assert not value.requires_grad
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-12, atol=1e-12)
    same(taken(model), slopes)


def test_inputs_that_ask_for_a_gradient_get_it():
    model, base, y = network(), draw(9, 5).requires_grad_(), draw(9, 5, seed=1).requires_grad_()
    found = []
    for run in (
        lambda x: info_nce(model(x), model(y)).backward(),
        lambda x: cached_backward([model, model], [x, y], info_nce, 4),
    ):
        run(base * 2)  # no leaf: what made the input gets its gradient, too
        found.append([base.grad, y.grad, *taken(model)])
        base.grad = y.grad = None
    wanted, got = found
    same(got, wanted)
    for p in model.parameters():
        p.requires_grad_(False)
    cached_backward([model, model], [base * 2, y], info_nce, 4)
    same([base.grad, y.grad], wanted[:2])


def test_frozen_parameters_and_frozen_encoders_stay_without_gradient():
    a, b, x, y = network(), network(seed=1), draw(9, 5), draw(9, 5, seed=1)
    a[0].weight.requires_grad_(False)
    b.requires_grad_(False)
    info_nce(a(x), b(y)).backward()
    slopes = taken(a, b)
    calls = []
    b.register_forward_hook(lambda *_: calls.append(1))
    cached_backward([a, b], [x, y], info_nce, 4)
    same(taken(a, b), slopes)
    assert len(calls) == 3  # a frozen tower is not computed twice


def test_the_losses_own_parameters_get_their_gradient_once():
    torch.manual_seed(0)
    model, loss, x = network(), Temperature(), draw(9, 5)
    loss(model(x)).backward()
    slopes = taken(model, loss)
    cached_backward(model, x, loss, 2)
    same(taken(model, loss), slopes)
    model.requires_grad_(False)
    cached_backward(model, x, loss, 2)
    same(taken(loss), slopes[-3:])


def test_accumulation_adds():
    model, x, y = network(), draw(9, 5), draw(8, 5, seed=1)
    (spread(model(x)) + spread(model(y))).backward()
    slopes = taken(model)
    cached_backward(model, x, spread, 4)
    cached_backward(model, y, spread, 3)
    same(taken(model), slopes)


def test_parameters_whose_gradient_is_one_tensor_are_summed_apart():
    class Biases(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5))

        def forward(self, x):
            return x + (self.a + self.b)

    model, x = Biases().double(), draw(9, 5)
    spread(model(x)).backward()
    slopes = taken(model)
    cached_backward(model, x, spread, 2)
    same(taken(model), slopes)


def test_memory_does_not_grow_with_the_number_of_chunks():
    """What is held for the backward pass at any moment belongs to one chunk."""
    held, most = [0], [0]

    def pack(t: Tensor) -> Tensor:
        held[0] += t.numel()
        most[0] = max(most[0], held[0])
        return t

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(nn.Linear(8, 8), nn.Tanh())

        def forward(self, x):
            held[0] = 0
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
                return self.body(x)

    peaks = []
    for rows in (8, 64):
        most[0] = 0
        cached_backward(Watched(), draw(rows, 5), spread, 8)
        peaks.append(most[0])
    assert peaks[0] == peaks[1] > 0


NORM = nn.BatchNorm1d


def test_frozen_statistics_are_fine():
    model, x = bn(), draw(9, 5)
    model(x)
    for layer in model.modules():
        if isinstance(layer, NORM):
            layer.eval()
    spread(model(x)).backward()
    slopes = taken(model)
    cached_backward(model, x, spread, 4)
    same(taken(model), slopes)


def test_a_compiled_encoder():
    model, x = network(), draw(9, 5)
    spread(model(x)).backward()
    slopes = taken(model)
    cached_backward(torch.compile(model, backend="aot_eager"), x, spread, 4)
    same(taken(model), slopes)
