"""Images -> features: `get_extractor` gives an `Extractor` by name, `extract` runs it over a set."""

from __future__ import annotations

from assay.features.alexnet import alexnet_layers
from assay.features.by_name import get_extractor
from assay.features.efficientnet_layers import efficientnet_lite_layers
from assay.features.extract import extract, extract_shards
from assay.features.extractor import Extractor, Outputs
from assay.features.features import Features
from assay.features.layers import Layers, layers_of
from assay.features.own_callable import extractor_of
from assay.features.perceptual_heads import DistsHeads, dists_heads, lpips_heads
from assay.features.squeezenet import squeezenet_layers
from assay.features.text import TextEncoder, get_text_encoder
from assay.features.vgg_layers import vgg_layers

__all__ = [
    "DistsHeads",
    "Extractor",
    "Features",
    "Layers",
    "Outputs",
    "TextEncoder",
    "alexnet_layers",
    "dists_heads",
    "efficientnet_lite_layers",
    "extract",
    "extract_shards",
    "extractor_of",
    "get_extractor",
    "get_text_encoder",
    "layers_of",
    "lpips_heads",
    "squeezenet_layers",
    "vgg_layers",
]
