"""Datasets and loaders of tensors: the pixels a saved file would hold, in order, whoever asks."""

from __future__ import annotations

import io
import pickle
import threading

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from assay.data import batches
from assay.data.decode import UnreadableImage, decode_image
from assay.data.quantise import quantised
from assay.data.recent import KEPT, Recent
from assay.data.torch_data import torch_dataset_images, torch_loader_images
from assay.errors import DataError, UsageError

Image = pytest.importorskip("PIL.Image")


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def images(n=10, size=(5, 6), channels=3, seed=0):
    return torch.rand(n, channels, *size, generator=torch.Generator().manual_seed(seed))


def saved_and_read(image, low, high):
    """Save with Pillow what the image's values mean, and read the file as any other."""
    levels = np.rint((image.double().numpy() - low) / (high - low) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels.transpose(1, 2, 0)).save(file, "PNG")
    return decode_image(file.getvalue(), "a.png")


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1), (0, 255)])
def test_pixels_are_those_of_the_saved_file(low, high):
    x = images() * (high - low) + low
    source = torch_dataset_images(Items(x), value_range=(low, high))
    for i in range(len(source)):
        np.testing.assert_array_equal(source.decode(i), saved_and_read(x[i], low, high))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_level_comes_back_whatever_the_precision(dtype):
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scaled = (levels.double() / 255).to(dtype)
    if dtype is torch.bfloat16:  # eight bits of precision do not hold all levels near 1
        scaled, levels = scaled[:, :, :8], levels[:, :, :8]
    np.testing.assert_array_equal(quantised(scaled, (0, 1), "x")[0, ..., 1], levels[0, 0].numpy())
    np.testing.assert_array_equal(quantised(levels, None, "x")[0, ..., 2], levels[0, 0].numpy())


def test_halves_go_to_the_even_level_and_half_a_level_beyond_the_end_is_the_end():
    x = torch.tensor([0.5, 1.5, 2.5, 254.5, -0.4, 255.4]).reshape(1, 1, 1, 6)
    assert quantised(x, (0, 255), "x")[0, 0, :, 0].tolist() == [0, 2, 2, 254, 0, 255]


FORMS = {
    "tensor": lambda x, y: x,
    "tuple": lambda x, y: (x, y),
    "mapping": lambda x, y: {"image": x, "label": y},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["dataset", "loader"])
def test_items_in_three_forms_with_their_labels(form, kind):
    x = images()
    items = Items([FORMS[form](x[i], i % 3) for i in range(10)])
    if kind == "dataset":
        source = torch_dataset_images(items, value_range=(0, 1))
    else:
        source = torch_loader_images(DataLoader(items, batch_size=4), value_range=(0, 1))
    assert len(source) == 10 and source.names[9] == "9"
    expected = quantised(x, (0, 1), "x")
    for i in (0, 3, 4, 9, 2):
        np.testing.assert_array_equal(source.decode(i), expected[i])
    if form == "tensor":
        assert source.labels is None
    else:
        assert list(source.labels) == [str(i % 3) for i in range(10)]


def test_what_is_no_class_is_no_label():
    x = images(3)
    assert torch_dataset_images(TensorDataset(x, torch.rand(3)), value_range=(0, 1)).labels is None
    assert torch_dataset_images(TensorDataset(x, torch.ones(3, 2)), value_range=(0, 1)).labels is None
    loader = DataLoader(TensorDataset(x, torch.ones(3, 2, dtype=torch.int64)), batch_size=2)
    assert torch_loader_images(loader, value_range=(0, 1)).labels is None
    named = Items([(image, name) for image, name in zip(x, "abc", strict=True)])
    assert list(torch_loader_images(DataLoader(named), value_range=(0, 1)).labels) == ["a", "b", "c"]


