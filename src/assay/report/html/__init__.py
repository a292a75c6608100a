"""A `Comparison` as one HTML file that opens anywhere, also without a network."""

from __future__ import annotations

from .page import as_page, shown_samples, write_page

__all__ = ["as_page", "shown_samples", "write_page"]
