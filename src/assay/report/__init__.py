"""A `Comparison` for a reader: as a table, as JSON."""

from __future__ import annotations
