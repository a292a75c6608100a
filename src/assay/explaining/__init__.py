"""Which samples and groups make a value what it is, and which are copies?"""

from __future__ import annotations

from .clusters import clusters
from .coalitions import coalition_values
from .copies import copies, false_alarm_rate
from .influences import SampleInfluences, influences_of_all
from .pieces import MOST_GROUPS, Pieces, pieces, refuse_few, refuse_many, stand_ins
from .shapley import Shares, shapley
from .surroundings import Surroundings

__all__ = [
    "MOST_GROUPS",
    "Pieces",
    "SampleInfluences",
    "Shares",
    "Surroundings",
    "clusters",
    "coalition_values",
    "copies",
    "false_alarm_rate",
    "influences_of_all",
    "pieces",
    "refuse_few",
    "refuse_many",
    "shapley",
    "stand_ins",
]
