"""`sigmoid_pair` is the dense formula in value and gradient, at any tile boundary and on any number of processes."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import assay
from assay.batch_law_inputs import draw_batch_inputs
from assay.batch_laws import laws_of_batches
from assay.embeddings.sigmoid import sigmoid_pair
from assay.scale import tiles

LOG_10 = math.log(10)
WORKER = Path(__file__).with_name("pair_rank_worker.py")


def drawn(n: int, d: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(n, d, dtype=torch.float64, generator=g)
    b = a + torch.randn(n, d, dtype=torch.float64, generator=g)
    return a.to(dtype).requires_grad_(), b.to(dtype).requires_grad_()


def dense(
    a: Tensor,
    b: Tensor,
    positive: Tensor,
    log_scale: Tensor | float = LOG_10,
    bias: Tensor | float = -10.0,
) -> Tensor:
    """Row sums of  -log sigmoid(z (t a b + bias)),  as the paper writes them."""
    unit = torch.nn.functional.normalize
    score = torch.as_tensor(log_scale).exp() * unit(a, dim=1) @ unit(b, dim=1).T + bias
    sign = 2 * positive.to(score.dtype) - 1
    return -torch.nn.functional.logsigmoid(sign * score).sum(1)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles far smaller than the batch, of sizes that leave rests."""
    monkeypatch.setattr(tiles, "ROWS", 5)
    monkeypatch.setattr(tiles, "COLUMNS", 7)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_value_and_gradients_are_the_dense_formulas(
    small_tiles: None, labelled: bool, reduction: str
) -> None:
    a, b = drawn(23, 4)
    labels = torch.arange(23) % 6 if labelled else None
    log_scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    leaves = (a, b, log_scale, bias)
    positive = torch.eye(23, dtype=torch.bool) if labels is None else labels[:, None] == labels[None, :]
    each = dense(a, b, positive, log_scale, bias)
    got = sigmoid_pair(a, b, labels, log_scale=log_scale, bias=bias, reduction=reduction)
    assert torch.allclose(got, each if reduction == "none" else each.sum() / 23, rtol=1e-12)
    weights = torch.linspace(0.1, 2, 23, dtype=torch.float64) if reduction == "none" else torch.tensor(1.0)
    expected = torch.autograd.grad(((each if reduction == "none" else each.mean()) * weights).sum(), leaves)
    for slope, want in zip(torch.autograd.grad((got * weights).sum(), leaves), expected, strict=True):
        assert torch.allclose(slope, want, rtol=1e-10, atol=1e-13)


def test_gradcheck_of_rows_scale_bias_and_reference_rows(small_tiles: None) -> None:
    a, b = drawn(8, 3)
    beside = [rows.detach().clone().requires_grad_() for rows in drawn(9, 3, seed=1)]
    score = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, -0.5)]

    def mean(a: Tensor, b: Tensor, p: Tensor, q: Tensor, s: Tensor, c: Tensor) -> Tensor:
        return sigmoid_pair(a, b, log_scale=s, bias=c, reference_a=p, reference_b=q)

    def each(a: Tensor, b: Tensor, p: Tensor, q: Tensor, s: Tensor, c: Tensor) -> Tensor:
        return sigmoid_pair(
            a, b, log_scale=s, bias=c, normalise=False, reference_a=p, reference_b=q, reduction="none"
        )

    for function in (mean, each):
        assert torch.autograd.gradcheck(function, (a, b, *beside, *score), fast_mode=True)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 9),
    d=st.integers(1, 5),
    classes=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    optional=st.booleans(),
)
def test_laws(n: int, d: int, classes: int, seed: int, optional: bool) -> None:
    inputs = draw_batch_inputs(sigmoid_pair, n=n + 1, d=d + 1, classes=classes, seed=seed, optional=optional)
    for law in laws_of_batches(sigmoid_pair):
        law(sigmoid_pair, inputs)


def test_reference_rows_are_candidates_and_no_anchors() -> None:
    a, b = drawn(6, 3)
    c, d = drawn(4, 3, seed=1)
    labels, theirs = torch.arange(6) % 3, torch.tensor([0, 5, 2, 2])
    nowhere = torch.zeros(6, 4, dtype=torch.bool)
    same = labels[:, None] == theirs[None, :]
    whole = dense(a, b, torch.eye(6, dtype=torch.bool))
    got = sigmoid_pair(a, b, reference_a=c, reference_b=d, reduction="none")
    assert torch.allclose(got, whole + dense(a, d, nowhere) + dense(b, c, nowhere))
    got = sigmoid_pair(a, b, labels, reference_b=d, reference_labels=theirs)
    whole = dense(a, b, labels[:, None] == labels[None, :])
    assert torch.allclose(got, (whole + dense(a, d, same)).mean())
    assert sigmoid_pair(a, b, reference_b=d[:0]) == sigmoid_pair(a, b)
    assert torch.allclose(
        sigmoid_pair(a.float(), b.float(), reference_b=d), sigmoid_pair(a, b, reference_b=d).float()
    )


