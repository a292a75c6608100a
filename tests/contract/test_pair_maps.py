"""Maps that are made a few pairs at a time are those of all pairs at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import assay.images
from assay.pair_laws import draw_pair_inputs
from assay.pairs import PairMeasure
from assay.scale import each_pair as module

FOUND = (getattr(assay.images, name) for name in assay.images.__all__)
# those of networks are bound to one in tests of their own
MAPPED = [
    m
    for m in FOUND
    if isinstance(m, PairMeasure) and m.map_function is not None and "features" not in m.options
]


@pytest.mark.parametrize(
    "measure", [m for m in MAPPED if m.name != "efficientnet_lite0_distance"], ids=lambda m: m.name
)
def test_a_map_does_not_depend_on_how_many_are_made_at_once(measure, monkeypatch):
    members = draw_pair_inputs(measure, n=8, size=24, seed=5).members
    sizes = []

    def watched(*members, **options):
        sizes.append(len(members[0]))
        return measure.map_function(*members, **options)

    seen = replace(measure, map_function=watched)
    monkeypatch.setattr(module, "CHUNK_BYTES", {"cpu": 2 * members[0][0].numel() * members[0].element_size()})
    few = seen.map(*members)
    assert sizes == [2, 2, 2, 2]
    leaves = [m.clone().requires_grad_(m.is_floating_point()) for m in members]
    whole = seen.map(*leaves)
    assert sizes == [2, 2, 2, 2, 8]
    torch.testing.assert_close(few, whole.detach(), rtol=1e-9, atol=1e-11)


def test_there_are_maps():
    assert {"ssim", "gmsd", "fsim"} <= {m.name for m in MAPPED}
