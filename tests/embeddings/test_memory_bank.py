"""A bank holds the last rows, the loss is that of the batch's anchors against them too, whatever the objective."""

from __future__ import annotations

import pickle
from collections import deque
from typing import Any

import pytest
import torch
from torch import Tensor

import assay
from assay.batch_objective import batch_objective
from assay.embeddings.info_nce import info_nce
from assay.embeddings.memory_bank import MemoryBank
from assay.embeddings.sigmoid import sigmoid_pair
from assay.embeddings.supcon import supcon


def steps(sizes: list[int], d: int = 4, seed: int = 0) -> list[tuple[Tensor, Tensor, Tensor]]:
    g = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(n, d, dtype=torch.float64, generator=g).requires_grad_(),
            torch.randn(n, d, dtype=torch.float64, generator=g).requires_grad_(),
            torch.randint(0, 3, (n,), generator=g),
        )
        for n in sizes
    ]


@batch_objective(best="max", reference="none", samples=("x",), labels=("kind",))
def nearest_other_kind(x: Tensor, kind: Tensor, *, reduction: str = "mean") -> Tensor:
    """A user's own: each row's squared distance to the nearest row of another kind."""
    far = torch.cdist(x, x).square().masked_fill(kind[:, None] == kind[None, :], 1e6).amin(1)
    return far.mean() if reduction == "mean" else far


@batch_objective(best="min", reference="none", samples=("x", "y"), aligned=(("x",), ("y",)))
def against_others(x: Tensor, y: Tensor, *, reduction: str = "mean") -> Tensor:
    """Of rows that do not belong together."""
    each = (x @ y.T).mean(1)
    return each.mean() if reduction == "mean" else each


def test_it_holds_the_last_rows_of_all() -> None:
    bank = MemoryBank(sigmoid_pair, 7, width=4).double()
    last: deque[tuple[list[float], int]] = deque(maxlen=7)
    for a, b, labels in steps([3, 2, 5, 7, 1, 9, 6]):
        bank(a, b, labels)
        last.extend((row.tolist(), int(label)) for row, label in zip(b.detach(), labels, strict=True))
        held = bank.held()
        assert len(bank) == len(last) == len(held["b"])
        got = [(row.tolist(), int(label)) for row, label in zip(held["b"], held["labels"], strict=True)]
        assert sorted(got) == sorted(last)
        assert not held["b"].requires_grad
    before = held["b"].clone()
    bank(*steps([4], seed=1)[0])
    assert torch.equal(held["b"], before)  # what a loss was given does not change under its backward pass
    bank.reset()
    assert len(bank) == 0 and bank.held() == {}


def test_an_objective_with_reference_options_is_given_the_bank_there() -> None:
    bank = MemoryBank(sigmoid_pair.objective(bias=-1.0), 8, width=4).double()
    assert not bank.joins and bank.keep == ("a", "b", "labels")
    (a, b, labels), (c, d, theirs) = steps([5, 6])
    assert bank(a, b, labels) == sigmoid_pair(a, b, labels, bias=-1.0)
    got = bank(c, d, theirs)
    options = {"reference_a": a.detach(), "reference_b": b.detach(), "reference_labels": labels}
    expected = sigmoid_pair(c, d, theirs, bias=-1.0, **options)
    assert torch.allclose(got, expected, rtol=1e-12)
    # the bank has moved on by now, and the gradient is still that of the rows as they were
    for slope, want in zip(
        torch.autograd.grad(got, (c, d)), torch.autograd.grad(expected, (c, d)), strict=True
    ):
        assert torch.allclose(slope, want, rtol=1e-12)
    keys = MemoryBank(sigmoid_pair, 8, width=4, keep=("b",)).double()
    keys(a, b)
    assert torch.allclose(keys(c, d), sigmoid_pair(c, d, reference_b=b.detach()))


def test_info_nce_against_the_batch_and_the_bank() -> None:
    bank = MemoryBank(info_nce.objective(temperature=0.3), 16, width=4).double()
    (a, b, _), (c, d, _) = steps([5, 6])
    bank(a, b)
    unit = torch.nn.functional.normalize
    x, y, p, q = (unit(t, dim=1) for t in (c, d, a.detach(), b.detach()))
    forward = (x @ torch.cat((y, q)).T / 0.3).logsumexp(1)
    backward = (y @ torch.cat((x, p)).T / 0.3).logsumexp(1)
    expected = ((forward + backward) / 2 - (x * y).sum(1) / 0.3).mean()
    got = bank(c, d)
    assert torch.allclose(got, expected, rtol=1e-9)
    for slope, want in zip(
        torch.autograd.grad(got, (c, d)), torch.autograd.grad(expected, (c, d)), strict=True
    ):
        assert torch.allclose(slope, want, rtol=1e-8, atol=1e-12)