def test_a_whole_pass_by_threads_walks_the_loader_once():
    x = torch.arange(1000, dtype=torch.int64)
    x = torch.stack([x // 256, x % 256, x % 7], 1).to(torch.uint8).reshape(-1, 3, 1, 1).repeat(1, 1, 3, 4)
    walks = []

    class Counted:
        def __iter__(self):
            walks.append(1)
            return iter(x.split(37))

    source = torch_loader_images(Counted(), n=1000)
    for _ in range(2):
        seen = list(
            batches(source, transform=lambda i: i[:1, :1].transpose(2, 0, 1).astype(np.float32), workers=8)
        )
        found = torch.cat([batch.images for batch in seen])[:, :, 0, 0]
        assert torch.equal(found, x[:, :, 0, 0].float())
    assert len(walks) == 1  # so few are all kept


def test_memory_is_bounded_and_what_was_dropped_comes_back():
    x = torch.zeros(3 * KEPT, 1, 1, 1, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.arange(len(x)) % 251
    walks = []

    class Counted:
        def __iter__(self):
            walks.append(1)
            return iter(x.split(16))

    source = torch_loader_images(Counted(), n=len(x))
    assert source.read(len(x) - 1)[0, 0, 0] == (len(x) - 1) % 251
    assert len(source.read._recent) == KEPT + 16
    for index in range(len(x) - KEPT, len(x), 100):  # again, and still there
        assert source.read(index)[0, 0, 0] == index % 251
    assert len(walks) == 1
    for index in (0, 700, 5):  # not there any more
        assert source.read(index)[0, 0, 0] == index % 251
    assert len(walks) == 2


def test_recent_images_beyond_the_memory_lie_in_a_file_that_does_not_grow():
    rng = np.random.default_rng(0)
    shapes = [(4, 5, 3), (2, 2, 3)]
    made = [rng.integers(0, 256, shapes[i % 2], dtype=np.uint8) for i in range(200)]
    recent = Recent(kept=20, in_memory=200)
    for index, image in enumerate(made):
        recent.put(index, image)
        for back in range(20):
            if index >= back:
                np.testing.assert_array_equal(recent.get(index - back), made[index - back])
        assert recent.get(index - 20) is None
    assert len(recent) == 20 and recent._bytes <= 200
    assert recent._end <= 20 * (60 + 12)
    recent.clear()
    assert recent.get(199) is None and len(recent) == 0 and recent._bytes == 0


def test_a_dataset_is_read_by_one_thread_at_a_time_and_travels():
    inside, most = [], []

    class Watched(Items):
        def __getitem__(self, index):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.001)
            inside.pop()
            return self.items[index]

    source = torch_dataset_images(Watched(images(40)), value_range=(0, 1))
    list(batches(source, transform=lambda i: i.transpose(2, 0, 1).astype(np.float32), workers=8))
    assert max(most) == 1 and len(most) == 41
    plain = torch_dataset_images(TensorDataset(images(3)), value_range=(0, 1))
    copy = pickle.loads(pickle.dumps(plain))
    np.testing.assert_array_equal(copy.decode(2), plain.decode(2))


def with_value(value, at=5):
    x = images()
    x[at, 0, 0, 0] = value
    return x


@pytest.mark.parametrize(
    "x, value_range, error, message",
    [
        (
            with_value(1.5),
            (0, 1),
            DataError,
            r"values from \S+ to 1.5, outside the stated value_range=\(0, 1\)",
        ),
        (with_value(-1.0), (0, 1), DataError, "values from -1 to"),
        (with_value(float("nan")), (0, 1), DataError, "1 of . images hold NaN"),
        (with_value(float("inf")), (-1, 1), DataError, "1 of . images hold NaN or infinity"),
        (images(), None, UsageError, r"range stated.*value_range=\(0, 1\)"),
        (images() * 2 - 1, None, UsageError, r"range stated.*value_range=\(-1, 1\)"),
        (images(), (0, 255), DataError, r"no range of 0 to 255; state value_range=\(0, 1\)"),
        (images().long(), (0, 1), DataError, "got torch.int64"),
        (images(channels=4), (0, 1), DataError, "alpha"),
        (images(channels=2), (0, 1), DataError, r"expected images of shape .*, got \(., 2, 5, 6\)"),
        (images().permute(0, 2, 3, 1), (0, 1), DataError, r"permute\(0, 3, 1, 2\)"),
    ],
)
def test_images_that_are_not_what_was_stated_are_named(x, value_range, error, message):
    x = x.repeat(2, 1, 1, 1)[5:]  # what is wrong comes first, as everything is looked at
    with pytest.raises(error, match=f"^item 0: .*{message}"):
        torch_dataset_images(Items(x), value_range=value_range)
    with pytest.raises(error, match=f"^batch 0: .*{message}"):
        torch_loader_images(DataLoader(Items(x), batch_size=4), value_range=value_range)


def test_a_bad_item_in_the_middle_ends_the_pass_and_stays_bad():
    x = with_value(9.0)
    source = torch_dataset_images(Items(x), value_range=(0, 1))
    with pytest.raises(DataError, match=r"^item 5: values"):
        source.decode(5)
    source = torch_loader_images(DataLoader(Items(x), batch_size=2), value_range=(0, 1))
    for _ in range(2):  # a second try must not go on behind the hole
        with pytest.raises(DataError, match=r"^batch 2: values"):
            list(batches(source, transform=lambda i: i.transpose(2, 0, 1).astype(np.float32)))


def test_what_the_dataset_itself_raises_is_an_image_that_cannot_be_read():
    class Broken(Items):
        def __getitem__(self, index):
            if index == 3:
                raise OSError("disk\ngone")
            return self.items[index]

    source = torch_dataset_images(Broken(images()), value_range=(0, 1))
    with pytest.raises(UnreadableImage, match=r"^3 cannot be read: the dataset failed: OSError: disk gone$"):
        source.decode(3)
    skipped = []
    kept = list(
        batches(source, transform=lambda i: i.transpose(2, 0, 1).astype(np.float32), skip=skipped.append)
    )
    assert len(kept[0].images) == 9 and [s.name for s in skipped] == ["3"]
    loaded = torch_loader_images(DataLoader(Broken(images()), batch_size=2), value_range=(0, 1))
    with pytest.raises(DataError, match=r"^batch 1: the loader failed: OSError"):
        loaded.decode(9)


def test_other_objects_and_wrong_use():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(images())

    data = TensorDataset(images())
    with pytest.raises(UsageError, match=r"wrap it as torch_loader_images"):
        torch_dataset_images(Stream(), value_range=(0, 1))
    with pytest.raises(DataError, match="is empty"):
        torch_dataset_images(Items([]))
    with pytest.raises(DataError, match=r"item 0: expected an image tensor .*, got Image"):
        torch_dataset_images(Items([(Image.new("RGB", (3, 3)), 1)]))
    with pytest.raises(DataError, match=r'must have the key "image"; it has \'pixels\''):
        torch_dataset_images(Items([{"pixels": images(1)[0]}]))
    with pytest.raises(DataError, match=r"shape \(C, H, W\), got \(5, 6\)"):
        torch_dataset_images(Items(images()[:, 0]), value_range=(0, 1))
    with pytest.raises(UsageError, match="walked only once"):
        torch_loader_images(iter([images()]), n=10)
    with pytest.raises(UsageError, match="not int"):
        torch_loader_images(3)
    with pytest.raises(UsageError, match=r"shuffles \(RandomSampler\).*shuffle=False"):
        torch_loader_images(DataLoader(data, shuffle=True))
    with pytest.raises(UsageError, match=r"last 2 of 10 images .*n=8"):
        torch_loader_images(DataLoader(data, batch_size=4, drop_last=True), value_range=(0, 1))
    with pytest.raises(UsageError, match=r"n=\.\.\. is needed"):
        torch_loader_images(DataLoader(Stream(), batch_size=4), value_range=(0, 1))
    with pytest.raises(UsageError, match="at least 1"):
        torch_loader_images(DataLoader(data), n=0)
    with pytest.raises(UsageError, match="low below high"):
        torch_dataset_images(data, value_range=(1, 0))
    with pytest.raises(UsageError, match=r"such as \(-1, 1\)"):
        torch_dataset_images(data, value_range=1)
    short = torch_loader_images(DataLoader(Stream(), batch_size=4), n=12, value_range=(0, 1))
    for _ in range(2):
        with pytest.raises(DataError, match="ended after 10 images, and 12 were expected"):
            short.decode(11)
    assert len(torch_loader_images(DataLoader(Stream(), batch_size=4), n=6, value_range=(0, 1))) == 6