def test_extreme_scores_stay_finite_and_exact() -> None:
    a = torch.eye(3, dtype=torch.float64)
    value = sigmoid_pair(a, a, log_scale=math.log(1e4), bias=0.0)
    assert value.isfinite() and abs(float(value) - 2 * math.log(2)) < 1e-12
    # -log sigmoid(s) of a match is exp(-s) where s is large, not 0
    one = torch.ones(1, 1, dtype=torch.float64)
    assert abs(float(sigmoid_pair(one, one, log_scale=math.log(45.0), bias=0.0)) / math.exp(-45) - 1) < 1e-9
    half = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = sigmoid_pair(half.double(), half.double())
    assert abs(float(sigmoid_pair(half, half)) - float(exact)) < 1e-6 * float(exact)


def test_a_row_of_zeros_has_no_direction() -> None:
    a, b = drawn(3, 2)
    with torch.no_grad():
        a[1] = 0
    each = sigmoid_pair(a, b, bias=-1.0, reduction="none")
    assert torch.allclose(
        each[1].detach(), torch.tensor(math.log1p(math.e) + 2 * math.log1p(1 / math.e)).double()
    )
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(each.sum(), (a, b)))


def test_a_row_of_zeros_has_no_gradient_in_half_precision_either() -> None:
    a, b = (torch.eye(4, dtype=torch.float16).flip(k) for k in (0, 1))
    a[1] = 0
    a.requires_grad_()
    (slope,) = torch.autograd.grad(sigmoid_pair(a, b), a)
    assert bool(slope.isfinite().all()) and not bool(slope[1].any()) and bool(slope[0].any())


def test_the_module_learns_its_scale_and_bias() -> None:
    a, b = drawn(12, 4)
    log_scale, bias = torch.nn.Parameter(torch.tensor(2.0)), torch.nn.Parameter(torch.tensor(-5.0))
    module = sigmoid_pair.objective(log_scale=log_scale, bias=bias)
    assert {id(p) for p in module.parameters()} == {id(log_scale), id(bias)}
    module(a, b).backward()
    wide = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (2.0, -5.0)]
    slopes = torch.autograd.grad(dense(a, b, torch.eye(12, dtype=torch.bool), *wide).mean(), wide)
    for p, slope in zip((log_scale, bias), slopes, strict=True):
        assert p.grad is not None and torch.allclose(p.grad.double(), slope, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference_b": torch.randn(4, 2)}, ("reference_b", "2 features", "3")),
        ({"reference_a": torch.randn(4)}, ("reference_a", "shape")),
        ({"reference_labels": torch.arange(4)}, ("reference_labels", "labels")),
        ({"labels": torch.arange(5), "reference_b": torch.randn(4, 3)}, ("reference_labels", "reference_b")),
        (
            {
                "labels": torch.arange(5),
                "reference_b": torch.randn(4, 3),
                "reference_labels": torch.arange(3),
            },
            ("reference_b", "4 rows", "reference_labels 3"),
        ),
        ({"log_scale": torch.zeros(2)}, ("log_scale", "one number")),
        ({"bias": "low"}, ("bias", "one number", "low")),
        ({"bias": torch.tensor(-10)}, ("bias", "floating-point")),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object], words: tuple[str, ...]) -> None:
    a = torch.randn(5, 3)
    with pytest.raises(assay.UsageError) as caught:
        sigmoid_pair(a, a, **options)
    assert all(word in str(caught.value) for word in words), caught.value


def open_clip_losses() -> ModuleType:
    """The file alone: the package itself asks for more than the loss needs."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        pytest.skip("open_clip is not installed")
    spec = importlib.util.spec_from_file_location(
        "open_clip_losses", Path(package.origin).with_name("loss.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equals_open_clip() -> None:
    theirs = open_clip_losses().SigLipLoss()
    a, b = drawn(700, 16)
    leaves = (a, b, *(torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (2.0, -4.0)))
    unit = torch.nn.functional.normalize
    expected = theirs(unit(a, dim=1), unit(b, dim=1), leaves[2].exp(), leaves[3])
    got = sigmoid_pair(a, b, log_scale=leaves[2], bias=leaves[3])
    assert abs(float((got - expected).detach())) < 1e-10
    slopes = torch.autograd.grad(expected, leaves)
    for slope, want in zip(torch.autograd.grad(got, leaves), slopes, strict=True):
        assert torch.allclose(slope, want, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_are_one(run_ranks: Callable[..., None], world: int) -> None:
    """The ring, banks and individual temperatures: loss and parameter gradients are those of the whole batch."""
    run_ranks(WORKER, world)
