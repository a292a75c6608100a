"""The 36 statistics against a slow reference by scipy, and against what the published programs' ports gave."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize, special

from assay.errors import UsageError
from assay.images.one_image import brisque_features
from assay.images.one_image.generalised_gaussian import log_moment_ratio, shape_of_ratio
from assay.images.one_image.half_size import half_size_sharp, half_size_smooth

SHAPES = [k for k in range(36) if k % 18 in (0, 2, 6, 10, 14)]


def picture(h=40, w=48):
    i, j = np.mgrid[:h, :w].astype(np.int64)
    wave = 60 * np.sin(i / 3.1) + 40 * np.cos(j / 2.3 + i * j / 97.0)
    return np.clip(np.round(120 + wave + (i * 7919 + j * 104729 + i * j * 31) % 23), 0, 255)


def tensor(image):
    return torch.from_numpy(image)[None, None] / 255


# -- a slow reference -----------------------------------------------------------------------------------------------


def solved(ratio):
    def apart(a):
        return special.gamma(1 / a) * special.gamma(3 / a) / special.gamma(2 / a) ** 2 - ratio

    return optimize.brentq(apart, 0.2, 10.0, xtol=1e-14)


def one_sided(x, count):
    left, right = np.sum(x[x < 0] ** 2) / np.sum(x < 0), np.sum(x[x > 0] ** 2) / np.sum(x > 0)
    gamma = math.sqrt(left / right)
    rhat = (np.abs(x).sum() / count) ** 2 / (np.sum(x**2) / count)
    shape = solved(1 / (rhat * (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2))
    spread = special.gamma(2 / shape) / math.sqrt(special.gamma(1 / shape) * special.gamma(3 / shape))
    return [shape, (math.sqrt(right) - math.sqrt(left)) * spread, left, right]


def statistics(image, convention):
    at = np.arange(-3, 4)
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mode = {"mode": "constant"} if convention == "matlab" else {"mode": "nearest"}
    mean = ndimage.correlate(image, window, **mode)
    square = ndimage.correlate(image * image, window, **mode)
    x = (image - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    if convention == "matlab":
        out = [solved(np.mean(x**2) / np.mean(np.abs(x)) ** 2), np.mean(x**2)]
    else:
        shape, _, left, right = one_sided(x, x.size)
        out = [shape, (left + right) / 2]
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        other = np.roll(x, (-down, -right), (0, 1))
        product = x * other
        if convention == "cpp":
            whole = np.ones(x.shape, dtype=bool)
            whole[:, x.shape[1] - right :] = False
            whole[x.shape[0] - down :] &= down < 1
            whole[:1] &= down >= 0
            product = np.where(whole, product, 0.0)
        out += one_sided(product, x.size)
    return out


def halved(image, convention):
    """By the definition: a sum over inputs, weighted by the kernel at their distance from the output's centre."""

    def kernel(t, a):
        t = abs(t)
        inner, outer = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
        return inner if t <= 1 else outer if t <= 2 else 0.0

    def matrix(size):
        outputs = (size + 1) // 2 if convention == "matlab" else size // 2
        out = np.zeros((outputs, size))
        for row in range(outputs):
            for at in range(-10, size + 10):
                t = at - (2 * row + 0.5)
                weight = kernel(t / 2, -0.5) if convention == "matlab" else kernel(t, -0.75)
                mirrored = -at - 1 if at < 0 else 2 * size - 1 - at if at >= size else at
                source = mirrored if convention == "matlab" else min(max(at, 0), size - 1)
                if weight:
                    out[row, source] += weight
        return out / out.sum(1, keepdims=True)

    return matrix(image.shape[0]) @ image @ matrix(image.shape[1]).T


