"""Folders, archives and arrays -> batches of images, or features that are ready.

`open_images` and `array_images` give an `ImageSource`, `batches` walks over one in order and constant memory;
`load_features` and `as_features` give features that were made elsewhere.
"""

from __future__ import annotations

from assay.data.arrays import array_images
from assay.data.batches import Batch, Progress, batches
from assay.data.decode import UnreadableImage
from assay.data.ready_features import FeatureArray, as_features, load_features
from assay.data.source import ImageSource, Unreadable, UnreadableImages
from assay.data.where import open_images

__all__ = [
    "Batch",
    "FeatureArray",
    "ImageSource",
    "Progress",
    "Unreadable",
    "UnreadableImage",
    "UnreadableImages",
    "array_images",
    "as_features",
    "batches",
    "load_features",
    "open_images",
]
