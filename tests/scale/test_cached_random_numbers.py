"""Both passes over a chunk draw the same random numbers, and the plain step's state is left behind."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from assay.scale.cached.backward import cached_backward

from .cached_networks import draw, network, same, spread, taken


@settings(max_examples=40)
@given(rows=st.integers(2, 12), chunk=st.integers(1, 12), seed=st.integers(0, 99), dropout=st.booleans())
def test_chunks_draw_the_same_random_numbers_twice(rows, chunk, seed, dropout):
    chunk = min(rows, chunk)
    model, x = network(nn.Dropout(0.4 if dropout else 0.0)), draw(rows, 5, seed=seed)
    torch.manual_seed(seed)
    wanted = spread(torch.cat([model(part) for part in x.split(chunk)]))
    after = torch.get_rng_state()
    wanted.backward()
    slopes = taken(model)
    torch.manual_seed(seed)
    value = cached_backward(model, x, spread, chunk)
    assert torch.equal(torch.get_rng_state(), after)
    assert float(value) == pytest.approx(float(wanted.detach()), rel=1e-12)
    same(taken(model), slopes)


def test_a_loss_that_draws_leaves_the_random_state_of_the_plain_step():
    model, x = network(nn.Dropout(0.3)), draw(6, 5)

    def noisy(z: Tensor) -> Tensor:
        return spread(z + 0.1 * torch.randn_like(z))

    torch.manual_seed(4)
    wanted = noisy(torch.cat([model(part) for part in x.split(4)]))
    wanted.backward()
    slopes, after = taken(model), torch.get_rng_state()
    torch.manual_seed(4)
    cached_backward(model, x, noisy, 4)
    same(taken(model), slopes)
    assert torch.equal(torch.get_rng_state(), after)


def test_checkpointed_layers_inside_the_encoder():
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(nn.Dropout(0.3))

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=False)

    model, x = Checkpointed(), draw(9, 5)
    torch.manual_seed(0)
    spread(torch.cat([model.body(part) for part in x.split(4)])).backward()
    slopes = taken(model)
    torch.manual_seed(0)
    cached_backward(model, x, spread, 4)
    same(taken(model), slopes)
