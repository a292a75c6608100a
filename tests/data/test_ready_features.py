"""Features from files and memory: what is taken as it is, and what is refused and how."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.data import as_features, load_features
from assay.errors import DataError, UsageError

X = np.random.default_rng(0).normal(size=(7, 3))


def saved(tmp_path, array, name="x.npy"):
    np.save(tmp_path / name, array)
    return tmp_path / name


@pytest.mark.parametrize(
    "dtype,kept",
    [
        ("f4", torch.float32),
        ("f8", torch.float64),
        ("f2", torch.float32),
        (">f4", torch.float32),
        ("<f8", torch.float64),
    ],
)
def test_npy_keeps_single_and_double_precision(tmp_path, dtype, kept):
    path = saved(tmp_path, X.astype(dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_features(path)
    assert loaded.features.dtype == kept and loaded.features.shape == (7, 3)
    np.testing.assert_array_equal(
        loaded.features.numpy(), X.astype(dtype).astype(loaded.features.numpy().dtype)
    )
    assert loaded.names == tuple("0123456") and len(loaded) == 7 and loaded.description == str(path)


def test_a_mapped_file_is_not_changed_by_its_user(tmp_path):
    path = saved(tmp_path, X)
    load_features(path).features.zero_()
    np.testing.assert_array_equal(np.load(path), X)


def test_column_order_does_not_matter(tmp_path):
    np.testing.assert_array_equal(load_features(saved(tmp_path, np.asfortranarray(X))).features.numpy(), X)


def test_safetensors_by_name_or_alone(tmp_path):
    x = torch.from_numpy(X)
    save_file({"anything": x, "labels": torch.zeros(7)}, tmp_path / "a.safetensors")
    save_file({"features": x.bfloat16(), "other": x + 1}, tmp_path / "b.safetensors")
    assert torch.equal(load_features(tmp_path / "a.safetensors").features, x)
    assert torch.equal(load_features(tmp_path / "b.safetensors").features, x.bfloat16().float())
    save_file({"one": x, "two": x.clone()}, tmp_path / "c.safetensors")
    with pytest.raises(DataError, match=r"one named features; it holds one \(7, 3\), two \(7, 3\)"):
        load_features(tmp_path / "c.safetensors")
    (tmp_path / "d.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(DataError, match=r"not a whole \.safetensors"):
        load_features(tmp_path / "d.safetensors")
    (tmp_path / "e.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-8])
    with pytest.raises(DataError, match=r"not a whole \.safetensors"):
        load_features(tmp_path / "e.safetensors")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        load_features(tmp_path / "objects.npy")
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"not a whole \.npy"):
        load_features(tmp_path / "pickle.npy")
    with pytest.raises(DataError, match="Python objects"):
        as_features(np.array([[None]], dtype=object))


@pytest.mark.parametrize(
    "array,message",
    [
        (X[:, 0], r"shape \(n, d\).*not \(7,\): one feature a sample is x\[:, None\]"),
        (X[None], r"not \(1, 7, 3\)"),
        (np.zeros((2, 3, 4, 4)), "images are not features"),
        (np.zeros((0, 3)), r"at least one row and one column, not \(0, 3\)"),
        (np.zeros((3, 0)), r"at least one row and one column, not \(3, 0\)"),
        (X.astype(np.int64), r"not int64: .* x\.astype\('float32'\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), "pass them as images"),
        (X > 0, "not bool"),
        (X.astype(complex), "not complex128"),
        (X.astype(str), "floating-point"),
    ],
)
def test_other_arrays_are_refused_the_same_from_file_and_memory(tmp_path, array, message):
    with pytest.raises(DataError, match=message):
        load_features(saved(tmp_path, array))
    with pytest.raises(DataError, match=message):
        as_features(array)
    if array.dtype.kind != "U":
        with pytest.raises(DataError, match=message.replace("not ", r"not (torch\.)?")):
            as_features(torch.from_numpy(np.ascontiguousarray(array)).clone())


def test_rows_that_are_not_finite_are_counted_and_named():
    x = torch.zeros(70_000, 2)
    x[[3, 66_000], [0, 1]] = torch.tensor([float("nan"), float("inf")])
    with pytest.raises(DataError, match=r"in 2 of 70000 rows \(counted from 0\): 3, 66000; remove"):
        as_features(x)
    x[:20] = float("-inf")
    with pytest.raises(DataError, match=r"in 21 of .*: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 11 more;"):
        as_features(x, description="mine")


def test_damaged_and_missing_files(tmp_path):
    path = saved(tmp_path, X)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"not a whole \.npy"):
        load_features(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"not a whole \.npy"):
        load_features(path)
    with pytest.raises(DataError, match="not a file that exists"):
        load_features(tmp_path / "none.npy")
    with pytest.raises(DataError, match="cannot be read"):
        load_features(tmp_path / ("x" * 300 + ".npy"))
    with pytest.raises(UsageError, match=r"expected \.npy or \.safetensors"):
        load_features(tmp_path / "x.csv")
    with pytest.raises(UsageError, match="not list"):
        as_features([[1.0]])


def test_memory_is_referred_to_and_gradients_are_left_behind():
    x = torch.from_numpy(X).requires_grad_()
    taken = as_features(x).features
    assert taken.data_ptr() == x.data_ptr() and not taken.requires_grad
    backwards = as_features(X[::-1]).features
    np.testing.assert_array_equal(backwards.numpy(), X[::-1])


@pytest.mark.filterwarnings("ignore")
def test_no_mutation_of_a_file_raises_anything_else(tmp_path):
    content = saved(tmp_path, X).read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        for position in rng.integers(0, 128, 3):
            damaged[position] = rng.integers(0, 256)
        (tmp_path / "y.npy").write_bytes(damaged)
        try:
            load_features(tmp_path / "y.npy")
        except DataError:
            refused += 1
    assert refused > 50


def test_a_saved_statistic_is_not_features(tmp_path: Path) -> None:
    from assay.statistics import Moments, save

    save(
        Moments.of(torch.randn(20, 3, generator=torch.Generator().manual_seed(0))),
        tmp_path / "reference.safetensors",
    )
    with pytest.raises(DataError, match=r"the statistic Moments.*load_reference reads it"):
        load_features(tmp_path / "reference.safetensors")


def test_a_url_is_refused_without_its_password():
    url = "https://user:hunter2@host/x.npy?token=secret"
    with pytest.raises(
        UsageError, match=r"^https://host/x\.npy: features are read from files on a disk only"
    ) as caught:
        load_features(url)
    assert "hunter2" not in str(caught.value) and "secret" not in str(caught.value)
