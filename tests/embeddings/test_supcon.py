"""The supervised contrastive loss: against the matrix form, another package's values and closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import assay
from assay.embeddings import info_nce, supcon
from assay.scale.contrast import softmax_tiles

TEMPERATURES = (0.5, 0.1, 0.01)


def waves(n: int, d: int, k: float) -> Tensor:
    """Rows that are the same on every machine."""
    return torch.sin(torch.arange(n * d, dtype=torch.float64) * k + k).reshape(n, d)


A = waves(12, 5, 1.3)
B = waves(12, 5, 2.1) + 0.5 * A
Y = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5])  # 2, 4 and 5 stand alone
OTHERS = torch.tensor([0, 1, 2, 2, 3, 3, 5, 5, 5, 6, 6, 0])


def matrix_form(
    z: Tensor, labels: Tensor, other: Tensor, theirs: Tensor, temperature: float, own: bool
) -> Tensor:
    """The value an anchor, one positive at a time."""
    s = normalize(z) @ normalize(other).T / temperature
    values = []
    for i in range(len(z)):
        others = [j for j in range(len(other)) if not (own and i == j)]
        positives = [j for j in others if theirs[j] == labels[i]]
        log_probabilities = [s[i, p] - s[i, others].logsumexp(0) for p in positives]
        values.append(-torch.stack(log_probabilities).mean() if positives else s.new_zeros(()))
    return torch.stack(values)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("own", [True, False])
def test_value_and_gradient_are_those_of_the_matrix_form(
    own: bool, temperature: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(softmax_tiles.SIDE, "cpu", 5)
    z, other = A.to(dtype, copy=True).requires_grad_(), B.to(dtype, copy=True).requires_grad_()
    batch: tuple[Any, ...] = (z, Y) if own else (z, Y, other, OTHERS)
    each = supcon(*batch, temperature=temperature, reduction="none")
    expected = matrix_form(
        z.double(), Y, z.double() if own else other.double(), Y if own else OTHERS, temperature, own
    )
    relative = 1e-10 if dtype == torch.float64 else 2e-5
    assert torch.allclose(each.double(), expected, rtol=relative, atol=relative)
    inputs = (z,) if own else (z, other)
    weights = torch.linspace(0.1, 1, 12, dtype=torch.float64)
    for mine, theirs in zip(
        torch.autograd.grad(each.double() @ weights, inputs),
        torch.autograd.grad(expected @ weights, inputs),
        strict=True,
    ):
        assert float((mine - theirs).abs().max()) <= relative * max(1.0, float(theirs.abs().max()))


# values of pytorch-metric-learning 2.9.0 on these rows, without and with its ref_emb
PEER = {
    0.5: (1.8730417812240714, 2.7237401518255706),
    0.1: (1.4353799668370042, 5.915633033398529),
    0.01: (3.7327739561522737, 52.39157771267091),
}


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_values_of_another_package(temperature: float) -> None:
    alone, against = PEER[temperature]
    assert math.isclose(float(supcon(A, Y, temperature=temperature)), alone, rel_tol=1e-12)
    assert math.isclose(float(supcon(A, Y, B, OTHERS, temperature=temperature)), against, rel_tol=1e-12)


def test_two_rows_a_class_are_nt_xent() -> None:
    twice = torch.arange(12).repeat(2)
    got = supcon(torch.cat([A, B]), twice, temperature=0.2)
    assert torch.allclose(got, info_nce(A, B, temperature=0.2, negatives="both"), rtol=1e-12)


def test_paired_rows_of_another_modality_need_no_labels_of_their_own() -> None:
    assert torch.equal(supcon(A, Y, B), supcon(A, Y, B, Y))
    unique = torch.arange(12)
    both = (supcon(A, unique, B) + supcon(B, unique, A)) / 2
    assert torch.allclose(both, info_nce(A, B), rtol=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_closed_form_at_an_orthogonal_frame(temperature: float) -> None:
    """Unit embeddings, equal within classes and orthogonal between them, whatever the class sizes."""
    sizes = (2, 3, 7)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    z = torch.eye(4, dtype=torch.float64)[labels] * torch.linspace(1, 3, 12, dtype=torch.float64)[:, None]
    expected = torch.cat([
        torch.full((c,), math.log((c - 1) * math.exp(1 / temperature) + 12 - c) - 1 / temperature,
                   dtype=torch.float64)
        for c in sizes
    ])  # fmt: skip
    got = supcon(z, labels, temperature=temperature, reduction="none")
    assert torch.allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_nonnegative_features_descend_to_an_orthogonal_frame() -> None:
    """Kini et al. 2023: with a ReLU the class means become orthogonal for any class sizes."""
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor((2, 4, 9)))
    free = torch.randn(15, 6, generator=torch.Generator().manual_seed(0)).abs().requires_grad_()
    speed = torch.zeros_like(free)
    for _ in range(250):
        (slope,) = torch.autograd.grad(supcon(free.relu(), labels, temperature=0.2), free)
        speed = 0.9 * speed + slope
        with torch.no_grad():
            free -= 0.6 * speed
    u = normalize(free.detach().relu())
    gram = u @ u.T
    assert torch.allclose(gram, (labels[:, None] == labels[None, :]).float(), atol=0.05)


def test_without_any_positive_the_value_is_zero_and_so_is_the_gradient() -> None:
    for rows in (12, 1):
        z = A[:rows].clone().requires_grad_()
        value = supcon(z, torch.arange(rows))
        value.backward()  # type: ignore[no-untyped-call]
        assert float(value.detach()) == 0 and z.grad is not None and not z.grad.any()
    assert float(supcon(A, Y, B, OTHERS + 100)) == 0


def test_a_reference_set_may_be_of_another_size_and_without_gradient() -> None:
    z = A.clone().requires_grad_()
    supcon(z, Y, B[:5], OTHERS[:5]).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None and bool(z.grad.any())


def test_reference_rows_are_candidates_and_no_anchors() -> None:
    whole = supcon(torch.cat([A, B]), torch.cat([Y, OTHERS]), reduction="none")
    got = supcon(A, Y, reference_z=B, reference_labels=OTHERS, reduction="none")
    assert torch.allclose(got, whole[:12], rtol=1e-12)
    alone = supcon(A[5:6], Y[5:6], reference_z=B, reference_labels=OTHERS)
    assert torch.allclose(alone, supcon(A[5:6], Y[5:6], B, OTHERS), rtol=1e-12)
    with pytest.raises(assay.UsageError, match="append reference_z to other"):
        supcon(A, Y, B, OTHERS, reference_z=A, reference_labels=Y)
    with pytest.raises(assay.UsageError, match="reference_labels"):
        supcon(A, Y, reference_z=B)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(assay.UsageError, match="labels_other is given without"):
        supcon(A, Y, labels_other=Y)
    with pytest.raises(assay.UsageError, match="other has 5 rows and labels 12: pass labels_other"):
        supcon(A, Y, B[:5])
    with pytest.raises(assay.UsageError, match="other has 5 rows and labels_other 12"):
        supcon(A, Y, B[:5], Y)
    with pytest.raises(assay.UsageError, match="temperature"):
        supcon(A, Y, temperature=0)
