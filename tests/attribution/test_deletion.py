"""The deletion test ranks a map that knows what matters above random ones, and the pointing game counts by hand."""

from __future__ import annotations

import pytest
import torch

import assay
from assay.attribution import deletion, points_at, pooled_maps, sample_influence, seen_box
from assay.attribution.deletion import on_pixels, ranks, share_in
from assay.errors import UsageError


def score(images):
    """What the top left quarter holds."""
    return images[:, :, :4, :4].sum((1, 2, 3)).double()


def test_a_curve_by_hand():
    images, fill = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    first = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    found = deletion(score, images, first, fill, steps=4)
    assert found.score.tolist() == [[16, 0, 0, 0, 0]] and found.area.tolist() == [2.0]
    last = deletion(score, images, -first, fill, steps=4)
    assert last.score.tolist() == [[16, 16, 16, 16, 0]] and last.area.tolist() == [14.0]
    assert found.share.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_cells_lie_in_their_box():
    cells = torch.tensor([[[1, 2], [3, 4]]])
    laid = on_pixels(cells, 5, 6, (1, 2, 4, 4))
    assert laid[0].tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 2, 2],
        [0, 0, 1, 1, 2, 2],
        [0, 0, 3, 3, 4, 4],
        [0, 0, 3, 3, 4, 4],
    ]
    region = torch.zeros(1, 5, 6, dtype=torch.bool)
    region[0, 1:4, 3:6] = True
    assert share_in(region, 2, 2, (1, 2, 4, 4)).tolist() == [[[0.5, 1.0], [0.25, 0.5]]]
    assert ranks(torch.tensor([[[1.0, 3.0], [3.0, 0.0]]])).tolist() == [[[2, 0], [1, 3]]]


def test_the_pointing_game_counts_half_a_cell():
    region = torch.zeros(3, 4, 4, dtype=torch.bool)
    region[:, :2, :1] = True  # half of the top left cell
    maps = torch.tensor([[[9.0, 0], [0, 0]], [[0, 9.0], [0, 0]], [[5.0, 5.0], [5.0, 5.0]]])
    assert points_at(maps, region).tolist() == [True, False, True]
    region[:, 0] = False
    assert points_at(maps, region).tolist() == [False, False, False]


def test_wrong_use_is_one_sentence():
    images = torch.ones(2, 1, 8, 8)
    with pytest.raises(UsageError, match="fill: expected the images' shape"):
        deletion(score, images, torch.ones(2, 2, 2), images[:1])
    with pytest.raises(UsageError, match=r"maps: expected \(B, h, w\) with B = 2, got \(1, 2, 2\)"):
        deletion(score, images, torch.ones(1, 2, 2), images)
    with pytest.raises(UsageError, match="steps: expected at least 1"):
        deletion(score, images, torch.ones(2, 2, 2), images, steps=0)
    with pytest.raises(UsageError, match="hold NaN"):
        deletion(score, images, torch.full((2, 2, 2), float("nan")), images)


def test_a_pooled_map_finds_a_fault_in_a_photograph_and_beats_random_maps(lite0):
    """One photograph with a square of noise: the map points at the square, and mending its highest cells first takes
    the influence away sooner than random orders do."""
    skimage = pytest.importorskip("skimage.data")
    photo = torch.from_numpy(skimage.astronaut()).permute(2, 0, 1)[None].float() / 255
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        module = lite0.torch_module()
        corners = torch.randint(0, 512 - 128, (16, 2), generator=g).tolist()
        crops = torch.cat([photo[:, :, a : a + 128, b : b + 128] for a, b in corners])
        real, made = crops[:8], crops[8:].clone()
        made[0] = real[0]  # the same but for the fault
        region = torch.zeros(1, 128, 128, dtype=torch.bool)
        region[:, 20:60, 64:104] = True
        made[0, :, 20:60, 64:104] = torch.rand(3, 40, 40, generator=g)
        x, y = module(real), module(made)
        box = seen_box(module, 128, 128)
        assert box == (8, 8, 112, 112)
        phi = sample_influence(assay.kernel_distance, x, y)
        maps = pooled_maps(module, "network.head", phi, made[:1], real[:1]).values
        assert points_at(maps, region, box=box).all()
        mine = deletion(lambda p: phi(module(p)), made[:1], maps, real[:1], steps=5, box=box)
        noise = torch.rand(3, 7, 7, generator=g)
        other = deletion(
            lambda p: phi(module(p)), made[:1].expand(3, -1, -1, -1), noise, real[:1].expand(3, -1, -1, -1),
            steps=5, box=box,
        )  # fmt: skip
    fall = float(mine.score[0, 0] - mine.score[0, -1])
    assert fall > 0
    assert bool((mine.area + 0.1 * fall < other.area).all()), (mine, other)


def test_a_box_beyond_the_image_is_one_sentence():
    images = torch.rand(1, 3, 8, 8)
    with pytest.raises(UsageError, match=r"box: expected .* within 8 x 8, got \(0, 0, 9, 9\)"):
        deletion(lambda x: x.mean((1, 2, 3)), images, torch.rand(1, 2, 2), images, box=(0, 0, 9, 9))
