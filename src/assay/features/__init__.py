"""Images -> features: `get_extractor` gives an `Extractor` by name, `extract` runs it over a set."""

from __future__ import annotations

from assay.features.by_name import get_extractor
from assay.features.extract import Features, extract
from assay.features.extractor import Extractor, Outputs

__all__ = ["Extractor", "Features", "Outputs", "extract", "get_extractor"]
