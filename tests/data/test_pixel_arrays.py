"""Images in .npy and .npz: read in place where they can be, refused with the reason where not, never unpickled."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from assay.data import holds_images, labels_of, open_images
from assay.errors import DataError, UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_in_either_layout_and_every_version(tmp_path, version):
    for name, array in {"last": IMAGES, "first": np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))}.items():
        with open(tmp_path / f"{name}.npy", "wb") as file:
            np.lib.format.write_array(file, array, version=version)
        source = open_images(tmp_path / f"{name}.npy")
        assert list(source.names) == ["0", "1", "2", "3", "4"]
        for i in range(5):
            np.testing.assert_array_equal(source.decode(i), IMAGES[i])
        assert source.signature is not None and holds_images(tmp_path / f"{name}.npy")
        assert (pickle.loads(pickle.dumps(source)).decode(3) == IMAGES[3]).all()


def test_grey_is_replicated(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES[..., :1])
    np.testing.assert_array_equal(
        open_images(tmp_path / "a.npy").decode(1), np.repeat(IMAGES[1, :, :, :1], 3, 2)
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_labels(tmp_path, save):
    save(tmp_path / "a.npz", IMAGES, np.array([3, 1, 3, 1, 2]))
    source = open_images(tmp_path / "a.npz")
    for i in (4, 0, 2):
        np.testing.assert_array_equal(source.decode(i), IMAGES[i])
    assert list(labels_of(source)) == ["3", "1", "3", "1", "2"]
    assert (pickle.loads(pickle.dumps(source)).decode(3) == IMAGES[3]).all()


def test_a_compressed_array_above_the_bound_is_refused_and_a_stored_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.data.pixel_arrays.MAX_UNPACKED", IMAGES.size - 1)
    np.savez(tmp_path / "a.npz", IMAGES)
    assert len(open_images(tmp_path / "a.npz")) == 5
    np.savez_compressed(tmp_path / "a.npz", IMAGES)
    with pytest.raises(DataError, match=r"compressed and has 630 bytes, above the 629 .*np\.savez,"):
        open_images(tmp_path / "a.npz")


def test_several_arrays_of_images_need_a_choice(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=IMAGES, x_test=IMAGES[::-1], y=np.arange(5))
    with pytest.raises(DataError, match=r"several arrays of images \(x_train, x_test\): .* #x_train"):
        open_images(tmp_path / "a.npz")
    np.testing.assert_array_equal(open_images(f"{tmp_path}/a.npz#x_test").decode(0), IMAGES[4])
    with pytest.raises(UsageError, match="has no array z: it has x_train, x_test, y"):
        open_images(f"{tmp_path}/a.npz#z")


def test_statistics_and_features_are_sent_to_their_readers(tmp_path):
    np.savez(tmp_path / "a.npz", mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(
        UsageError, match=r"holds statistics \(mu: float64 \(3\), sigma: float64 \(3, 3\)\), not images"
    ):
        open_images(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", arr_0=IMAGES, mu=np.zeros(3), sigma=np.eye(3))  # both: the images are there
    assert len(open_images(tmp_path / "b.npz")) == 5
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(UsageError, match="which are features, not images: use load_features"):
        open_images(tmp_path / "a.npy")
    assert not holds_images(tmp_path / "a.npy")


def test_objects_and_mixed_widths_are_never_unpickled(tmp_path):
    mixed = np.empty(2, object)
    mixed[0], mixed[1] = IMAGES[0], IMAGES[1, :3]
    np.savez(tmp_path / "a.npz", arr_0=mixed)
    np.save(tmp_path / "a.npy", mixed, allow_pickle=True)
    for path in ("a.npz", "a.npy"):
        with pytest.raises(DataError, match="an array of Python objects, as images of different sizes make"):
            open_images(tmp_path / path)


@pytest.mark.parametrize(
    "array,words",
    [
        (IMAGES.astype(np.float32), r"must be uint8 with values 0-255, not float32 \(5, 6, 7, 3\)"),
        (IMAGES[..., 0], r"must have the shape .* not \(5, 6, 7\)"),
        (IMAGES[:0], "no empty axis"),
        (np.repeat(IMAGES, 2, 3)[..., :4], "1 or 3 channels"),
        (np.asfortranarray(IMAGES), "Fortran order"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=words):
        open_images(tmp_path / "a.npy")


def test_cut_and_lying_files_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, IMAGES)
    content = path.read_bytes()
    for kept in (0, 5, 60, len(content) - 1):
        path.write_bytes(content[:kept])
        with pytest.raises(DataError, match=r"not a whole \.npy file|is cut off"):
            open_images(path)
    path.write_bytes(content.replace(b"(5, 6", b"(9**9"))
    with pytest.raises(DataError, match="not a whole"):
        open_images(path)
    np.savez(tmp_path / "a.npz", IMAGES)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a zip, or is cut off"):
        open_images(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", note=np.zeros(2))
    with pytest.raises(
        DataError, match=r"holds no images: expected one uint8 array .* it holds note: float64 \(2\)"
    ):
        open_images(tmp_path / "a.npz")
