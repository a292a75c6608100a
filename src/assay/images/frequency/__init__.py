"""How far is an image's spectrum from its target's?"""

from __future__ import annotations

from .amplitude_distance import amplitude_distance
from .frequency_distance import frequency_distance
from .radial_spectrum import radial_spectrum, ring_sizes
from .radial_spectrum_error import radial_spectrum_error
from .sobolev_distance import sobolev_distance

__all__ = [
    "amplitude_distance",
    "frequency_distance",
    "radial_spectrum",
    "radial_spectrum_error",
    "ring_sizes",
    "sobolev_distance",
]
