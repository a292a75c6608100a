"""A measure in another space is the measure of encoded images, and keeps what holds in any space."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images import clip_score
from assay.images.perceptual import (
    contrastive_restoration,
    feature_distance,
    haar,
    in_space,
    studio_luma,
    ycbcr,
)
from assay.images.structure import ssim
from assay.pair_laws import draw_pair_inputs, ignores_length, laws_of_pairs


def pair(height=24, width=26, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, height, width, generator=g), torch.rand(2, 3, height, width, generator=g)


def same(images):
    return images


def pixels(images):
    return (images,)


def flat(images):
    return images.flatten(1)


MEAN_SQUARE = feature_distance.with_options(features=pixels)


def test_the_identity_changes_nothing():
    x, y = pair()
    assert torch.equal(in_space(ssim, same)(x, y), ssim(x, y))
    assert torch.equal(in_space(ssim, same).map(x, y), ssim.map(x, y))


def test_an_orthonormal_space_keeps_squared_errors_and_not_absolute_ones():
    x, y = pair()
    assert torch.allclose(in_space(MEAN_SQUARE, haar)(x, y), MEAN_SQUARE(x, y), rtol=1e-5)
    absolute = MEAN_SQUARE.with_options(norm="l1")
    assert not torch.allclose(in_space(absolute, haar)(x, y), absolute(x, y), rtol=1e-2)


def test_the_map_is_of_the_encoded_images():
    x, y = pair()
    expected = ssim.map(studio_luma(x), studio_luma(y))
    assert torch.equal(in_space(ssim, studio_luma).map(x, y), expected)
    assert not torch.allclose(expected, ssim.map(x, y), atol=1e-2)


def test_declarations_that_hold_in_any_space_are_kept():
    measure = in_space(ssim, haar)
    assert (measure.name, measure.best, measure.lower, measure.upper) == (
        "ssim_in_haar",
        "max",
        ssim.lower,
        ssim.upper,
    )
    assert {law.__name__ for law in measure.laws} == {"symmetric_pairs", "value_on_equal_1"}
    directions = in_space(clip_score, flat)
    assert ignores_length in clip_score.laws and ignores_length not in directions.laws
    x, y = pair()
    assert torch.equal(directions(x, y), clip_score(x.flatten(1), y.flatten(1)))


@pytest.mark.parametrize("encoder", [haar, studio_luma], ids=lambda e: e.__name__)
def test_the_laws_hold(encoder):
    torch._dynamo.reset()  # or what other tests compiled counts against its limit
    measure = in_space(MEAN_SQUARE, encoder)
    for law in laws_of_pairs(measure):
        law(measure, draw_pair_inputs(measure, n=8, size=24, seed=2))


def test_it_pickles_with_its_options():
    x, y = pair()
    measure = in_space(ssim, haar).with_options(data_range=2.0)
    again = pickle.loads(pickle.dumps(measure))
    assert again.options["data_range"] == 2.0 and torch.equal(again(x, y), measure(x, y))
    assert in_space(ssim, lambda z: z).name == "ssim_in_lambda"


def test_luma_is_matlabs_and_chroma_jpegs():
    colour = pytest.importorskip("skimage.color")
    x, _ = pair()
    array = x.permute(0, 2, 3, 1).double().numpy()
    expected = colour.rgb2ycbcr(array)[..., 0] / 255
    assert np.abs(studio_luma(x)[:, 0].numpy() - expected).max() < 1e-6
    white, black = studio_luma(torch.ones(1, 3, 1, 1)), studio_luma(torch.zeros(1, 3, 1, 1))
    assert float(white) == pytest.approx(235 / 255) and float(black) == pytest.approx(16 / 255)
    # ITU-T T.871, from its definition by differences to luma
    red, green, blue = x.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = torch.stack((luma, (blue - luma) / 1.772 + 0.5, (red - luma) / 1.402 + 0.5), dim=1)
    assert torch.allclose(ycbcr(x), expected, atol=1e-6)


def test_haar_bands_of_a_known_block():
    block = torch.tensor([[1.0, 2.0], [3.0, 5.0]])[None, None]
    assert haar(block).flatten().tolist() == [5.5, -1.5, -2.5, 0.5]
    with pytest.raises(UsageError, match="even height and width, got 23 x 26"):
        haar(pair(height=23)[0])


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="expected a pair measure, got function"):
        in_space(haar, haar)
    with pytest.raises(UsageError, match="contrastive_restoration takes x, target, degraded"):
        in_space(contrastive_restoration, haar)
    with pytest.raises(UsageError, match="encoder: expected a function"):
        in_space(ssim, "haar")
    with pytest.raises(UsageError, match=r"ssim_in_lambda: encoder: gives \(\) for 2 images"):
        in_space(ssim, lambda z: z.sum())(*pair())
