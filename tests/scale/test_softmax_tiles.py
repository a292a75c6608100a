"""Log partitions over tiles equal those of the whole matrix, gradients included, whatever the tiles and the logits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from assay import UsageError
from assay.scale.contrast import softmax_tiles
from assay.scale.contrast.pair_weights import PairWeights
from assay.scale.contrast.softmax_tiles import log_partition_within, log_partitions, row_log_partition

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-4}


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(softmax_tiles.SIDE, "cpu", 5)


def agrees(
    got: tuple[Tensor, ...], expected: tuple[Tensor, ...], inputs: tuple[Tensor, ...], seed: int
) -> None:
    """Values, and the gradient of a random combination of them."""
    tolerance = TOLERANCE[inputs[0].dtype]
    g = torch.Generator().manual_seed(seed)
    cotangents = [torch.randn(len(e), dtype=torch.float64, generator=g) for e in expected]
    slopes = []
    for values in (got, expected):
        total = sum((c @ v for c, v in zip(cotangents, values, strict=True)), torch.zeros(()))
        slopes.append(torch.autograd.grad(total, inputs, retain_graph=True))
    for mine, theirs in zip((*got, *slopes[0]), (*expected, *slopes[1]), strict=True):
        size = max(1.0, float(theirs.detach().abs().max()))
        assert float((mine - theirs).detach().abs().max()) <= tolerance * size


@settings(max_examples=12)
@given(
    n=st.integers(1, 14),
    m=st.integers(1, 14),
    side=st.sampled_from([1, 4, 7, 512]),
    spread=st.sampled_from([0.1, 1.0, 9.0]),
    wide=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_values_and_gradients_are_those_of_the_matrix(
    n: int, m: int, side: int, spread: float, wide: bool, seed: int
) -> None:
    g = torch.Generator().manual_seed(seed)
    dtype = torch.float64 if wide else torch.float32
    x, y = (
        (spread * torch.randn(k, 3, dtype=torch.float64, generator=g)).to(dtype).requires_grad_()
        for k in (n, m)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(softmax_tiles.SIDE, "cpu", side)
        matrix = x.double() @ y.double().T
        agrees(log_partitions(x, y), (matrix.logsumexp(1), matrix.logsumexp(0)), (x, y), seed)
        agrees((row_log_partition(x, y),), (matrix.logsumexp(1),), (x, y), seed)
        if n > 1:
            own = (x.double() @ x.double().T).masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
            agrees((log_partition_within(x),), (own.logsumexp(1),), (x,), seed)


@pytest.mark.parametrize("spread", [1.0, 9.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.usefixtures("small_tiles")
def test_weights_are_of_anchor_and_other(
    normal: Callable[..., Tensor], dtype: torch.dtype, spread: float
) -> None:
    x, y = ((spread * normal(8, 3)).to(dtype).requires_grad_() for _ in range(2))
    w = normal(8, 8).abs().to(dtype)
    w[2, 5] = 0
    inside = torch.where(torch.eye(8, dtype=torch.bool), 1.0, w).double()
    matrix = x.double() @ y.double().T
    expected = (matrix + inside.log()).logsumexp(1), (matrix + inside.T.log()).logsumexp(0)
    agrees(log_partitions(x, y, weights=PairWeights(w, 8)), expected, (x, y), 0)
    by_block = PairWeights(lambda i, j: w[i][:, j], 8)
    agrees(log_partitions(x, y, weights=by_block), expected, (x, y), 0)
    agrees((row_log_partition(x, y, weights=by_block),), expected[:1], (x, y), 0)
    # two views of four samples
    own = torch.where(torch.eye(4, dtype=torch.bool), 1.0, w[:4, :4]).double().repeat(2, 2)
    logits = (x.double() @ x.double().T + own.log()).masked_fill(torch.eye(8, dtype=torch.bool), -torch.inf)
    agrees((log_partition_within(x, weights=PairWeights(w[:4, :4], 4)),), (logits.logsumexp(1),), (x,), 0)


@pytest.mark.usefixtures("small_tiles")
def test_a_matrix_of_weights_has_its_gradient(normal: Callable[..., Tensor]) -> None:
    x, y, z = normal(7, 3), normal(7, 3), normal(14, 3)
    w = normal(7, 7).abs().requires_grad_()
    inside = torch.where(torch.eye(7, dtype=torch.bool), 1.0, w)
    matrix = x @ y.T
    expected = (matrix + inside.log()).logsumexp(1), (matrix + inside.T.log()).logsumexp(0)
    agrees(log_partitions(x, y, weights=PairWeights(w, 7)), expected, (w,), 1)
    logits = (z @ z.T + inside.repeat(2, 2).log()).masked_fill(torch.eye(14, dtype=torch.bool), -torch.inf)
    agrees((log_partition_within(z, weights=PairWeights(w, 7)),), (logits.logsumexp(1),), (w,), 1)


def test_one_row_alone_has_nothing_under_its_logarithm() -> None:
    for scale in (1.0, 100.0):
        x = torch.full((1, 2), scale, requires_grad=True)
        alone = log_partition_within(x)
        assert alone.item() == -torch.inf
        torch.where(alone.isfinite(), alone, 0.0).sum().backward()
        assert torch.equal(x.grad, torch.zeros(1, 2))  # type: ignore[arg-type]


def test_logits_far_beyond_what_an_exponential_holds() -> None:
    x = torch.tensor([[1000.0], [-1000.0], [0.5]], requires_grad=True)
    rows, columns = log_partitions(x, x.detach().clone())
    assert torch.allclose(rows, torch.tensor([1e6, 1e6, 500.0], dtype=torch.float64))
    (rows.sum() + columns.sum()).backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


@pytest.mark.parametrize("spread", [1.0, 9.0])
def test_small_cotangents_are_not_lost(normal: Callable[..., Tensor], spread: float) -> None:
    x, y = ((spread * normal(9, 3)).float().requires_grad_() for _ in range(2))
    rows, columns = log_partitions(x, y)
    whole = torch.autograd.grad(rows.sum() + columns.sum(), x, retain_graph=True)[0]
    tiny = torch.autograd.grad(1e-30 * (rows.sum() + columns.sum()), x)[0]
    assert torch.allclose(tiny * 1e30, whole, rtol=1e-5, atol=1e-6)


def test_cotangent_of_one_direction_alone(normal: Callable[..., Tensor]) -> None:
    x, y = normal(6, 3).requires_grad_(), normal(4, 3).requires_grad_()
    columns = log_partitions(x, y)[1]
    expected = (x @ y.T).logsumexp(0)
    agrees((columns,), (expected,), (x, y), 2)


def test_a_second_derivative_is_refused(normal: Callable[..., Tensor]) -> None:
    x, y = normal(4, 3).requires_grad_(), normal(4, 3)
    slope = torch.autograd.grad(log_partitions(x, y)[0].sum(), x, create_graph=True)[0]
    with pytest.raises(UsageError, match="second derivative"):
        (slope.square().sum() + x.sum()).backward()


def test_each_pair_of_tiles_within_a_set_is_visited_once(
    monkeypatch: pytest.MonkeyPatch, normal: Callable[..., Tensor]
) -> None:
    """The work of one sweep: half the products of a set with itself, and for two sets both directions at once."""
    monkeypatch.setitem(softmax_tiles.SIDE, "cpu", 4)
    products = 0
    plain = torch.mm

    def counted(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
        nonlocal products
        products += a.shape[0] * b.shape[1]
        return plain(a, b, out=out)

    monkeypatch.setattr(torch, "mm", counted)
    x, y = normal(16, 3), normal(12, 3)
    log_partition_within(x)
    assert products == 16 * (16 + 4) / 2
    products = 0
    log_partitions(x, y)
    assert products == 16 * 12


def test_a_block_of_another_shape_is_refused(normal: Callable[..., Tensor]) -> None:
    x = normal(4, 3)
    with pytest.raises(UsageError, match=r"weights: .*\(4, 4\).*\(4, 1\)"):
        log_partitions(x, x, weights=PairWeights(lambda i, j: torch.ones(len(i), 1), 4))
    with pytest.raises(UsageError, match=r"weights: .*got float"):
        log_partitions(x, x, weights=PairWeights(lambda i, j: 1.0, 4))  # type: ignore[arg-type,return-value]
