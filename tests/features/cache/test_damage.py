"""Nothing damaged is believed, and what cannot be read is remembered only where it stays so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.data import ImageSource, UnreadableImage, UnreadableImages, array_images, open_images
from assay.errors import DataError
from assay.features import reading_ahead
from assay.features.shard import DamagedShard, from_bytes, to_bytes

from .twenty_images import IMAGES, counting, of, same, shards

pytest.importorskip("PIL.Image")


def damaged(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = bytearray()
    elif how == "bit":
        content[-5] ^= 4
    elif how == "header":
        at = content.index(b'\\"total\\": ') + 13
        content[at : at + 1] = b"9"
    else:
        content = bytearray(b"\xff" * 40)
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "empty", "bit", "header", "nonsense", "missing"])
def test_damaged_shards_are_made_again(folder, home, how):
    extractor, asked = counting()
    first = of(open_images(folder), extractor)
    for path in shards(home):
        if how == "missing":
            path.unlink()
        else:
            damaged(path, how)
    del asked[:]
    same(first, of(open_images(folder), extractor))
    assert sum(asked) == 20


def test_bytes_of_a_shard_are_the_shard_or_nothing(folder, home):
    of(open_images(folder), counting()[0])
    content = shards(home)[0].read_bytes()
    once, twice = from_bytes(content), from_bytes(to_bytes(from_bytes(content)))
    assert once.content == twice.content and list(once.thumbnails) == list(twice.thumbnails)
    assert set(once.columns) == set(twice.columns) and len(once) in (4, 8)
    assert torch.equal(once.columns["features"], twice.columns["features"])
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(content), 200):
        wrong = bytearray(content)
        wrong[at] ^= 1 << rng.integers(8)
        with pytest.raises(DamagedShard):
            from_bytes(bytes(wrong))


def test_what_cannot_be_read_is_remembered_and_what_was_unreachable_is_not(folder, home):
    extractor, asked = counting()
    (folder / "09.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(UnreadableImages, match="1 of 20 images"):
            of(open_images(folder), extractor)
    assert sum(asked) == 8  # the first shard, once
    found = of(open_images(folder), extractor, skip_bad=True)
    del asked[:]
    same(found, of(open_images(folder), extractor, skip_bad=True))
    assert asked == [] and [bad.name for bad in found.skipped] == ["09.png"]
    assert found.positions.tolist() == [k for k in range(20) if k != 9]
    with pytest.raises(UnreadableImages, match=r"09\.png \(empty file\)"):
        of(open_images(folder), extractor)

    away = [True]
    whole = array_images(IMAGES)

    def read(index):
        if index == 3 and away[0]:
            raise UnreadableImage("3", "the server does not answer")
        return whole.read(index)

    source = replace(whole, read=read, signature="s")
    assert len(of(source, extractor, skip_bad=True)) == 19
    away[0] = False
    assert len(of(source, extractor, skip_bad=True)) == 20


def test_images_that_change_between_two_looks_are_an_error(monkeypatch):
    monkeypatch.setattr(reading_ahead, "HELD_BYTES", 0)
    seen = []

    def read(index):
        seen.append(index)
        return IMAGES[index] if seen.count(index) < 2 or index != 5 else 255 - IMAGES[index]

    source = ImageSource(tuple(map(str, range(20))), "sampler x", read)
    with pytest.raises(DataError, match=r"sampler x changed while it was read \(5 or"):
        of(source, counting()[0])
