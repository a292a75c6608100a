"""InfoNCE and NT-Xent: against the matrix form, other packages' values, closed forms and limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import assay
from assay.embeddings import LearnableTemperature, info_nce
from assay.scale.contrast import softmax_tiles

TEMPERATURES = (0.5, 0.1, 0.01)


def waves(n: int, d: int, k: float) -> Tensor:
    """Rows that are the same on every machine."""
    return torch.sin(torch.arange(n * d, dtype=torch.float64) * k + k).reshape(n, d)


A = waves(12, 5, 1.3)
B = waves(12, 5, 2.1) + 0.5 * A


def matrix_form(
    a: Tensor, b: Tensor, temperature: Any, negatives: str = "cross", weights: Tensor | None = None
) -> Tensor:
    """The value a pair, with every similarity in memory."""
    n = len(a)
    a, b = normalize(a), normalize(b)
    inside = torch.ones(n, n, dtype=a.dtype) if weights is None else weights
    inside = torch.where(torch.eye(n, dtype=torch.bool), 1.0, inside)
    positive = (a * b).sum(1) / temperature
    if negatives == "cross":
        s = a @ b.T / temperature
        rows, columns = (s + inside.log()).logsumexp(1), (s.T + inside.log()).logsumexp(1)
    else:
        z = torch.cat([a, b])
        s = z @ z.T / temperature + inside.repeat(2, 2).log()
        rows, columns = s.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf).logsumexp(1).chunk(2)
    return (rows + columns) / 2 - positive


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("negatives", ["cross", "both"])
def test_value_and_gradient_are_those_of_the_matrix_form(
    negatives: Any, temperature: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(softmax_tiles.SIDE, "cpu", 5)
    t = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    a, b = A.to(dtype, copy=True).requires_grad_(), B.to(dtype, copy=True).requires_grad_()
    each = info_nce(a, b, temperature=t, negatives=negatives, reduction="none")
    expected = matrix_form(a.double(), b.double(), t, negatives)
    relative = 1e-10 if dtype == torch.float64 else 2e-5
    assert torch.allclose(each.double(), expected, rtol=relative, atol=relative)
    weights = torch.linspace(0.1, 1, 12, dtype=torch.float64)
    for mine, theirs in zip(
        torch.autograd.grad(each.double() @ weights, (a, b, t)),
        torch.autograd.grad(expected @ weights, (a, b, t)),
        strict=True,
    ):
        assert float((mine - theirs).abs().max()) <= relative * max(1.0, float(theirs.abs().max()))


# values of lightly 1.6.0 and pytorch-metric-learning 2.9.0 (NTXentLoss), and of open_clip's ClipLoss, on these rows
NT_XENT = dict(zip(TEMPERATURES, (3.182078389628067, 6.559396756107884, 56.56825589384423), strict=True))
CLIP = dict(zip(TEMPERATURES, (2.2951362875106716, 3.1024639093950634, 21.113539200054163), strict=True))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_values_of_other_packages(temperature: float) -> None:
    both = info_nce(A, B, temperature=temperature, negatives="both")
    assert math.isclose(float(both), NT_XENT[temperature], rel_tol=1e-12)
    assert math.isclose(float(info_nce(A, B, temperature=temperature)), CLIP[temperature], rel_tol=1e-12)


def test_one_direction_is_a_cross_entropy_over_the_columns() -> None:
    expected = torch.nn.functional.cross_entropy(normalize(A) @ normalize(B).T / 0.2, torch.arange(12))
    assert torch.allclose(info_nce(A, B, temperature=0.2, symmetric=False), expected, rtol=1e-12)


def test_products_as_they_are() -> None:
    logits = A @ B.T / 0.2
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(12))
    got = info_nce(A, B, temperature=0.2, symmetric=False, normalise=False)
    assert torch.allclose(got, expected, rtol=1e-12)
    unit = info_nce(normalize(A), normalize(B), normalise=False)
    assert torch.allclose(unit, info_nce(A, B), rtol=1e-12)


@pytest.mark.parametrize("negatives", ["cross", "both"])
class TestWeights:
    def test_of_one_change_nothing(self, negatives: Any) -> None:
        plain = info_nce(A, B, negatives=negatives)
        assert torch.allclose(
            info_nce(A, B, negatives=negatives, weights=torch.ones(12, 12)), plain, rtol=1e-12
        )
        assert torch.allclose(
            info_nce(A, B, negatives=negatives, weights=torch.ones(12, 12, dtype=torch.int64)),
            plain,
            rtol=1e-12,
        )

    def test_are_of_anchor_and_negative(self, negatives: Any) -> None:
        w = waves(12, 12, 0.7).abs() + 0.1
        expected = matrix_form(A, B, 0.1, negatives, w)
        for weights in (w, lambda i, j: w[i][:, j]):
            got = info_nce(A, B, negatives=negatives, weights=weights, reduction="none")
            assert torch.allclose(got, expected, rtol=1e-12)

    def test_of_zero_delete_the_sample(self, negatives: Any) -> None:
        w = torch.ones(12, 12)
        w[:, 4] = 0
        got = info_nce(A, B, negatives=negatives, weights=w, reduction="none")
        rest = [i for i in range(12) if i != 4]
        kept = info_nce(A[rest], B[rest], negatives=negatives, reduction="none")
        assert torch.allclose(got[rest], kept, rtol=1e-12)

    def test_of_two_duplicate_the_sample(self, negatives: Any) -> None:
        w = torch.ones(12, 12)
        w[:, 4] = 2
        twice = [*range(12), 4]
        double = info_nce(A[twice], B[twice], negatives=negatives, reduction="none")
        got = info_nce(A, B, negatives=negatives, weights=w, reduction="none")
        others = [i for i in range(12) if i != 4]
        assert torch.allclose(got[others], double[:12][others], rtol=1e-12)

    def test_have_a_gradient_as_a_matrix(self, negatives: Any) -> None:
        w = (waves(12, 12, 0.7).abs() + 0.1).requires_grad_()
        slopes = [
            torch.autograd.grad(value, w)[0]
            for value in (
                info_nce(A, B, negatives=negatives, weights=w),
                matrix_form(A, B, 0.1, negatives, w).mean(),
            )
        ]
        assert torch.allclose(slopes[0], slopes[1], rtol=1e-9, atol=1e-15)


def test_the_gradient_of_similarities_is_the_softmax_over_the_temperature() -> None:
    """With one-hot partners the rows' products are the entries of a, so that its gradient is that of the similarities:
    P_ij / t for negatives, minus their sum for the positive (Wang and Liu 2021)."""
    s = waves(6, 6, 0.9).requires_grad_()
    t = 0.3
    each = info_nce(s, torch.eye(6, dtype=torch.float64), temperature=t, normalise=False, symmetric=False,
                    reduction="none")  # fmt: skip
    (slope,) = torch.autograd.grad(each.sum(), s)
    softmax = (s.detach() / t).softmax(1)
    negatives = softmax.masked_fill(torch.eye(6, dtype=torch.bool), 0.0) / t
    assert torch.allclose(slope, negatives - torch.diag(negatives.sum(1)), rtol=1e-10, atol=1e-14)


def test_limits_of_the_temperature() -> None:
    s = normalize(A) @ normalize(B).T
    best_other = s.masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf).amax(1)
    cold = 1e-4 * info_nce(A, B, temperature=1e-4, symmetric=False, reduction="none")
    assert torch.allclose(cold, (best_other - s.diagonal()).clamp_min(0), atol=1e-3)
    hot = info_nce(A, B, temperature=1e6, reduction="none")
    assert torch.allclose(hot, torch.full_like(hot, math.log(12)), atol=1e-5)


def test_equal_embeddings_cost_the_logarithm_of_the_candidates() -> None:
    same = torch.ones(9, 4)
    assert math.isclose(float(info_nce(same, same)), math.log(9), rel_tol=1e-6)
    assert math.isclose(float(info_nce(same, same, negatives="both")), math.log(17), rel_tol=1e-6)
    assert float(info_nce(same[:1], same[:1])) == pytest.approx(0, abs=1e-6)
    assert float(info_nce(same[:1], same[:1], negatives="both")) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_a_row_of_zeros_has_no_direction_and_no_gradient(temperature: float) -> None:
    a = A.clone()
    a[3] = 0
    a.requires_grad_()
    info_nce(a, B, temperature=temperature, negatives="both").backward()
    assert a.grad is not None and bool(a.grad.isfinite().all())
    assert not a.grad[3].any() and a.grad[2].any()


@pytest.mark.parametrize("negatives", ["cross", "both"])
def test_reference_rows_are_negatives_and_no_anchors(negatives: Any) -> None:
    """The anchors of a batch that they are part of, with both sides' rows paired."""
    more_a, more_b = waves(7, 5, 0.4), waves(7, 5, 0.9)
    whole = info_nce(torch.cat([A, more_a]), torch.cat([B, more_b]), negatives=negatives, reduction="none")
    got = info_nce(A, B, negatives=negatives, reference_a=more_a, reference_b=more_b, reduction="none")
    assert torch.allclose(got, whole[:12], rtol=1e-12)


