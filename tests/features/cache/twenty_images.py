"""Twenty images, an extractor that says what it was asked for, and its features in shards of eight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from assay.features import Outputs, extract, get_extractor

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 7, 6, 3), dtype=np.uint8)


def counting(name="pixels:4", fingerprint="counting"):
    """An extractor, and the list of the batches it was asked for."""
    plain, asked = get_extractor(name, device="cpu"), []

    def forward(batch):
        asked.append(len(batch))
        features = plain.forward(batch).features
        return Outputs(features, features[:, :2] * 3, {"spatial": features[:, 2:5]})

    return replace(plain, name="counting", fingerprint=fingerprint, forward=forward), asked


def of(source, extractor, **how):
    return extract(source, extractor, **{"batch_size": 4, "workers": 2, "shard_size": 8, **how})


def same(a, b):
    assert torch.equal(a.features, b.features) and torch.equal(a.logits, b.logits)
    assert torch.equal(a.extra["spatial"], b.extra["spatial"])
    assert torch.equal(a.positions, b.positions) and a.total == b.total and a.content == b.content
    assert list(a.facts) == list(b.facts) and list(a.thumbnails) == list(b.thumbnails)
    for name, column in a.facts.items():
        assert column.numpy().tobytes() == b.facts[name].numpy().tobytes()


def shards(home):
    return sorted(home.rglob("*.safetensors"))
