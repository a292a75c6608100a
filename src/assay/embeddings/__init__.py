"""Do embeddings tell things apart, and how are they trained to?"""

from __future__ import annotations

from .hypersphere import alignment, tolerance, uniformity
from .individual_temperatures import IndividualTemperatures
from .info_nce import info_nce
from .learnable_temperature import LearnableTemperature
from .memory_bank import MemoryBank
from .sigmoid import sigmoid_pair
from .supcon import supcon

__all__ = [
    "IndividualTemperatures",
    "LearnableTemperature",
    "MemoryBank",
    "alignment",
    "info_nce",
    "sigmoid_pair",
    "supcon",
    "tolerance",
    "uniformity",
]