def test_a_queue_of_keys() -> None:
    queue = waves(7, 5, 0.4)
    logits = normalize(A) @ normalize(torch.cat([B, queue])).T / 0.1
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(12))
    assert torch.allclose(info_nce(A, B, symmetric=False, reference_b=queue), expected, rtol=1e-12)
    own = torch.nn.functional.cross_entropy(normalize(B) @ normalize(A).T / 0.1, torch.arange(12))
    assert torch.allclose(info_nce(A, B, reference_b=queue), (expected + own) / 2, rtol=1e-12)
    with pytest.raises(assay.UsageError, match="reference_b has 3 features and the batch 5"):
        info_nce(A, B, reference_b=queue[:, :3])
    with pytest.raises(assay.UsageError, match="reference_a: with symmetric=False"):
        info_nce(A, B, symmetric=False, reference_a=queue)


def test_a_learnt_temperature_is_trained() -> None:
    model = info_nce.objective(temperature=LearnableTemperature(0.2))
    before = float(model(A, B).detach())
    (theta,) = model.parameters()
    for _ in range(20):
        (slope,) = torch.autograd.grad(model(A, B), theta)
        with torch.no_grad():
            theta -= 0.5 * slope
    assert float(model(A, B).detach()) < before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, "temperature: expected a number above zero, got 0"),
        ({"temperature": -1}, "temperature: .* got -1"),
        ({"temperature": torch.tensor(float("nan"))}, "temperature: .* got nan"),
        ({"temperature": torch.ones(2)}, r"temperature: expected one number, got the shape \(2,\)"),
        ({"temperature": "cold"}, "temperature: expected a number or a tensor, got str"),
        ({"temperature": torch.ones((), device="meta")}, "temperature is on meta"),
        ({"negatives": "all"}, "negatives: expected"),
        ({"negatives": "both", "symmetric": False}, "symmetric=False"),
        ({"weights": torch.ones(3, 12)}, r"weights: expected the shape \(12, 12\), got \(3, 12\)"),
        ({"weights": 2.0}, "weights: expected a matrix or a function, got float"),
        ({"weights": torch.ones(12, 12, device="meta")}, "weights are on meta"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(assay.UsageError, match=words):
        info_nce(A, B, **options)


def test_a_temperature_on_its_own(normal: Callable[..., Tensor]) -> None:
    temperature = LearnableTemperature(0.05, maximum_scale=25)
    assert math.isclose(float(temperature().detach()), 0.05, rel_tol=1e-6)
    with torch.no_grad():
        temperature.log_scale += 3
    value = temperature()
    assert math.isclose(float(value.detach()), 1 / 25, rel_tol=1e-6)
    value.backward()  # type: ignore[no-untyped-call]
    assert temperature.log_scale.grad is not None and float(temperature.log_scale.grad) != 0
    assert "25" in repr(temperature)
    with torch.no_grad():
        temperature.log_scale += 3
    assert float(temperature.eval()().detach()) < 1 / 25  # evaluation changes nothing
    assert LearnableTemperature(0.001, maximum_scale=None)().detach() < 0.0011
    for initial, most in ((0.0, 100.0), (float("nan"), 100.0), (0.001, 100.0)):
        with pytest.raises(assay.UsageError, match="initial"):
            LearnableTemperature(initial, maximum_scale=most)


def test_a_queue_alone_without_the_batch() -> None:
    """What lightly's NTXentLoss does with a memory bank."""
    queue = waves(7, 5, 0.4)
    a, b, keys = (normalize(rows) for rows in (A, B, queue))
    logits = torch.cat([(a * b).sum(1, keepdim=True), a @ keys.T], 1) / 0.1
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(12, dtype=torch.int64))
    got = info_nce(A, B, symmetric=False, reference_b=queue, weights=lambda i, j: torch.zeros(len(i), len(j)))
    assert torch.allclose(got, expected, rtol=1e-12)
