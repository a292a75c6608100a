"""A pass over a set: order, bounds, ends, and images that cannot be read."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from assay.data import ImageSource, Unreadable, UnreadableImage, UnreadableImages, batches
from assay.errors import DataError, UsageError


def numbered(count, bad=(), slow=0.0, seen=None):
    """A source whose image i has the value i, and whose `bad` images cannot be read."""
    rng = np.random.default_rng(0)
    delays = rng.uniform(0, slow, count)

    def read(index):
        time.sleep(delays[index])
        if seen is not None:
            seen.append(index)
        if index in bad:
            raise UnreadableImage(f"{index}.png", "truncated")
        return np.full((2, 2, 3), index % 256, np.uint8)

    return ImageSource(tuple(f"{i}.png" for i in range(count)), "folder x", read)


def transform(image):
    return image.transpose(2, 0, 1).astype(np.float32)


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("assay-decode")]


def test_every_image_once_in_order_however_long_each_takes():
    found = list(batches(numbered(50, slow=0.01), transform=transform, batch_size=8, workers=4, prefetch=10))
    assert [len(batch.indices) for batch in found] == [8] * 6 + [2]
    assert torch.cat([batch.indices for batch in found]).tolist() == list(range(50))
    images = torch.cat([batch.images for batch in found])
    assert images.shape == (50, 3, 2, 2) and images.dtype == torch.float32
    assert images[:, 0, 0, 0].tolist() == list(range(50))


def test_no_more_than_prefetch_is_read_ahead():
    seen = []
    stream = batches(numbered(1000, seen=seen), transform=transform, batch_size=4, workers=3, prefetch=6)
    for taken, _ in enumerate(stream, start=1):
        time.sleep(0.002)
        assert len(seen) <= 4 * taken + 6
        if taken == 20:
            break
    stream.close()
    assert not decoding_threads()
    assert len(seen) < 100


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_threads_end_when_the_user_of_the_batches_fails(error):
    stream = batches(numbered(1000, slow=0.01), transform=transform, batch_size=4, workers=3)
    with pytest.raises(error):
        for _ in stream:
            try:
                raise error
            finally:
                stream.close()
    assert not decoding_threads()


def test_unreadable_images_are_named_together_after_the_whole_pass():
    seen, used = [], []
    source = numbered(40, bad={5, 17, 39}, seen=seen)
    with pytest.raises(UnreadableImages) as caught:
        for batch in batches(source, transform=transform, batch_size=4, workers=2):
            used += batch.indices.tolist()
    assert str(caught.value) == (
        "3 of 40 images in folder x cannot be read: "
        "5.png (truncated), 17.png (truncated), 39.png (truncated); "
        "remove them or pass --skip-bad / skip_bad=True"
    )
    assert isinstance(caught.value, DataError)
    assert caught.value.images == tuple(Unreadable(f"{i}.png", "truncated") for i in (5, 17, 39))
    assert sorted(seen) == list(range(40))
    assert used == [0, 1, 2, 3]  # no work for a pass that fails


def test_a_long_list_of_unreadable_images_is_cut_in_the_message_only():
    with pytest.raises(UnreadableImages, match=r"30 of 60 .* and 20 more; remove") as caught:
        list(batches(numbered(60, bad=set(range(0, 60, 2))), transform=transform))
    assert len(caught.value.images) == 30


def test_skipped_images_leave_full_batches_and_are_told():
    skipped = []
    source = numbered(21, bad={0, 3, 20})
    found = list(batches(source, transform=transform, batch_size=6, skip=skipped.append))
    assert [len(batch.indices) for batch in found] == [6, 6, 6]
    assert torch.cat([b.indices for b in found]).tolist() == [i for i in range(21) if i not in {0, 3, 20}]
    assert [each.name for each in skipped] == ["0.png", "3.png", "20.png"]


@pytest.mark.parametrize("bad", [(), (2,), (0, 19), tuple(range(20))])
@pytest.mark.parametrize("skips", [True, False])
def test_progress_rises_to_the_total(bad, skips):
    told = []
    stream = batches(
        numbered(20, bad=bad),
        transform=transform,
        batch_size=6,
        skip=(lambda _: None) if skips else None,
        progress=lambda done, total: told.append((done, total)),
    )
    if bad and not skips:
        with pytest.raises(UnreadableImages):
            list(stream)
    else:
        list(stream)
        assert told[-1] == (20, 20)
    done = [each[0] for each in told]
    assert len(done) >= 3 and done == sorted(set(done))


def test_progress_follows_use():
    told = []
    stream = batches(
        numbered(8), transform=transform, batch_size=4, progress=lambda done, total: told.append(done)
    )
    next(stream)
    assert told == []
    next(stream)
    assert told == [4]


def test_different_sizes_name_both_images():
    def grow(image):
        return np.zeros((3, 4, 4 if image[0, 0, 0] < 7 else 5), np.float32)

    with pytest.raises(DataError, match=r"0\.png is 4 x 4, 7\.png is 4 x 5 .*pixels:32"):
        list(batches(numbered(9), transform=grow, batch_size=4))


def test_errors_of_the_transform_pass_through():
    def broken(image):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        list(batches(numbered(9), transform=broken))
    assert not decoding_threads()


@pytest.mark.parametrize("argument", ["batch_size", "workers", "prefetch"])
def test_numbers_below_one_are_refused_at_the_call(argument):
    with pytest.raises(UsageError, match=f"{argument} must be at least 1, not 0"):
        batches(numbered(3), transform=transform, **{argument: 0})
