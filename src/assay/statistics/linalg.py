"""Roots and couplings of positive semi-definite matrices, as operators that a compiled graph may call.

Which decomposition is right depends on the numbers (does the Cholesky factor exist? which singular values are zero?),
and a traced graph cannot branch on numbers: hence operators, opaque to tracing, without gradients of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor

WELL_CONDITIONED = 1e-5  # smallest to largest pivot above which solves with the triangular factor are trusted


@torch.library.custom_op("assay::psd_root", mutates_args=())
def psd_root(matrix: Tensor) -> Tensor:
    """F (d, d) with F^T F = matrix; Cholesky's factor where there is one, else through the eigenvalues."""
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info) == 0:
        upper: Tensor = lower.mT.contiguous()
        return upper
    values, vectors = torch.linalg.eigh(matrix)
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
        return torch.linalg.svdvals(product).sum(), empty, empty.clone()
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
    middle = f @ b @ f.mT
    middle = 0.5 * (middle + middle.mT)
    empty = a.new_zeros(d, d)
    if not (need_a or need_b):
        return torch.linalg.eigvalsh(middle).clamp_min_(0).sqrt().sum(), empty, empty.clone()
    values, u = torch.linalg.eigh(middle)
    floor = _noise(values, d)
    s = values.clamp_min(0).sqrt()
    p, q = empty, empty.clone()
    if need_b:
        q = f.mT @ (u * _inverse_root(s, floor.sqrt()))
    if need_a:
        pivots = f.diagonal().abs()
        triangular = bool((f.tril(-1) == 0).all()) and bool(pivots.min() > WELL_CONDITIONED * pivots.max())
        if triangular:
            p = torch.linalg.solve_triangular(f, u * s.sqrt(), upper=True)
        else:  # the other way round: the factor of B, where a missing rank of A costs nothing
            g = psd_root(b)
            values, v = torch.linalg.eigh(_symmetric(g @ a @ g.mT))
            p = g.mT @ (v * _inverse_root(values.clamp_min(0).sqrt(), _noise(values, d).sqrt()))
    return s.sum(), p, q


@full_coupling.register_fake
def _(f: Tensor, a: Tensor, b: Tensor, need_a: bool, need_b: bool) -> tuple[Tensor, Tensor, Tensor]:
    return a.new_empty(()), torch.empty_like(a), torch.empty_like(a)


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)


def _noise(values: Tensor, size: int) -> Tensor:
    """Below this an eigenvalue or singular value is rounding."""
    return values.abs().max() * size * torch.finfo(values.dtype).eps


def _inverse_root(values: Tensor, floor: Tensor) -> Tensor:
    return torch.where(values > floor, values, 1.0).rsqrt() * (values > floor)
