"""Orders are derivatives, norms are dual, and mirrors make photographs periodic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from assay.errors import UsageError
from assay.images.frequency import sobolev_distance
from assay.pair_laws import draw_pair_inputs, gradient_is_right, second_derivative_is_right_or_refused

ORDERS = st.floats(-2.5, 2.5)


def fields(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def norm(u: Tensor, **options: Any) -> Tensor:
    return sobolev_distance(u, torch.zeros_like(u), **options)


@pytest.mark.parametrize("boundary", ["periodic", "reflecting"])
@pytest.mark.parametrize("size", [(8, 8), (9, 14), (14, 9), (7, 7), (1, 6)])
def test_order_0_is_the_root_mean_square_error(boundary: Any, size: tuple[int, int]) -> None:
    x, y = fields(2, 3, *size), fields(2, 3, *size, seed=1)
    expected = (x - y).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(sobolev_distance(x, y, order=0.0, boundary=boundary), expected)


@settings(max_examples=20)
@given(ORDERS, st.integers(0, 5), st.integers(1, 7), st.floats(0.3, 5.0), st.floats(0.3, 5.0))
def test_a_wave_has_a_closed_form(s: float, m: int, n: int, down: float, across: float) -> None:
    i, j = torch.arange(12, dtype=torch.float64)[:, None], torch.arange(15, dtype=torch.float64)
    wave = 1.7 * torch.sin(2 * math.pi * (m * i / 12 + n * j / 15) + 0.3)[None, None]
    square = (2 * math.pi * m / down) ** 2 + (2 * math.pi * n / across) ** 2
    size = 1.7 / math.sqrt(2)
    got = float(norm(wave, order=s, lengths=(down, across)))
    assert got == pytest.approx(size * (1 + square) ** (s / 2), rel=1e-9)
    got = float(norm(wave + 4.0, order=s, lengths=(down, across), homogeneous=True))
    assert got == pytest.approx(size * square ** (s / 2), rel=1e-9)


def test_a_cosine_between_mirrors_has_a_closed_form() -> None:
    i, j = torch.arange(10, dtype=torch.float64)[:, None] + 0.5, torch.arange(7, dtype=torch.float64) + 0.5
    wave = (torch.cos(math.pi * 3 * i / 10) * torch.cos(math.pi * 2 * j / 7))[None, None]
    square = (math.pi * 3 / 10) ** 2 + (math.pi * 2 / 7) ** 2
    got = float(norm(wave, order=-0.5, boundary="reflecting"))
    assert got == pytest.approx(0.5 * (1 + square) ** -0.25, rel=1e-12)


@settings(max_examples=20)
@given(ORDERS, st.booleans(), st.sampled_from([(6, 8), (7, 5), (5, 6)]))
def test_reflecting_is_periodic_on_the_image_and_its_mirrors(
    s: float, homogeneous: bool, size: tuple[int, int]
) -> None:
    u = fields(2, 2, *size)
    mirrored = torch.cat([u, u.flip(2)], 2)
    mirrored = torch.cat([mirrored, mirrored.flip(3)], 3)
    got = norm(u, order=s, boundary="reflecting", homogeneous=homogeneous, lengths=(2.0, 3.0))
    expected = norm(mirrored, order=s, homogeneous=homogeneous, lengths=(4.0, 6.0))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=20)
@given(ORDERS, st.booleans())
def test_duality(s: float, odd: bool) -> None:
    """|mean f g| <= |f|_-s |g|_s, with equality where the spectra match."""
    f, g = fields(4, 1, 9 if odd else 8, 10), fields(4, 1, 9 if odd else 8, 10, seed=1)
    inner = (f * g).mean((1, 2, 3)).abs()
    assert bool((inner <= norm(f, order=-s) * norm(g, order=s) * (1 + 1e-12)).all())
    omega = [2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in f.shape[2:]]
    symbol = (1 + omega[0].square()[:, None] + omega[1].square()) ** -s
    matched = torch.fft.ifft2(torch.fft.fft2(f) * symbol).real
    torch.testing.assert_close(
        (f * matched).mean((1, 2, 3)), norm(f, order=-s) * norm(matched, order=s), rtol=1e-9, atol=0
    )


def test_the_inverse_of_a_laplacian_is_a_gradient() -> None:
    """|laplacian u| of order -1 is |grad u| of order 0, derivatives by the whole plane's transform."""
    u = fields(2, 1, 11, 13)
    spectrum = np.fft.fft2(u.numpy())
    k = [2 * np.pi * np.fft.fftfreq(n, 1 / n) / length for n, length in ((11, 2.0), (13, 3.0))]
    first, second = np.meshgrid(*k, indexing="ij")
    laplacian = torch.from_numpy(np.fft.ifft2(-(first**2 + second**2) * spectrum).real)
    gradients = [torch.from_numpy(np.fft.ifft2(1j * each * spectrum).real) for each in (first, second)]
    size = sum(each.square().mean((1, 2, 3)) for each in gradients)
    got = norm(laplacian, order=-1.0, homogeneous=True, lengths=(2.0, 3.0))
    torch.testing.assert_close(got.square(), size)
    torch.testing.assert_close(norm(u, order=1.0, homogeneous=True, lengths=(2.0, 3.0)).square(), size)


