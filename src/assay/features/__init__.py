"""Images -> features: `get_extractor` gives an `Extractor` by name, `extract` runs it over a set."""

from __future__ import annotations

from assay.features.by_name import get_extractor
from assay.features.extract import extract, extract_shards
from assay.features.extractor import Extractor, Outputs
from assay.features.features import Features
from assay.features.own_callable import extractor_of
from assay.features.text import TextEncoder, get_text_encoder

__all__ = [
    "Extractor",
    "Features",
    "Outputs",
    "TextEncoder",
    "extract",
    "extract_shards",
    "extractor_of",
    "get_extractor",
    "get_text_encoder",
]
