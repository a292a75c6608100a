"""Inception score: are the class predictions of generated images sure, and varied?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import Self

from ..measure import measure
from ..statistics.protocol import register, same_width, tensor_of
from ..statistics.samples import unit_counts


@register
@dataclass(frozen=True, eq=False)
class Predictions:
    """Sums over a set of class probabilities p: what the mutual information of sample and class needs, float64.

    Attributes:
        weight: ().
        classes: (C,) sum of w p.
        certainty: () sum of w sum_c p_c log p_c.
    """

    weight: Tensor
    classes: Tensor
    certainty: Tensor

    @classmethod
    def of(cls, samples: Tensor, weights: Tensor | None = None) -> Self:
        counts = unit_counts(samples) if weights is None else weights.to(torch.float64)
        p = samples.to(torch.float64)
        return cls(counts.sum(), counts @ p, counts @ _plogp(p).sum(1))

    @property
    def width(self) -> int:
        return self.classes.shape[0]

    @property
    def bounded(self) -> bool:
        return True

    def merge(self, other: Self) -> Self:
        same_width(self, other)
        return type(self)(
            self.weight + other.weight, self.classes + other.classes, self.certainty + other.certainty
        )

    def scaled(self, factor: float | Tensor) -> Predictions:
        """The sums with every count times a factor, as older samples count less in an exponential average."""
        return Predictions(self.weight * factor, self.classes * factor, self.certainty * factor)

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "classes": self.classes, "certainty": self.certainty}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        return cls(
            tensor_of(tensors, "weight"), tensor_of(tensors, "classes", None), tensor_of(tensors, "certainty")
        )


@measure(
    statistic=Predictions,
    best="max",
    lower=1.0,
    domain="probabilities",
    reference="Salimans et al. 2016, arXiv:1606.03498",
)
def inception_score(y: Predictions) -> Tensor:
    r"""Exponential of the mean divergence between each sample's class prediction and the set's.

    $$ \mathrm{IS} = \exp \frac{1}{W} \sum_i w_i \, \mathrm{KL}(p_i \,\|\, \bar p)
                   = \exp\big( H(\bar p) - \overline{H(p_i)} \big) $$

    over the whole set (one split). Published figures are mean and spread over ten splits of 5,000, each biased low
    by its size; this is the exact value, and `estimate` corrects its bias.

    Args:
        y: (n, C) class probabilities, rows summing to 1 (`logits.softmax(1)`), or `Predictions`.

    Returns:
        A scalar in [1, C]; higher is better. 1 where all predictions agree, C where they are certain and evenly
        spread over the classes. A probability of 0 adds 0, its limit.

    Complexity: O(n C) time, O(C) memory streamed.
    """
    mean = y.classes / y.weight
    return torch.exp(y.certainty / y.weight - _plogp(mean).sum())


def _plogp(p: Tensor) -> Tensor:
    # log's slope at 0 is infinite and would turn a zero gradient into NaN
    present = p > 0
    return torch.where(present, p * torch.where(present, p, 1.0).log(), 0.0)
