"""Kernels as functions of inner products and squared norms, which is all a tile knows of its pairs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError

# (inner products (n, m), squared norms (n, 1), squared norms (1, m)) -> values (n, m), elementwise
Form = Callable[[Tensor, Tensor, Tensor], Tensor]
# the same and a cotangent (n, m) -> the cotangents of the three, elementwise; None for one that does not matter
Slope = Callable[..., tuple[Tensor, Tensor | None, Tensor | None]]


@dataclass(frozen=True)
class Kernel:
    """A symmetric function of two samples, written on their inner product and squared norms.

    Attributes:
        name: how it is printed: ``polynomial(degree=3, gamma=1/d, coef=1)``.
        form: elementwise ``form(products, squared norms of x, squared norms of y)``, differentiable.
        shift_invariant: whether k(x + c, y + c) = k(x, y); both sets are then centred first, because differences of
            large products lose small distances.
        symmetric: whether k(x, y) = k(y, x).
        slope: the form's derivative times a cotangent, where it is known in closed form: fewer passes over a tile
            than automatic differentiation, which is used where it is None.
    """

    name: str
    form: Form
    shift_invariant: bool = False
    symmetric: bool = True
    slope: Slope | None = None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The whole (n, m) matrix, for small sets and tests."""
        return self.form(x @ y.T, x.square().sum(1)[:, None], y.square().sum(1)[None, :])

    @property
    def key(self) -> Hashable:
        """Equal for kernels that are the same function."""
        if isinstance(self.form, partial):
            return self.form.func, tuple(sorted(self.form.keywords.items()))
        return self.form

    def diagonal(self, x: Tensor) -> Tensor:
        """k(x_i, x_i), (n,)."""
        norms = x.square().sum(1)
        return self.form(norms, norms, norms)

    def pull(
        self, p: Tensor, x: Tensor, y: Tensor, cotangent: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Cotangents of products (n, m) and, (n, m) each or None, of the squared norms."""
        if self.slope is not None:
            return self.slope(p, x, y, cotangent)
        x, y = x.expand_as(p), y.expand_as(p)
        pulled: Any = torch.func.vjp(self.form, p, x, y)[1]
        return pulled(cotangent)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self.name


def polynomial(
    degree: int = 3, gamma: float | None = None, coef: float = 1.0, *, width: int | None = None
) -> Kernel:
    """(gamma <x, y> + coef)^degree; gamma is 1/d unless given, which needs `width=d`.

    Raises:
        UsageError: a degree below 1, or neither `gamma` nor `width`.
    """
    if int(degree) != degree or degree < 1:
        raise UsageError(f"degree: expected a whole number of at least 1, got {degree}")
    if gamma is None:
        if width is None:
            raise UsageError("polynomial: pass gamma, or width (the number of features) for gamma = 1/width")
        gamma = 1.0 / width

    return Kernel(
        f"polynomial(degree={degree}, gamma={gamma:g}, coef={coef:g})",
        partial(_polynomial, degree=degree, gamma=gamma, coef=coef),
        slope=partial(_polynomial_slope, degree=degree, gamma=gamma, coef=coef),
    )


def rbf(bandwidth: float | Sequence[float]) -> Kernel:
    """exp(-|x - y|^2 / (2 s^2)), averaged over the bandwidths s where several are given; k(x, x) = 1.

    Raises:
        UsageError: no bandwidth, or one that is not above zero.
    """
    widths = tuple(float(b) for b in (bandwidth if isinstance(bandwidth, Sequence) else (bandwidth,)))
    if not widths or not all(0 < b < float("inf") for b in widths):
        raise UsageError(f"bandwidth: expected one or several numbers above zero, got {bandwidth!r}")

    shown = ", ".join(f"{b:g}" for b in widths)
    return Kernel(
        f"rbf({shown})",
        partial(_rbf, widths=widths),
        shift_invariant=True,
        slope=partial(_rbf_slope, widths=widths),
    )


def linear() -> Kernel:
    """<x, y>."""
    return Kernel("linear", _linear)


def cosine() -> Kernel:
    """<x, y> / (|x| |y|); 0 where a vector is zero."""
    return Kernel("cosine", _cosine)


def squared_distance() -> Kernel:
    """|x - y|^2, never below zero."""
    return Kernel("squared distance", _squared_distance, shift_invariant=True)


def log_gaussian() -> Kernel:
    """-|x - y|^2 / 2: the logarithm of a Gaussian kernel of width 1; divide the samples by any other width."""
    return Kernel("log gaussian", _log_gaussian, shift_invariant=True, slope=_log_gaussian_slope)


def negative_distance(exponent: float = 1.0) -> Kernel:
    """-|x - y|^b for 0 < b <= 2: the maximum mean discrepancy under it is the energy distance.

    Distances that rounding of the products could have made up (relative to the two norms below 0.2% in float32,
    1e-7 in float64) are 0, and so is the gradient there: of a sample with itself both are exact.

    Raises:
        UsageError: an exponent outside (0, 2].
    """
    if not 0 < exponent <= 2:
        raise UsageError(f"exponent: expected a number above 0 and at most 2, got {exponent!r}")
    return Kernel(
        f"-distance^{exponent:g}",
        partial(_negative_distance, exponent=float(exponent)),
        shift_invariant=True,
        slope=partial(_negative_distance_slope, exponent=float(exponent)),
    )


# -- the forms, at the top of the module so that kernels can be pickled ----------------------------------------------


def _polynomial(
    products: Tensor, _x: Tensor, _y: Tensor, *, degree: int, gamma: float, coef: float
) -> Tensor:
    base = products * gamma + coef
    value = base
    for _ in range(degree - 1):  # repeated products: pow is several times slower and no more exact
        value = value * base
    return value


def _polynomial_slope(
    products: Tensor, _x: Tensor, _y: Tensor, cotangent: Tensor, *, degree: int, gamma: float, coef: float
) -> tuple[Tensor, None, None]:
    base = products * gamma + coef
    value = cotangent * (degree * gamma)
    for _ in range(degree - 1):
        value = value * base
    return value, None, None


def _rbf(products: Tensor, x: Tensor, y: Tensor, *, widths: tuple[float, ...]) -> Tensor:
    distances = (x + y - 2 * products).clamp_min(0)
    total = torch.exp(distances * (-0.5 / widths[0] ** 2))
    for width in widths[1:]:
        total = total + torch.exp(distances * (-0.5 / width**2))
    return total / len(widths) if len(widths) > 1 else total


def _rbf_slope(
    products: Tensor, x: Tensor, y: Tensor, cotangent: Tensor, *, widths: tuple[float, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    distances = (x + y - 2 * products).clamp_min(0)
    by_distance = torch.exp(distances * (-0.5 / widths[0] ** 2)) * (-0.5 / widths[0] ** 2)
    for width in widths[1:]:
        by_distance = by_distance + torch.exp(distances * (-0.5 / width**2)) * (-0.5 / width**2)
    by_distance = by_distance * cotangent / len(widths)
    return -2 * by_distance, by_distance, by_distance


def _linear(products: Tensor, _x: Tensor, _y: Tensor) -> Tensor:
    return products.clone()


def _cosine(products: Tensor, x: Tensor, y: Tensor) -> Tensor:
    scale = x * y
    return products * torch.where(scale > 0, torch.where(scale > 0, scale, 1.0).rsqrt(), 0.0)


def _squared_distance(products: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (x + y - 2 * products).clamp_min(0)


def _log_gaussian(products: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (products - 0.5 * (x + y)).clamp_max(0)


def _log_gaussian_slope(
    _products: Tensor, _x: Tensor, _y: Tensor, cotangent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    half = -0.5 * cotangent
    return cotangent, half, half


def _apart(products: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """Squared distances, 1 in place of those that may be rounding alone, and which are; None where surely none is."""
    squared = torch.sub(x, products, alpha=2).add_(y)
    doubt = 16 * torch.finfo(squared.dtype).eps
    looks = squared.device.type == "cpu" and squared.numel() > 0 and not torch.compiler.is_compiling()
    if looks and bool(squared.detach().amin() > doubt * (x.detach().amax() + y.detach().amax())):
        return squared, None
    # the other way round a NaN would be taken for a copy
    copies = squared <= doubt * (x + y)
    return squared.masked_fill_(copies, 1.0), copies


def _negative_distance(products: Tensor, x: Tensor, y: Tensor, *, exponent: float) -> Tensor:
    squared, copies = _apart(products, x, y)
    if squared.requires_grad:  # a diagonal; within the tiles nothing records, and the memory is written over
        distance = -(squared.sqrt() if exponent == 1 else squared.pow(0.5 * exponent))
    else:
        distance = (squared.sqrt_() if exponent == 1 else squared.pow_(0.5 * exponent)).neg_()
    return distance if copies is None else distance.masked_fill(copies, 0.0)


def _negative_distance_slope(
    products: Tensor, x: Tensor, y: Tensor, cotangent: Tensor, *, exponent: float
) -> tuple[Tensor, Tensor, Tensor]:
    squared, copies = _apart(products, x, y)
    by_squared = (squared.rsqrt_() if exponent == 1 else squared.pow_(0.5 * exponent - 1)).mul_(cotangent)
    if exponent != 1:
        by_squared.mul_(exponent)
    if copies is not None:
        by_squared.masked_fill_(copies, 0.0)
    # -2, 1 and 1 times the derivative by the square, -exponent / 2 times the power: the one pass is for both norms
    half = by_squared * -0.5
    return by_squared, half, half
