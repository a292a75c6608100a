"""What a measure needs to know of a set: monoids that are built from batches, merged, saved and reduced over processes.

A statistic is a frozen dataclass of tensors with five abilities:

``of(samples, weights)``
    the statistic of one batch, differentiable in both where the measure is;
``merge(other)``
    the statistic of both batches together: associative and commutative up to rounding;
``tensors()`` / ``from_tensors(tensors)``
    its content as named tensors and back, which is all that files, processes and module buffers need;
``weight`` and ``width``
    the total count and the number of features.

Weights are counts: weight 2 is that sample twice.
"""

from __future__ import annotations

from .files import load, save
from .moments import Moments
from .neighbours import Neighbours
from .protocol import STATISTICS, Statistic, register
from .samples import Samples
from .spectrum import Directions

__all__ = [
    "STATISTICS",
    "Directions",
    "Moments",
    "Neighbours",
    "Samples",
    "Statistic",
    "load",
    "register",
    "save",
]
