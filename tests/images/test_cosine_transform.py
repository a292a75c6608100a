"""The transform is scipy's, keeps energy, and can be trained through."""

from __future__ import annotations

import pytest
import scipy.fft
import torch

from assay.errors import UsageError
from assay.images.cosine_transform import block_cosine_transform, cosine_matrix, cosine_transform


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (8, 8), (31, 20), (257, 64)])
def test_whole_images_as_scipy(height: int, width: int) -> None:
    x = images(2, 3, height, width)
    expected = scipy.fft.dctn(x.numpy(), axes=(-2, -1), norm="ortho")
    torch.testing.assert_close(cosine_transform(x), torch.from_numpy(expected), rtol=0, atol=1e-12)
    narrow = cosine_transform(x.float())
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), torch.from_numpy(expected), rtol=0, atol=2e-5)


def test_blocks_as_scipy_and_leftovers_left_out() -> None:
    x = images(2, 3, 21, 34)
    got = block_cosine_transform(x, 8)
    assert got.shape == (2, 3, 2, 4, 8, 8)
    for i in range(2):
        for j in range(4):
            block = x[..., 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].numpy()
            expected = torch.from_numpy(scipy.fft.dctn(block, axes=(-2, -1), norm="ortho"))
            torch.testing.assert_close(got[..., i, j, :, :], expected, rtol=0, atol=1e-13)


def test_one_block_is_the_whole() -> None:
    x = images(1, 1, 9, 9)
    torch.testing.assert_close(block_cosine_transform(x, 9)[:, :, 0, 0], cosine_transform(x))
    with pytest.raises(UsageError, match="size: expected blocks of 1 to 9 pixels"):
        block_cosine_transform(x, 10)
    with pytest.raises(UsageError, match="got 0"):
        block_cosine_transform(x, 0)


def test_energy_is_kept() -> None:
    x = images(3, 1, 13, 40)
    torch.testing.assert_close(cosine_transform(x).square().sum((-2, -1)), x.square().sum((-2, -1)))
    matrix = cosine_matrix(40, x)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(40, dtype=torch.float64), rtol=0, atol=1e-13)


def test_gradient() -> None:
    x = images(1, 1, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(cosine_transform, x)
    assert torch.autograd.gradcheck(lambda t: block_cosine_transform(t, 2), x)


def test_a_matrix_made_under_inference_mode_can_be_trained_through() -> None:
    x = torch.rand(1, 1, 37, 37)
    with torch.inference_mode():
        cosine_transform(x)
    leaf = x.clone().requires_grad_()
    cosine_transform(leaf).square().sum().backward()
    torch.testing.assert_close(leaf.grad, 2 * x, rtol=1e-4, atol=1e-5)


def test_compiles_to_one_graph() -> None:
    x = images(2, 1, 16, 24)

    def both(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return cosine_transform(t), block_cosine_transform(t, 8)

    for got, expected in zip(
        torch.compile(both, backend="aot_eager", fullgraph=True)(x), both(x), strict=True
    ):
        torch.testing.assert_close(got, expected)
