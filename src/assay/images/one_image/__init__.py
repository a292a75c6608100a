"""Does an image look good, without a target to hold it against?"""

from __future__ import annotations

from .brisque import brisque, brisque_model
from .clip_iqa import PROMPT_PAIRS, clip_iqa, prompt_embeddings
from .natural_scene import brisque_features
from .support_vectors import SupportVectors

__all__ = [
    "PROMPT_PAIRS",
    "SupportVectors",
    "brisque",
    "brisque_features",
    "brisque_model",
    "clip_iqa",
    "prompt_embeddings",
]