@pytest.mark.parametrize("convention", ["matlab", "cpp"])
@pytest.mark.parametrize("size", [(40, 48), (16, 17), (33, 21)])
def test_equals_a_slow_reference(convention, size):
    image = picture(*size)
    expected = statistics(image, convention) + statistics(halved(image, convention), convention)
    found = brisque_features(tensor(image), convention=convention)
    assert np.allclose(found[0].numpy(), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("size", [(8, 9), (17, 24)])
def test_half_size_equals_its_definition(size):
    image = picture(*size)
    x = torch.from_numpy(image)[None]
    assert np.allclose(half_size_smooth(x)[0], halved(image, "matlab"), rtol=1e-12)
    assert np.allclose(half_size_sharp(x)[0], halved(image, "cpp"), rtol=1e-12)


# -- the published programs' ports on `picture()` as an 8-bit grey image -----------------------------------------------

# piq 0.8.0: its _natural_scene_statistics at both scales
PIQ = [
    2.615, 0.218679, 0.811, 0.143797, 0.007505, 0.091379, 0.853, 0.156834, 0.0047, 0.090107, 0.945, 0.101481,
    0.013553, 0.068666, 0.936, 0.14715, 0.005584, 0.082038, 3.541, 0.392205, 0.897, 0.26, 0.025948, 0.291096,
    1.101, 0.298992, 0.012911, 0.277638, 1.116, 0.097276, 0.078882, 0.172155, 1.119, 0.232684, 0.030182, 0.244234,
]  # fmt: skip
# OpenCV 5.0.0 (contrib): cv2.quality.QualityBRISQUE_computeFeatures
OPENCV = [
    2.296, 0.1984, 0.799, 0.110619, 0.008015, 0.065641, 0.759, 0.123041, 0.005842, 0.070207, 0.799, 0.06719,
    0.014788, 0.049662, 0.76, 0.115576, 0.00688, 0.067579, 3.247, 0.380915, 0.947, 0.191351, 0.038297, 0.221022,
    0.904, 0.276023, 0.012359, 0.262217, 0.899, 0.001292, 0.107772, 0.10901, 0.804, 0.204705, 0.033914, 0.242063,
]  # fmt: skip


@pytest.mark.parametrize("convention,golden", [("matlab", PIQ), ("cpp", OPENCV)])
def test_equals_the_ports_to_the_steps_of_their_table(convention, golden):
    apart = (brisque_features(tensor(picture()), convention=convention)[0] - torch.tensor(golden)).abs()
    assert float(apart[SHAPES].max()) < 1e-3
    # the means follow from the shapes
    assert float(apart[[k for k in range(36) if k not in SHAPES]].max()) < 1e-4


# -- what it does with images -----------------------------------------------------------------------------------------


def test_range_colour_and_precision():
    grey = tensor(picture())
    expected = brisque_features(grey)
    assert torch.allclose(brisque_features(grey * 255, data_range=255), expected, rtol=1e-10)
    assert torch.allclose(brisque_features(grey.expand(-1, 3, -1, -1)), expected, rtol=1e-9)
    assert brisque_features(grey.float()).dtype == torch.float32
    assert torch.allclose(brisque_features(grey.float()).double(), expected, rtol=1e-4)
    colour = torch.cat([grey, grey.flip(2), grey.flip(3)], 1)
    whole = (colour * 255 * torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]).sum(1)
    rounded = brisque_features(whole.round()[:, None] / 255)
    assert torch.allclose(brisque_features(colour, rounded=True), rounded, rtol=1e-9)
    assert not torch.allclose(brisque_features(colour), rounded, rtol=1e-9)


@pytest.mark.parametrize("convention", ["matlab", "cpp"])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_images_are_finite_with_finite_gradients(convention, value):
    x = torch.full((1, 1, 20, 18), value, requires_grad=True)
    found = brisque_features(x, convention=convention)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert bool(found.isfinite().all()) and bool(slope.isfinite().all())
    if value == 0.0 or convention == "cpp":  # nothing at all to see
        assert bool((slope == 0).all())
        assert torch.equal(found[0, SHAPES], torch.full((len(SHAPES),), 10.0))
        assert float(found.detach().sum()) == 10.0 * len(SHAPES)


def test_half_flat_images_have_finite_gradients():
    image = picture()
    image[:20] = 255.0
    image[:, :10] = 0.0
    x = tensor(image).requires_grad_()
    for convention in ("matlab", "cpp"):
        (slope,) = torch.autograd.grad(brisque_features(x, convention=convention).square().sum(), x)
        assert bool(slope.isfinite().all())


def test_gradient_equals_central_differences():
    x = tensor(picture(16, 17)).requires_grad_()
    directions = torch.randn(36, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z: brisque_features(z) @ directions, x, eps=1e-7, rtol=1e-4, atol=1e-5, fast_mode=True
    )


def test_shapes_are_solved_for():
    shapes = torch.cat([torch.linspace(0.2001, 1.0, 50), torch.linspace(1.0, 9.99, 50)]).double()
    assert torch.allclose(shape_of_ratio(log_moment_ratio(shapes)), shapes, rtol=1e-9)
    # a normal and a Laplace distribution
    known = torch.tensor([math.log(math.pi / 2), math.log(2.0)], dtype=torch.float64)
    assert torch.allclose(shape_of_ratio(known), torch.tensor([2.0, 1.0], dtype=torch.float64), rtol=1e-9)
    beyond = torch.tensor([0.0, 50.0], dtype=torch.float64, requires_grad=True)
    ends = shape_of_ratio(beyond)
    assert ends.tolist() == [10.0, pytest.approx(0.2)]
    assert bool((torch.autograd.grad(ends.sum(), beyond)[0] == 0).all())
    inner = log_moment_ratio(torch.tensor([0.4, 2.0, 7.0], dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(shape_of_ratio, inner)
    assert torch.autograd.gradgradcheck(shape_of_ratio, inner)


def test_bad_input():
    with pytest.raises(UsageError, match="15 x 20 is too small"):
        brisque_features(torch.rand(1, 1, 15, 20))
    with pytest.raises(UsageError, match="1 \\(grey\\) or 3"):
        brisque_features(torch.rand(1, 2, 20, 20))
    with pytest.raises(UsageError, match="data_range"):
        brisque_features(torch.rand(1, 1, 20, 20), data_range=0.0)
    with pytest.raises(UsageError, match='convention: expected "matlab" or "cpp"'):
        brisque_features(torch.rand(1, 1, 20, 20), convention="opencv")
    for wrong in (torch.rand(1, 20, 20), torch.rand(1, 1, 20, 20) > 0.5, np.ones((1, 1, 20, 20))):
        with pytest.raises(UsageError, match=r"images: expected a tensor \(B, 1 or 3, H, W\)"):
            brisque_features(wrong)
    with pytest.raises(UsageError, match="rounded: expected True or False"):
        brisque_features(torch.rand(1, 1, 20, 20), rounded="no")


def test_statistics_of_8_bit_images_are_no_whole_numbers():
    levels = torch.randint(
        0, 256, (1, 3, 24, 20), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    found = brisque_features(levels, data_range=255.0)
    torch.testing.assert_close(found, brisque_features(levels.float(), data_range=255.0))
