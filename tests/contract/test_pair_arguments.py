"""A wrong pair of pictures is refused in one sentence, and doing what the sentence says mends it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import assay
from assay.errors import DataError, UsageError
from assay.images import clip_score, dice, mean_absolute_error, psnr, ssim

SEEDED = torch.Generator().manual_seed(0)
X = torch.rand(2, 3, 40, 48, generator=SEEDED)
Y = (X + 0.1 * torch.randn(X.shape, generator=SEEDED)).clamp(0, 1)
LAST = (0, 2, 3, 1)


def advised(refused, *members, **named):
    """The first piece of code in the message, evaluated with the members under their names."""
    with pytest.raises((UsageError, DataError)) as found:
        refused(*members)
    message = str(found.value)
    code = re.search(named.pop("code"), message)
    assert code is not None, message
    return eval(code[0], {"torch": torch, "np": np, **named})


@pytest.mark.parametrize(
    ("wrong", "code", "right"),
    [
        (X[0], r"x\[None\]", X[:1]),
        (X[:, 0], r"x\[:, None\]", X[:, :1]),
        (X[0, 0], r"x\[None, None\]", X[:1, :1]),
        (X[0].permute(1, 2, 0), r"x\.permute\(2, 0, 1\)\[None\]", X[:1]),
        (X.permute(LAST), r"x\.permute\(0, 3, 1, 2\)", X),
        (X[None], r"x\.flatten\(0, 1\)", X),
        (X.to_sparse(), r"x\.to_dense\(\)", X),
        ((X * 255).byte(), r"x\.float\(\) / 255", (X * 255).byte().float() / 255),
        ((X * 65535).to(torch.uint16), r"x\.float\(\) / 65535", (X * 65535).to(torch.uint16).float() / 65535),
        (X > 0.5, r"x\.float\(\)", (X > 0.5).float()),
        (X.to(torch.complex64), r"x\.abs\(\)", X),
        ([X[0], X[1]], r"torch\.stack\(x\)", X),
        (
            (X * 255).byte().numpy(),
            r"torch\.from_numpy\(x\)\.float\(\) / 255",
            (X * 255).byte().float() / 255,
        ),
        (X[0].numpy().transpose(1, 2, 0), r"torch\.from_numpy\(x\)\.permute\(2, 0, 1\)\[None\]", X[:1]),
    ],
)
def test_what_the_message_says_mends_a_member(wrong, code, right):
    mended = advised(psnr, wrong, Y, code=code, x=wrong)
    assert torch.equal(mended, right)
    psnr(mended, mended)


def test_a_picture_of_pillow_is_mended_by_the_message():
    from PIL import Image

    levels = (X[0] * 255).byte()
    x = Image.fromarray(levels.permute(1, 2, 0).numpy())
    mended = advised(psnr, x, Y, code=r"torch\.from_numpy\(np.*?/ 255", x=x)
    assert torch.equal(mended, levels[None].float() / 255)


@pytest.mark.parametrize(
    ("x", "y", "code", "right"),
    [
        (X, Y[:, :1], r"{y}\.expand\(.*?\)", Y[:, :1].repeat(1, 3, 1, 1)),
        (X, torch.cat([Y, Y[:, :1]], 1), r"{y}\[:, :3\]", Y),
        (X, Y[:1], r"{y}\.expand_as\({x}\)", Y[:1].repeat(2, 1, 1, 1)),
        (X, Y.permute(LAST), r"{y}\.permute\(.*?\)", Y),
        (X[..., :12, :16], Y[..., :12, :16].permute(LAST), r"{y}\.permute\(.*?\)", Y[..., :12, :16]),
    ],
)
def test_what_the_message_says_mends_a_pair(x, y, code, right):
    mended = advised(psnr, x, y, code=code.format(x="x", y="y"), x=x, y=y)
    assert torch.equal(mended, right)
    psnr(x, mended)
    # the other way round the message names the other one
    assert torch.equal(advised(psnr, y, x, code=code.format(x="y", y="x"), x=y, y=x), right)


def test_sizes_that_only_resizing_makes_one():
    with pytest.raises(UsageError, match="resize one to the other"):
        psnr(X, Y[..., 1:])
    with pytest.raises(UsageError, match="give both the same channels"):
        psnr(torch.cat([X, X], 1), Y)


def test_channels_that_come_last_are_no_rows_of_masks():
    # the mean over 40 rows of each row's overlap is another number
    with pytest.raises(UsageError, match=r"prediction\.permute\(0, 3, 1, 2\)"):
        dice((X > 0.5).permute(LAST), (Y > 0.5).permute(LAST))
    voxels = torch.rand(1, 40, 40, 40, 1, generator=SEEDED)
    with pytest.raises(UsageError, match=r"prediction\.permute\(0, 4, 1, 2, 3\)"):
        dice(voxels, voxels)


def test_narrow_images_of_many_bands_pass_and_the_message_has_a_way_for_the_narrowest():
    assert psnr(X.permute(LAST)[:, :31], Y.permute(LAST)[:, :31]).shape == (2,)
    wide = X.permute(LAST)
    with pytest.raises(UsageError, match=r"really are 3 pixels wide, transpose all members with \.mT"):
        mean_absolute_error(wide, wide)
    assert mean_absolute_error(wide.mT, wide.mT).shape == (2,)


@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
def test_images_around_zero_are_scaled_to_the_range_asked_for(data_range):
    around = 2 * X - 1
    mended = advised(
        lambda x, y: psnr.estimate(x, y, data_range=data_range),
        around,
        Y,
        code=r"\(x \+ 1\) [*/] \S+",
        x=around,
    )
    assert torch.allclose(mended, X * data_range, atol=1e-4)


def test_eight_bit_masks_are_told_from_logits():
    mask = X > 0.5
    levels = mask.byte() * 255
    mended = advised(dice.estimate, levels, mask, code=r"prediction > 127", prediction=levels)
    assert torch.equal(mended, mask)
    with pytest.raises(DataError, match=r"prediction\.sigmoid\(\)"):
        dice.estimate(8 * X - 4, mask)


def test_nan_is_told_with_what_to_do():
    broken = X.clone()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(
        DataError, match=r"x: 1 of 2 pairs hold NaN or infinity \(rows 1\); leave those pairs out"
    ):
        ssim.estimate(broken, Y)


def test_arrays_whose_memory_a_tensor_cannot_share():
    want = psnr(X, Y)
    mirrored = np.ascontiguousarray(X.numpy()[:, ::-1])[:, ::-1]  # as BGR turned into RGB
    frozen = X.numpy().copy()
    frozen.flags.writeable = False
    for array in (mirrored, frozen, X.numpy().astype(">f4")):
        assert torch.equal(psnr(array, Y), want)
    with pytest.raises(UsageError, match="x: expected an array of numbers, got one of <U1"):
        psnr(np.full((2, 3, 40, 48), "a"), Y)


def test_one_vector_is_no_pair_of_embeddings():
    with pytest.raises(
        UsageError, match=r"image: expected shape \(B, d\), got \(8,\); image\[None\] is one pair"
    ):
        clip_score(torch.ones(8), torch.ones(8))


def test_an_option_given_by_its_place_is_told_its_name():
    x = torch.rand(2, 1, 12, 12)
    with pytest.raises(
        UsageError, match=r"expected 2 arguments \(x, y\), got 3; .* data_range=\.\.\., convention="
    ):
        assay.ssim(x, x, 1.0)
    with pytest.raises(UsageError, match=r"got 1$"):
        assay.ssim(x)


def test_the_difference_of_two_methods_over_pairs_is_led_to_where_it_is():
    x = torch.rand(4, 1, 12, 12)
    with pytest.raises(UsageError, match=r"one measure of sets, got ssim; .*assay\.score.*differences"):
        assay.difference(assay.ssim, x, x, x)


def test_channels_look_to_be_last_from_32_rows_and_32_channels_on():
    narrow = torch.rand(1, 31, 40, 3)
    assert psnr(narrow, narrow) == 100
    for shape in ((1, 32, 40, 3), (1, 40, 32, 1)):
        with pytest.raises(UsageError, match="channels look to be last"):
            psnr(torch.rand(shape), torch.rand(shape))


def test_rounding_at_either_end_of_the_range_is_no_error():
    ends = torch.tensor([-5e-7, 1 + 5e-7]).expand(2, 1, 2, 2)
    psnr.estimate(ends, ends)
    for wrong in (ends - 2e-6, ends + 2e-6):
        with pytest.raises(DataError, match=r"expected \[0, 1\] in 2 of 2 pairs"):
            psnr.estimate(wrong, ends)
