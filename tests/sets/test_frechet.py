"""The Fréchet distance against scipy's matrix root, closed forms and central differences, singular cases included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay import Moments, frechet_distance

linalg = pytest.importorskip("scipy.linalg")


def by_matrix_root(x, y):
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    shift = ((x.mean(0) - y.mean(0)) ** 2).sum().item()
    return shift + np.trace(a) + np.trace(b) - 2 * np.trace(np.real(linalg.sqrtm(a @ b)))


def factor(x, w):
    """Mean and F with F^T F the covariance."""
    w = np.ones(len(x)) if w is None else w.numpy()
    mean = w @ x.numpy() / w.sum()
    return mean, np.sqrt(w / (w.sum() - 1))[:, None] * (x.numpy() - mean)


def by_singular_values(x, y, u=None, v=None):
    """No matrix root, so right where covariances are singular: the nuclear norm of the factors' product."""
    (p, a), (q, b) = factor(x, u), factor(y, v)
    shift = ((p - q) ** 2).sum()
    return shift + (a**2).sum() + (b**2).sum() - 2 * np.linalg.svd(a @ b.T, compute_uv=False).sum()


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 16), (64, 400, 30), (50, 41, 40)])
def test_equals_the_matrix_root_formula(normal, n, m, d):
    x, y = normal(n, d) @ normal(d, d), 0.7 * normal(m, d) @ normal(d, d) + 1
    assert float(frechet_distance(x, y)) == pytest.approx(by_matrix_root(x, y), rel=1e-9)


def test_diagonal_covariances_have_a_closed_form():
    a, b = torch.tensor([4.0, 1.0, 0.0, 9.0]), torch.tensor([1.0, 0.0, 0.0, 25.0])
    x = Moments.from_covariance(torch.zeros(4), a.diag(), 10)
    y = Moments.from_covariance(torch.tensor([1.0, 0, 0, 2]), b.diag(), 77)
    expected = 5 + float((a.sqrt() - b.sqrt()).square().sum())
    assert float(frechet_distance(x, y)) == pytest.approx(expected, abs=1e-12)


def test_commuting_covariances_have_a_closed_form(normal):
    q, _ = torch.linalg.qr(normal(12, 12))
    a, b = normal(12).abs() + 0.1, normal(12).abs() + 0.1
    x = Moments.from_covariance(torch.zeros(12), (q * a) @ q.T, 100)
    y = Moments.from_covariance(torch.zeros(12), (q * b) @ q.T, 100)
    assert float(frechet_distance(x, y)) == pytest.approx(
        float((a.sqrt() - b.sqrt()).square().sum()), rel=1e-10
    )


def dead(z, columns):
    z = z.clone()
    z[:, columns] = 0.0
    return z


SINGULAR = {
    "fewer samples than features, both": lambda normal: (normal(6, 15), normal(9, 15) + 0.3),
    "fewer samples than features, real": lambda normal: (normal(6, 15), normal(40, 15)),
    "fewer samples than features, generated": lambda normal: (normal(40, 15), normal(6, 15)),
    "dead columns, the same": lambda normal: (dead(normal(40, 8), [2, 5]), dead(normal(30, 8), [2, 5])),
    "dead columns, different ones": lambda normal: (dead(normal(40, 8), [2, 5]), dead(normal(30, 8), [1])),
    "duplicated samples": lambda normal: (normal(5, 8).repeat(6, 1), normal(30, 8)),
    "a duplicated column": lambda normal: (normal(40, 4).repeat(1, 2), normal(30, 4).repeat(1, 2)),
    "one sample more than features": lambda normal: (normal(9, 8), normal(9, 8)),
}


@pytest.mark.parametrize("what", SINGULAR)
def test_singular_covariances(normal, what):
    x, y = SINGULAR[what](normal)
    got = float(frechet_distance(x, y))
    # 1e-7: where a matrix is singular its root's trace is known to the root of rounding only, by any method
    assert got == pytest.approx(by_singular_values(x, y), rel=1e-9, abs=2e-7)
    assert float(frechet_distance(y, x)) == pytest.approx(got, rel=1e-9, abs=2e-7)