@pytest.mark.parametrize(
    ("twice", "expected"),
    [
        (-2, 0.020708957027133493),
        (-1, 0.07552581213896316),
        (1, 2.577615279711532),
        (3, 111.98910580918634),
    ],
)
def test_as_torch_cfd_at_half_its_order(twice: int, expected: float) -> None:
    """scaomath/torch-cfd `fno/losses.py`: SobolevLoss(n_grid=16, norm_order=twice, alpha=1, freq_cutoff=1000), times
    1 / 256 for its unnormalised transform; its frequencies are single precision.
    """
    k = torch.arange(3 * 256, dtype=torch.float64)
    x, y = (
        ((k * 37) % 101 / 100).reshape(3, 1, 16, 16),
        ((k * k * 7 + k * 3) % 89 / 88).reshape(3, 1, 16, 16),
    )
    got = sobolev_distance(x, y, order=twice / 2, lengths=(1.0, 1.0)).mean()
    assert float(got) == pytest.approx(expected, rel=1e-7)


def test_noise_matters_less_at_low_orders_and_edges_of_the_frame_at_none_between_mirrors() -> None:
    noise = fields(1, 1, 32, 32)
    values = [float(norm(noise, order=s)) for s in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    assert values == sorted(values) and values[-1] > 20 * values[0]
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    # a ramp's derivative by the pixel is 1/63; the step back to its start is another 1 each row
    assert float(norm(ramp, order=1.0, homogeneous=True, boundary="reflecting")) == pytest.approx(
        1 / 63, rel=0.05
    )
    assert float(norm(ramp, order=1.0, homogeneous=True)) > 8 / 63


@pytest.mark.parametrize("boundary", ["periodic", "reflecting"])
@pytest.mark.parametrize("homogeneous", [False, True])
@pytest.mark.parametrize("order", [-1.5, 0.0, 1.0])
def test_equal_images_and_gradients(boundary: Any, homogeneous: bool, order: float) -> None:
    measure = sobolev_distance.with_options(boundary=boundary, homogeneous=homogeneous, order=order)
    inputs = draw_pair_inputs(measure, n=8, size=9, seed=1)
    gradient_is_right(measure, inputs)
    second_derivative_is_right_or_refused(measure, inputs)
    for image in (torch.rand(1, 2, 8, 9), torch.zeros(1, 2, 8, 9)):
        leaf = image.clone().requires_grad_()
        value = measure(leaf, image)
        value.sum().backward()
        assert float(value.detach()) == 0.0 and leaf.grad is not None and not bool(leaf.grad.any())


def test_bad_options() -> None:
    x = fields(2, 1, 8, 8)
    for options, message in (
        ({"order": math.inf}, "order: expected a finite number"),
        ({"boundary": "open"}, "boundary: expected one of periodic, reflecting"),
        ({"lengths": (1.0, 0.0)}, "lengths: expected the height and width"),
        ({"lengths": (1.0,)}, "lengths"),
    ):
        with pytest.raises(UsageError, match=message):
            sobolev_distance(x, x, **options)


def test_an_order_beyond_the_precision_is_refused_and_gives_no_nan() -> None:
    x = fields(1, 1, 32, 40).float()
    unit: dict[str, Any] = {"lengths": (1.0, 1.0)}
    for boundary in ("periodic", "reflecting"):
        assert float(sobolev_distance(x, x, order=7.0, boundary=boundary, **unit)) == 0.0  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"^order: at 12.0 the weight of a frequency is e\^"):
            sobolev_distance(x, x, order=12.0, boundary=boundary, **unit)  # type: ignore[arg-type]
        wide = x.double()
        assert float(sobolev_distance(wide, wide, order=12.0, boundary=boundary, **unit)) == 0.0  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"order: at -9\.0"):
        sobolev_distance(x, x, order=-9.0, homogeneous=True, lengths=(1e6, 1e6))
    assert float(sobolev_distance(x, x, order=-90.0, **unit)) == 0.0
