"""assay inside other libraries; each needs the library's extra, imported when asked for."""

from __future__ import annotations

from .torchmetrics import torchmetrics

__all__ = ["torchmetrics"]
