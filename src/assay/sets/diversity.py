"""Vendi score: how many different samples does a set effectively hold?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UsageError
from ..laws import rotation_invariant, scales_with
from ..measure import measure
from ..statistics import Directions


@measure(
    statistic=Directions,
    best="max",
    lower=1.0,
    laws=[rotation_invariant, scales_with(0)],
    reference="Friedman and Dieng 2023, arXiv:2210.02410; orders q: Pasarkar and Dieng 2024, arXiv:2310.12952",
)
def vendi_score(y: Directions, *, order: float = 1.0) -> Tensor:
    r"""Effective number of different samples: the exponential of the entropy of the cosine kernel's eigenvalues.

    $$ \mathrm{VS}_q = \exp\Big( \frac{1}{1 - q} \log \sum_k \lambda_k^q \Big), \qquad
       \mathrm{VS}_1 = \exp\Big( -\sum_k \lambda_k \log \lambda_k \Big) $$

    over the eigenvalues of K / n, K_ij = <y_i, y_j> / (|y_i| |y_j|).

    Args:
        y: the set, (n, d) features or `Directions`; no zero vectors.
        order: q > 0. 1 is the common score, small q stresses rare kinds, infinity only the most common one.

    Returns:
        A scalar in [1, min(n, d)]; higher is more diverse. 1 where all samples point one way, n where all are
        orthogonal. Scaling a sample changes nothing.

    Raises:
        UsageError: an order of zero (the rank, which rounding decides and nothing can be derived from) or below.

    Complexity: O(n d min(n, d)) plus an eigenproblem of size min(n, d); K is never formed where n > d, because its
    nonzero eigenvalues are those of the (d, d) second moment of the directions.

    FAQ:
        *Is higher always better?* It knows no reference: noise is diverse too. Read it beside recall or coverage.
    """
    if not order > 0:
        raise UsageError(f"order: expected a number above 0, got {order}")
    eigenvalues: Tensor = torch.linalg.eigvalsh(y.gram())
    floor = eigenvalues.detach().abs().max() * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    present = eigenvalues > floor
    if order == math.inf:
        return 1 / eigenvalues.max()
    safe = torch.where(present, eigenvalues, 1.0)
    if order == 1:
        return torch.exp(-torch.where(present, safe * safe.log(), 0.0).sum())
    return torch.exp(torch.where(present, safe**order, 0.0).sum().log() / (1 - order))
