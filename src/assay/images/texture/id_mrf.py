"""Implicit diversified Markov random fields: patches like the reference's, and not all like the same one."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ...errors import UsageError
from ...pairs import pair_measure
from .patches import Centring, check_maps, patch_directions
from .similarity import best_match_cost, check_bandwidth, relative_cosines, relative_distances


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    generated = torch.randn(n, 6, 5, 5, dtype=torch.float64, generator=generator)
    return generated, torch.randn(n, 6, 5, 5, dtype=torch.float64, generator=generator)


@pair_measure(
    domain="any",
    best="min",
    draw=_draw,
    reference="Wang et al. 2018, Image Inpainting via Generative Multi-column CNNs, NeurIPS, arXiv:1810.08771",
)
def id_mrf(
    generated: Tensor,
    reference: Tensor,
    *,
    bandwidth: float = 0.5,
    form: Literal["implementation", "paper"] = "implementation",
    centring: Centring = "places",
    size: int = 1,
) -> Tensor:
    r"""Minus the logarithm of the mean, over reference patches s, of the best relative similarity that a patch v has.

    $$ L = -\log \frac{1}{m} \sum_{s} \max_{v} \overline{RS}(v, s) $$

    With the cosines $\mu(v, s)$ of patches seen from the reference's mean:

    | form | RS(v, s) | normalised over |
    |---|---|---|
    | "paper" | $\exp\big(\mu(v, s) / (\max_{r \ne s} \mu(v, r) + 10^{-5}) / h\big)$ | all r but s |
    | "implementation" | $\exp\big((1 - d(v, s) / (\min_r d(v, r) + 10^{-5})) / h\big)$, $d = (1 - \mu) / 2$ | all r |

    Args:
        generated: (B, C, H, W) feature maps.
        reference: (B, C, H', W') of the same layer.
        bandwidth: h, above zero.
        form: as in the table.
        centring: what is subtracted first: "places", the mean over the reference's places (a number a channel, as
            the authors' TensorFlow code), or "channels", the mean over the reference's channels (a number a place, as
            their PyTorch code; both maps must then be of one size).
        size: of a patch, along each axis; published with 1.

    Returns:
        (B,), lower is better. "implementation" lies in [0, log m]; "paper", whose normaliser leaves s out, has no
        bound and is log(m - 1) for constant maps.

    Raises:
        UsageError: as `contextual_distance`; another form or centring; "paper" with a single reference patch.

    Complexity: as `contextual_distance`.

    FAQ:
        *Which form did the authors train with?* "implementation", in TensorFlow and in PyTorch. Its relative distance
        is that of the contextual distance, so the value equals `contextual_distance` under centring "places"; what
        the paper adds is the use: on VGG-19's relu3_2 and relu4_2, the sum of both, relu4_2 counted twice.

        *Why is a negative largest cosine taken for 0 in "paper"?* Dividing by a negative number would turn the order
        round and reward the least similar patch. With many patches the largest is all but never negative.

        *Batches?* The authors' PyTorch code returns the sum over the batch, their TensorFlow code centres by the mean
        over the batch. Here every pair has its own value.
    """
    check_maps("id_mrf", generated, reference, size)
    check_bandwidth("id_mrf", bandwidth)
    x, y = patch_directions(generated, reference, size, centring)
    if form == "implementation":
        return best_match_cost(
            x, y, partial(relative_distances, scale=0.25, bandwidth=float(bandwidth))
        ).clamp_min(0.0)
    if form != "paper":
        raise UsageError(f'id_mrf: form: expected "implementation" or "paper", got {form!r}')
    if y.shape[1] < 2:
        raise UsageError(
            'id_mrf: reference: form="paper" compares a patch with others, and there is one only'
        )
    return best_match_cost(x, y, partial(relative_cosines, bandwidth=float(bandwidth)))
