"""Files that stand for a set of images: what is kept of it, what can be measured with that, and how files merge.

`load_reference` reads a reference that `save_reference` wrote, a single statistic, or statistics as the field ships
them (`.npz` with `mu` and `sigma`); `merge_references` makes one of several.
"""

from __future__ import annotations

from .file import from_bytes, is_reference, load_reference, merge_files, save_reference, to_bytes
from .origin import Origin, Shard
from .reference import FEATURES, Reference, merge_references

__all__ = [
    "FEATURES",
    "Origin",
    "Reference",
    "Shard",
    "from_bytes",
    "is_reference",
    "load_reference",
    "merge_files",
    "merge_references",
    "save_reference",
    "to_bytes",
]