def test_supcon_finds_positives_in_the_bank() -> None:
    bank = MemoryBank(supcon.objective(temperature=0.5), 16, width=4).double()
    (a, _, labels), (c, _, theirs) = steps([7, 5], seed=3)
    theirs[0] = 9  # alone in its class: no anchor
    bank(a, labels)
    unit = torch.nn.functional.normalize
    whole, all_labels = torch.cat((unit(c, dim=1), unit(a.detach(), dim=1))), torch.cat((theirs, labels))
    score = (whole[:5] @ whole.T / 0.5).masked_fill(torch.eye(5, 12, dtype=torch.bool), -torch.inf)
    log_p = score - score.logsumexp(1, keepdim=True)
    positive = (theirs[:, None] == all_labels[None, :]) & ~torch.eye(5, 12, dtype=torch.bool)
    each = -log_p.masked_fill(~positive, 0.0).sum(1) / positive.sum(1).clamp_min(1)
    anchors = positive.any(1)
    assert int(anchors.sum()) == 4
    assert torch.allclose(bank(c, theirs), each[anchors].mean(), rtol=1e-9)


def test_an_objective_of_ones_own() -> None:
    bank = MemoryBank(nearest_other_kind, 16, width=4).double()
    (a, _, labels), (c, _, theirs) = steps([7, 5], seed=4)
    bank(a, labels)
    far = torch.cdist(c, torch.cat((c, a.detach()))).square()
    far = far.masked_fill(theirs[:, None] == torch.cat((theirs, labels))[None, :], 1e6)
    assert torch.allclose(bank(c, theirs), -far.amin(1).mean())  # the best is the maximum: a loss is minus it


def test_learned_options_are_the_banks_parameters() -> None:
    log_scale = torch.nn.Parameter(torch.tensor(1.0))
    bank = MemoryBank(sigmoid_pair.objective(log_scale=log_scale), 8, width=4)
    assert [id(p) for p in bank.parameters()] == [id(log_scale)]
    for a, b, _ in steps([5, 6]):
        bank(a, b).backward()
    assert log_scale.grad is not None and float(log_scale.grad) != 0


def test_half_precision_rows_are_kept_and_used_in_float32() -> None:
    for loss in (sigmoid_pair, info_nce):
        bank = MemoryBank(loss, 8, width=4)
        for a, b, _ in steps([5, 6]):
            assert bank(a.bfloat16(), b.bfloat16()).dtype == torch.float32
        assert bank.held()["b"].dtype == torch.float32


def test_evaluation_leaves_the_bank_as_it_is_and_the_state_is_kept() -> None:
    bank = MemoryBank(sigmoid_pair, 6, width=4).double()
    (a, b, _), (c, d, _), (e, f, _) = steps([4, 5, 3])
    bank(a, b)
    bank(c, d)
    again = MemoryBank(sigmoid_pair, 6, width=4).double()
    again.load_state_dict(bank.state_dict())
    bank.eval()
    value = bank(e, f)
    assert value == bank(e, f) and len(bank) == 6
    bank.train()
    assert bank(e, f) == value == again(e, f)
    assert all(torch.equal(bank.held()[name], rows) for name, rows in again.held().items())
    assert bank(a, b) == again(a, b)
    again.reset()
    again.enqueue(a, b)
    assert torch.equal(again.held()["a"], a.detach())
    assert len(pickle.loads(pickle.dumps(bank))) == 6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MemoryBank(torch.nn.MSELoss(), 4, width=2), r"loss.*MSELoss.*@batch_objective"),
        (lambda: MemoryBank(sigmoid_pair, 0, width=2), "size"),
        (lambda: MemoryBank(sigmoid_pair, 4, width=2.0), "width"),
        (lambda: MemoryBank(sigmoid_pair, 4, width=2, keep=("c",)), r"keep.*'c'"),
        (lambda: MemoryBank(sigmoid_pair, 4, width=2, keep="b"), "keep"),
        (lambda: MemoryBank(nearest_other_kind, 4, width=2, keep=("x",)), "leave keep out"),
    ],
)
def test_bad_settings_are_refused_by_name(make: Any, words: str) -> None:
    with pytest.raises(assay.UsageError, match=words):
        make()


def test_bad_batches_are_refused_by_name() -> None:
    bank = MemoryBank(sigmoid_pair, 4, width=3)
    a = torch.randn(4, 3)
    with pytest.raises(assay.UsageError, match="a has 2 features and the bank 3"):
        bank(a[:, :2], a[:, :2])
    bank(a, a)
    with pytest.raises(assay.UsageError, match="holds a, b and this batch gives a, b, labels"):
        bank(a, a, torch.arange(4))
    with pytest.raises(assay.UsageError, match="b is missing"):
        bank(a)
    two = MemoryBank(supcon, 4, width=3)
    two(a, torch.arange(4), a, torch.arange(4))
    with pytest.raises(assay.UsageError, match="not rows of one batch"):
        two(a, torch.arange(4), a, torch.arange(4))
    apart = MemoryBank(against_others, 4, width=3)
    with pytest.raises(assay.UsageError, match="x, y are not rows of one batch"):
        apart(a, a[:2])
