"""What is kept beside the features: facts and small pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from assay.data import array_images, open_images

from .twenty_images import IMAGES, counting, of

Image = pytest.importorskip("PIL.Image")


def test_what_is_beside_the_features(folder):
    found = of(open_images(folder), counting()[0])
    assert found.positions.tolist() == list(range(20)) and found.total == 20
    assert found.facts["height"].tolist() == [7] * 20 and found.facts["width"].dtype == torch.int32
    assert len(found.thumbnails) == 20
    for row in (19, 0, 8, 7):
        picture = Image.open(io.BytesIO(found.thumbnails[row]))
        assert picture.format == "JPEG" and picture.size == (6, 7)
        assert np.abs(np.asarray(picture.convert("RGB"), float) - IMAGES[row]).mean() < 60
    with pytest.raises(IndexError, match="row 20 of 20"):
        found.thumbnails[20]


def test_large_images_have_small_thumbnails():
    image = np.broadcast_to(np.linspace(0, 255, 300, dtype=np.uint8)[None, :, None], (150, 300, 3))
    found = of(array_images(np.stack([image] * 2)), counting()[0], cache=False)
    picture = Image.open(io.BytesIO(found.thumbnails[1]))
    assert picture.size == (96, 48)
    assert np.diff(np.asarray(picture.convert("L"), float)[20]).mean() == pytest.approx(255 / 95, rel=0.1)
