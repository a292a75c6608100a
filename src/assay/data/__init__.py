"""Folders, archives, tables and arrays -> batches of images, or features that are ready.

`open_images`, `array_images` and `dataset_images` give an `ImageSource`, `labels_of` its classes, `batches` walks over
one in order and constant memory; `load_features` and `as_features` give features that were made elsewhere.
"""

from __future__ import annotations

from assay.data.arrays import array_images
from assay.data.batches import Batch, Progress, batches
from assay.data.credentials import without_credentials
from assay.data.decode import UnreadableImage
from assay.data.hf_datasets import dataset_images
from assay.data.labels import labels_of
from assay.data.named_sampler import sampler_by_name
from assay.data.ready_features import FeatureArray, as_features, load_features
from assay.data.sampler import sampler
from assay.data.source import ImageSource, Unreadable, UnreadableImages
from assay.data.torch_data import torch_dataset_images, torch_loader_images
from assay.data.urls import is_url, refuse_url
from assay.data.where import holds_images, open_images

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
    "dataset_images",
    "holds_images",
    "is_url",
    "labels_of",
    "load_features",
    "open_images",
    "refuse_url",
    "sampler",
    "sampler_by_name",
    "torch_dataset_images",
    "torch_loader_images",
    "without_credentials",
]