@pytest.mark.parametrize("of", ["x", "y"])
@pytest.mark.parametrize("what", SINGULAR)
def test_gradient_in_singular_cases_is_the_symmetric_derivative(normal, what, of):
    """Along directions that keep the ranks the value is smooth; central differences see the derivative there."""
    x, y = SINGULAR[what](normal)
    moving = x if of == "x" else y
    direction = torch.randn(moving.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    if "dead" in what:
        direction = direction * (moving.abs().sum(0) > 0)
    if what == "duplicated samples" and of == "x":
        direction = direction[:5].repeat(6, 1)
    if what == "a duplicated column":
        direction = direction[:, :4].repeat(1, 2)
    leaf = moving.clone().requires_grad_()
    value = frechet_distance(leaf, y) if of == "x" else frechet_distance(x, leaf)
    (grad,) = torch.autograd.grad(value, leaf)
    assert bool(torch.isfinite(grad).all())
    step = 1e-4
    at = [
        by_singular_values(*((moving + s * direction, y) if of == "x" else (x, moving + s * direction)))
        for s in (step, -step)
    ]
    assert float((grad * direction).sum()) == pytest.approx((at[0] - at[1]) / (2 * step), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("what", SINGULAR)
def test_gradient_along_any_direction_is_right_where_the_value_has_a_kink(normal, what):
    """Into a dead direction the value has a kink |t|; half the sum of both one-sided slopes is what is promised."""
    x, y = SINGULAR[what](normal)
    direction = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    leaf = y.clone().requires_grad_()
    (grad,) = torch.autograd.grad(frechet_distance(x, leaf), leaf)
    step = 1e-5
    up, down = (by_singular_values(x, y + s * direction) for s in (step, -step))
    assert float((grad * direction).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=2e-3)


@pytest.mark.parametrize("of", ["x", "y"])
@pytest.mark.parametrize("what", SINGULAR)
def test_gradient_by_weights_in_singular_cases(normal, what, of):
    x, y = SINGULAR[what](normal)
    n = len(x if of == "x" else y)
    counts = torch.full((n,), 2.0, dtype=torch.float64).requires_grad_()
    name = f"weights_{of}"
    (grad,) = torch.autograd.grad(frechet_distance(x, y, **{name: counts}), counts)
    direction = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    step = 1e-4
    moved = [counts.detach() + s * step * direction for s in (1, -1)]
    up, down = (
        by_singular_values(x, y, w, None) if of == "x" else by_singular_values(x, y, None, w) for w in moved
    )
    assert float(grad @ direction) == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [40, 400])
def test_right_for_a_mean_of_1e4_and_a_spread_of_1(normal, n, dtype):
    x, y = (normal(n, 64) + 1e4).to(dtype), (1.1 * normal(n, 64) + 1e4).to(dtype)
    # float32 rounds the samples themselves by up to 5e-4; what is compared is the value of the rounded samples
    expected = by_singular_values(x.double() - 1e4, y.double() - 1e4)
    assert float(frechet_distance(x, y)) == pytest.approx(expected, rel=1e-6)
    streamed = Moments.of(x[:7])
    for a in range(7, n, 13):
        streamed = streamed.merge(Moments.of(x[a : a + 13]))
    assert float(frechet_distance(streamed, y)) == pytest.approx(expected, rel=1e-6)


def test_equal_sets_give_zero_whatever_their_rank(normal):
    for x in (
        normal(100, 8),
        normal(5, 8),
        dead(normal(100, 8), [0, 3]),
        torch.ones(10, 3, dtype=torch.float64),
    ):
        assert abs(float(frechet_distance(x, x))) < 1e-7


def test_gradient_is_finite_where_both_sets_are_equal_or_constant(normal):
    for x in (normal(50, 6), normal(4, 6), torch.ones(10, 3, dtype=torch.float64)):
        y = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(frechet_distance(x, y), y)
        assert float(grad.abs().max()) < 1e-5


def test_one_feature_is_the_difference_of_means_and_deviations(normal):
    x, y = normal(30, 1), 3 * normal(20, 1) + 1
    expected = (x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2
    assert float(frechet_distance(x, y)) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("side", ["x", "y"])
def test_one_sample_is_refused_by_name(normal, side):
    x, y = (normal(1, 3), normal(5, 3)) if side == "x" else (normal(5, 3), normal(1, 3))
    with pytest.raises(ValueError, match=f"{side}: a covariance needs at least 2 samples, got 1"):
        frechet_distance(x, y)


@pytest.mark.parametrize("module", ["pytorch_fid.fid_score", "cleanfid.fid"])
def test_equals_the_common_packages(normal, module):
    peer = _import(module)
    x, y = normal(300, 24), 1.3 * normal(200, 24) @ normal(24, 24) / 5 + 0.2
    arguments = (
        x.mean(0).numpy(),
        np.cov(x.numpy(), rowvar=False),
        y.mean(0).numpy(),
        np.cov(y.numpy(), rowvar=False),
    )
    function = getattr(peer, "calculate_frechet_distance", None) or peer.frechet_distance
    assert float(frechet_distance(x, y)) == pytest.approx(float(function(*arguments)), rel=1e-8)


def _import(module):
    import importlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except Exception as error:  # torchvision's operators are missing beside some builds of PyTorch
            pytest.skip(f"{module} cannot be imported: {error}")
