"""Roots and couplings of positive semi-definite matrices, as operators that a compiled graph may call.

Which decomposition is right depends on the numbers (does the Cholesky factor exist? which singular values are zero?),
and a traced graph cannot branch on numbers: hence operators, opaque to tracing, without gradients of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import DataError

TRIANGLE_BLOCK = 256  # rows of a triangular factor multiplied at once, its zeros skipped
WELL_CONDITIONED = 1e-5  # smallest to largest pivot above which solves with the triangular factor are trusted


@torch.library.custom_op("assay::psd_root", mutates_args=())
def psd_root(matrix: Tensor) -> Tensor:
    """F (d, d) with F^T F = matrix; Cholesky's factor where there is one, else through the eigenvalues."""
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info) == 0:
        upper: Tensor = lower.mT.contiguous()
        return upper
    values, vectors = _eigh(matrix)
    values = torch.where(values > _noise(values, matrix.shape[0]), values, 0.0)
    root: Tensor = (vectors * values.sqrt()).mT.contiguous()
    return root


@psd_root.register_fake
def _(matrix: Tensor) -> Tensor:
    return torch.empty_like(matrix)


@torch.library.custom_op("assay::thin_coupling", mutates_args=())
def thin_coupling(f: Tensor, g: Tensor, need_f: bool, need_g: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Nuclear norm of F G^T and, where needed, P (d, k), Q (d, k): the norm's derivatives are half P P^T by F^T F
    and half Q Q^T by G^T G.

    With the singular values U S V^T = F G^T:  P = G^T V S^(-1/2)  and  Q = F^T U S^(-1/2)  over the singular values
    above rounding. Those at zero add nothing: there the norm has a kink, and zero is its symmetric derivative.
    """
    k = min(f.shape[0], g.shape[0])
    product = f @ g.mT
    empty = f.new_zeros(f.shape[1], k)
    if not (need_f or need_g):
        with _refused_if_not_finite(product):
            return torch.linalg.svdvals(product).sum(), empty, empty.clone()
    with _refused_if_not_finite(product):
        u, s, vh = torch.linalg.svd(product, full_matrices=False)
    scale = _inverse_root(s, _noise(s, max(product.shape)))
    p = g.mT @ (vh.mT * scale) if need_f else empty
    q = f.mT @ (u * scale) if need_g else empty.clone()
    return s.sum(), p, q


@thin_coupling.register_fake
def _(f: Tensor, g: Tensor, need_f: bool, need_g: bool) -> tuple[Tensor, Tensor, Tensor]:
    k = min(f.shape[0], g.shape[0])
    return f.new_empty(()), f.new_empty(f.shape[1], k), f.new_empty(f.shape[1], k)


@torch.library.custom_op("assay::full_coupling", mutates_args=())
def full_coupling(
    f: Tensor, a: Tensor, b: Tensor, need_a: bool, need_b: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """tr (A^(1/2) B A^(1/2))^(1/2) for A = F^T F and B, (d, d) each, with P, Q as `thin_coupling` gives them.

    The trace is the sum of the roots of the eigenvalues of F B F^T, which is symmetric: half the work of a general
    eigenproblem and none of its complex dust.
    """
    d = a.shape[0]
    middle, triangular = _between(f, b)
    empty = a.new_zeros(d, d)
    if not (need_a or need_b):
        with _refused_if_not_finite(middle):
            return torch.linalg.eigvalsh(middle, UPLO="U").clamp_min_(0).sqrt().sum(), empty, empty.clone()
    values, u = _eigh(middle, "U")
    floor = _noise(values, d)
    s = values.clamp_min(0).sqrt()
    p, q = empty, empty.clone()
    if need_b:
        q = f.mT @ (u * _inverse_root(s, floor.sqrt()))
    if need_a:
        pivots = f.diagonal().abs()
        if triangular and bool(pivots.min() > WELL_CONDITIONED * pivots.max()):
            p = torch.linalg.solve_triangular(f, u * s.sqrt(), upper=True)
        else:  # the other way round: the factor of B, where a missing rank of A costs nothing
            g = psd_root(b)
            values, v = _eigh(_symmetric(g @ a @ g.mT))
            p = g.mT @ (v * _inverse_root(values.clamp_min(0).sqrt(), _noise(values, d).sqrt()))
    return s.sum(), p, q


@full_coupling.register_fake
def _(f: Tensor, a: Tensor, b: Tensor, need_a: bool, need_b: bool) -> tuple[Tensor, Tensor, Tensor]:
    return a.new_empty(()), torch.empty_like(a), torch.empty_like(a)


@torch.library.custom_op("assay::one_sided_coupling", mutates_args=())
def one_sided_coupling(f: Tensor, b: Tensor, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Singular values s of F G^T for A = F^T F and B = G^T G, with V (d, d): the trace's derivative by B is half
    (F^T V) (F^T V)^T; and the sum of the values that V was made of.

    With U s^2 U^T = F B F^T it is  V = U s^(-1/2).  The product with F^T is left to the caller, who may have few rows
    to take through it. Where `floor` is above zero, values below that share of their mean are raised to it in V; where
    it is zero, those at zero add nothing.

    Returns:
        sum of s (), V (d, d), sum of the values in V ().
    """
    middle, _ = _between(f, b)
    values, u = _eigh(middle, "U")
    s = values.clamp_min(0).sqrt()
    if floor > 0:
        raised = s.clamp_min((floor * s.mean()).clamp_min(torch.finfo(s.dtype).tiny))
        return s.sum(), u * raised.rsqrt(), raised.sum()
    return s.sum(), u * _inverse_root(s, _noise(values, len(values)).sqrt()), s.sum()


@one_sided_coupling.register_fake
def _(f: Tensor, b: Tensor, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    return b.new_empty(()), torch.empty_like(b), b.new_empty(())


def _eigh(matrix: Tensor, triangle: str = "L") -> tuple[Tensor, Tensor]:
    with _refused_if_not_finite(matrix):
        values, vectors = torch.linalg.eigh(matrix, UPLO=triangle)
    return values, vectors


@contextlib.contextmanager
def _refused_if_not_finite(matrix: Tensor) -> Iterator[None]:
    """A decomposition in the block that fails says why, where that is known."""
    try:
        yield
    except RuntimeError:
        if bool(torch.isfinite(matrix).all()):
            raise
        raise DataError(
            "the features hold NaN or infinity, so their covariance has no root; an objective's check(batch) says in "
            "which rows"
        ) from None


def _between(f: Tensor, b: Tensor) -> tuple[Tensor, bool]:
    """The upper triangle of F B F^T, and whether F is upper triangular.

    A triangular factor, which a covariance of full rank has, is half zeros, and of a symmetric product one half is
    enough: in blocks both products together cost 0.8 of one full product, where they would cost two.
    """
    d = f.shape[0]
    blocks = [(a, min(a + TRIANGLE_BLOCK, d)) for a in range(0, d, TRIANGLE_BLOCK)]
    if f.shape[0] != f.shape[1] or bool(f.tril(-1).any()):
        return _symmetric(f @ b @ f.mT), False
    half, out = torch.empty_like(b), torch.zeros_like(b)
    for start, end in blocks:
        torch.mm(f[start:end, start:], b[start:], out=half[start:end])
    for start, end in blocks:
        out[:end, start:end] = half[:end, start:] @ f[start:end, start:].mT
    return out, True


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)


def _noise(values: Tensor, size: int) -> Tensor:
    """Below this an eigenvalue or singular value is rounding."""
    return values.abs().max() * size * torch.finfo(values.dtype).eps


def _inverse_root(values: Tensor, floor: Tensor) -> Tensor:
    return torch.where(values > floor, values, 1.0).rsqrt() * (values > floor)
