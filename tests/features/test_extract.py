"""From a name and a folder to features: the one pass, end to end."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

Image = pytest.importorskip("PIL.Image")

from assay.data import UnreadableImages, array_images, open_images  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402
from assay.features import extract, get_extractor  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 3, 6, 4), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for row, image in enumerate(IMAGES):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"{row}.png")
    return tmp_path


def test_pixels_are_the_image(folder):
    told = []
    found = extract(
        open_images(folder), get_extractor("pixels"), batch_size=4, progress=lambda *n: told.append(n)
    )
    np.testing.assert_array_equal(
        found.features.numpy(), IMAGES.reshape(10, -1).astype(np.float32) / np.float32(255)
    )
    assert found.names == tuple(f"{row}.png" for row in range(10)) and len(found) == 10
    assert found.logits is None and found.probabilities is None and found.skipped == ()
    assert found.extractor == "pixels" and found.fingerprint and str(folder) in found.description
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_folder_zip_and_array_agree(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        for each in sorted(folder.iterdir()):
            file.write(each, each.name)
    extractor = get_extractor("pixels:5")
    wanted = extract(open_images(folder), extractor).features
    assert wanted.shape == (10, 75) and extractor.dim == 75
    assert torch.equal(extract(open_images(path), extractor).features, wanted)
    assert torch.equal(extract(array_images(IMAGES), extractor, batch_size=3, workers=1).features, wanted)


def test_the_differentiable_pixels_agree(folder):
    for name, crop in [
        ("pixels", "none"),
        ("pixels", "center"),
        ("pixels:5", "none"),
        ("pixels:5", "center"),
    ]:
        extractor = get_extractor(name, device="cpu", crop=crop)
        x = (torch.from_numpy(IMAGES).float() / 255).requires_grad_()
        features = extractor.torch_module()(x)
        torch.testing.assert_close(
            features, extract(array_images(IMAGES), extractor).features, rtol=0, atol=1e-5
        )
        assert features.requires_grad
    with pytest.raises(UsageError, match="images must be"):
        extractor.torch_module()(torch.zeros(3, 4, 4))


def test_bad_images_end_the_pass_or_are_left_out_by_name(folder):
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:-30])
    (folder / "7.png").write_bytes(b"")
    with pytest.raises(
        UnreadableImages, match=r"2 of 10 images in folder .*: 3\.png \(.*\), 7\.png \(empty file\)"
    ):
        extract(open_images(folder), get_extractor("pixels"))
    found = extract(open_images(folder), get_extractor("pixels"), batch_size=3, skip_bad=True)
    kept = [row for row in range(10) if row not in (3, 7)]
    assert found.names == tuple(f"{row}.png" for row in kept) and found.features.shape == (8, 72)
    np.testing.assert_array_equal(found.features.numpy() * 255, IMAGES[kept].reshape(8, -1))
    assert [each.name for each in found.skipped] == ["3.png", "7.png"]


def test_a_set_without_a_readable_image_is_an_error_even_when_skipping(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 1 images in .* can be read, the first because: empty"):
        extract(open_images(tmp_path), get_extractor("pixels"), skip_bad=True)


def test_pixels_of_different_sizes_say_what_to_use(folder):
    Image.new("RGB", (9, 9)).save(folder / "9.png")
    with pytest.raises(DataError, match=r"0\.png is 6 x 4, 9\.png is 9 x 9 .*pixels:32"):
        extract(open_images(folder), get_extractor("pixels"))
    assert extract(open_images(folder), get_extractor("pixels:3")).features.shape == (10, 27)


def test_efficientnet_gives_features_and_probabilities_in_one_pass(lite0, folder):
    found = extract(open_images(folder), lite0, batch_size=4)
    assert found.features.shape == (10, 1280) and found.features.dtype == torch.float32
    assert found.logits.shape == (10, 1000)
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(10))
    one = lite0.forward(torch.from_numpy(lite0.transform(IMAGES[7].transpose(1, 2, 0)))[None])
    torch.testing.assert_close(found.features[7], one.features[0], rtol=1e-4, atol=1e-4)


def test_images_of_different_sizes_share_a_network(lite0, tmp_path):
    for row, size in enumerate([(30, 40), (300, 200), (224, 224)]):
        buffer = io.BytesIO()
        Image.new("RGB", size, (90, 20, 200)).save(buffer, "PNG")
        (tmp_path / f"{row}.png").write_bytes(buffer.getvalue())
    features = extract(open_images(tmp_path), lite0).features
    torch.testing.assert_close(features[0], features[2], rtol=1e-4, atol=1e-4)


def test_unknown_names_get_the_nearest_known():
    with pytest.raises(
        UsageError, match=r"unknown features 'efficentnet-lite': did you mean efficientnet-lite\d\? known"
    ):
        get_extractor("efficentnet-lite")
    with pytest.raises(UsageError, match=r"did you mean pixels\?"):
        get_extractor("Pixel:32")
    with pytest.raises(UsageError, match=r"unknown features 'zzz': known are efficientnet-lite0, .*pixels"):
        get_extractor("zzz")
    with pytest.raises(UsageError, match="takes nothing after a colon"):
        get_extractor("efficientnet-lite0:2")


@pytest.mark.parametrize("size", ["", "0", "-3", "32.5", "2000", "x", "٣"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match="whole number from 1 to 1024"):
        get_extractor(f"pixels:{size}")


def test_wrong_devices_and_crops_are_refused():
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        get_extractor("pixels", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            get_extractor("pixels", device="cuda")
    with pytest.raises(UsageError, match="crop must be one of center, none, not 'middle'"):
        get_extractor("pixels", crop="middle")


def test_different_fingerprints_for_different_pixels():
    names = [
        ("pixels", None),
        ("pixels", "center"),
        ("pixels:8", None),
        ("pixels:9", None),
        ("pixels:8", "center"),
    ]
    prints = {get_extractor(name, crop=crop).fingerprint for name, crop in names}
    assert len(prints) == 5
    assert get_extractor("pixels").fingerprint == get_extractor("pixels", crop="none").fingerprint
