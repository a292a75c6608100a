"""Several towers, shared parts, nested inputs and several outputs have the whole batch's gradient."""

from __future__ import annotations

import dataclasses
from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.scale.cached.backward import cached_backward

from .cached_networks import draw, info_nce, network, same, spread, taken


@pytest.mark.parametrize("kind", [list, dict, nn.ModuleList, nn.ModuleDict])
def test_two_towers(kind):
    a, b, x, y = network(), network(seed=1), draw(11, 5), draw(11, 5, seed=1)
    wanted = info_nce(a(x), b(y))
    wanted.backward()
    slopes = taken(a, b)
    named = kind in (dict, nn.ModuleDict)
    towers = kind({"a": a, "b": b}) if named else kind([a, b])
    value = cached_backward(towers, {"b": y, "a": x} if named else (x, y), info_nce, 4)
    assert float(value) == pytest.approx(float(wanted.detach()), rel=1e-12)
    same(taken(a, b), slopes)


def test_a_shared_encoder_is_counted_once_and_views_may_differ_in_rows():
    model, x, y = network(), draw(7, 5), draw(14, 5, seed=1)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return F.cross_entropy(a @ b.T, torch.arange(7))

    for stopped in (False, True):  # as in methods whose second view is a target
        one = lambda a, b, stopped=stopped: loss(a, b.detach() if stopped else b)
        one(model(x), model(y)).backward()
        slopes = taken(model)
        cached_backward([model, model], [x, y], one, 3)
        same(taken(model), slopes)


def test_towers_that_share_a_part():
    part = nn.Linear(8, 3).double()
    a, b = nn.Sequential(network(nn.Identity()), nn.Linear(4, 8).double(), part), nn.Sequential(part)
    x, y = draw(9, 5), draw(9, 8, seed=1)
    info_nce(a(x), b(y)).backward()
    slopes = taken(a)
    cached_backward([a, b], [x, y], info_nce, 4)
    same(taken(a), slopes)


Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Text:
    ids: Tensor
    mask: Tensor
    lengths: str = "kept"


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(7, 5), nn.Linear(5, 4)
        self.seen: list[object] = []

    def forward(self, batch):
        text, scale = batch["text"], batch["scale"]
        self.seen.append((type(text), text.lengths, scale))
        mean = (self.table(text.ids) * text.mask[..., None]).sum(1)
        z = self.head(mean * scale + batch["more"][0])
        return {"pair": Pair(z, z.sin()), "codes": text.ids[:, 0], "none": None, "name": "x"}


def test_nested_inputs_and_outputs():
    torch.manual_seed(0)
    model = Nested().double()
    ids = torch.randint(0, 7, (9, 3), generator=torch.Generator().manual_seed(0))
    batch = {"text": Text(ids, draw(9, 3)), "scale": 2.0, "more": [draw(9, 5, seed=2)]}

    def loss(out):
        assert isinstance(out["pair"], Pair) and out["none"] is None and out["name"] == "x"
        assert torch.equal(out["codes"], ids[:, 0])
        return info_nce(*out["pair"])

    loss(model(batch)).backward()
    slopes = taken(model)
    cached_backward(model, batch, loss, 4)
    same(taken(model), slopes)
    assert set(model.seen) == {(Text, "kept", 2.0)}


def test_heads_without_gradient_and_the_loss_that_uses_one_of_two():
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = network(), network(seed=1)

        def forward(self, x):
            return self.a(x), self.b(x), self.a(x).detach()

    model, x = Heads(), draw(9, 5)
    for loss in (lambda z: spread(z[0]), lambda z: info_nce(z[0], z[2]), lambda z: info_nce(z[0], z[1])):
        loss(model(x)).backward()
        slopes = taken(model)
        cached_backward(model, x, loss, 4)
        same(taken(model), slopes)
