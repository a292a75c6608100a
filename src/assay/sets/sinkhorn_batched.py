"""Sinkhorn divergences of many small pairs of sets at once: point clouds, patches, the samples of each prompt."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UsageError
from ..pairs import pair_measure
from ..scale.transport.entropic import entropic_transport
from ..statistics.samples import working_dtype
from .sinkhorn import RELATIVE_BLUR, TransportOptions, spread


@pair_measure(
    best="min",
    domain="any",
    lower=None,
    reference="Genevay et al. 2018, arXiv:1706.00292; Feydy et al. 2019, arXiv:1810.08278; unbalanced: Sejourne et al. "
    "2019, arXiv:1910.12958",
)
def sinkhorn_divergences(
    x: Tensor,
    y: Tensor,
    *,
    blur: float | None = None,
    p: int = 2,
    reach: float | None = None,
    scaling: float = 0.5,
    tolerance: float | None = None,
    iterations: int = 2000,
) -> Tensor:
    r"""The `sinkhorn_divergence` of each pair of sets of a batch.

    $$ S_\varepsilon(x_b, y_b) = \mathrm{OT}_\varepsilon(x_b, y_b) - \tfrac12 \mathrm{OT}_\varepsilon(x_b, x_b)
       - \tfrac12 \mathrm{OT}_\varepsilon(y_b, y_b) $$

    Args:
        x: real sides, (B, n, d).
        y: generated sides, (B, m, d).
        blur: as in `sinkhorn_divergence`; the default follows the spread of each real set.
        p, reach, scaling, tolerance, iterations: as there.

    Returns:
        (B,), at least 0 to within the tolerance; lower is better. Each is iterated on its own until it has converged.

    Raises:
        UsageError: other shapes, options out of their range, or a real set whose samples are all equal and no `blur`
            given.
        DataError: no convergence, or NaN.

    Complexity: O(B n m d) time a pass, over problems together until the slowest is done. Memory O(B (n + m) d), and the
    costs of as many problems as have 2^22 together (16 MiB in float32); larger ones are solved one by one, by tiles.
    """
    options = TransportOptions(blur, p, reach, scaling, tolerance, iterations)
    for name, sets in (("x", x), ("y", y)):
        if sets.ndim != 3 or not sets.is_floating_point():
            raise UsageError(
                f"{name}: expected floating-point sets of samples, shape (B, n, d), got "
                f"{tuple(sets.shape)} {sets.dtype}"
            )
    if x.shape[2] != y.shape[2]:
        raise UsageError(f"x has {x.shape[2]} features and y {y.shape[2]}; use one extractor for both")
    dtype = torch.promote_types(working_dtype(x.dtype), working_dtype(y.dtype))
    x, y = x.to(dtype), y.to(dtype)
    a, b = _even(x), _even(y)
    epsilon = torch.full_like(a[:, 0], 0.0 if blur is None else float(blur) ** p)
    if blur is None:
        epsilon = (RELATIVE_BLUR[p] * spread(x, a)) ** p

    def cost(left: Tensor, right: Tensor | None, share: Tensor, other: Tensor | None) -> Tensor:
        return entropic_transport(
            left, right, share, other, epsilon, p=p, reach=math.inf if reach is None else float(reach) ** p,
            scaling=scaling, tolerance=options.tolerance, iterations=iterations,
        ).value  # fmt: skip

    across = cost(x, y, a, b)
    return (across - 0.5 * (cost(x, None, a, None) + cost(y, None, b, None))).to(dtype)


def _even(sets: Tensor) -> Tensor:
    return torch.full(sets.shape[:2], 1.0 / sets.shape[1], dtype=torch.float64, device=sets.device)
