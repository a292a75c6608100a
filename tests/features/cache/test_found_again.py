"""What is kept is found again by content, and never mixed up with anything else."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.data import array_images, open_images
from assay.errors import DataError
from assay.features import content as content_file
from assay.features import extract_shards, get_extractor
from assay.features.content import digest_of, shard_key

from .twenty_images import IMAGES, counting, of, same, shards

Image = pytest.importorskip("PIL.Image")


def test_a_second_pass_computes_nothing_and_finds_everything(folder, home):
    extractor, asked = counting()
    first = of(open_images(folder), extractor)
    assert asked == [4, 4, 4, 4, 4] and len(shards(home)) == 3
    told = []
    again = of(open_images(folder), extractor, progress=lambda *n: told.append(n))
    assert asked == [4, 4, 4, 4, 4] and told[-1] == (20, 20)
    same(first, again)
    assert again.names == first.names
    same(first, of(open_images(folder), counting()[0], cache=False))
    assert not list(home.rglob("*.claim")) and not list(home.rglob(".*"))


def test_renamed_moved_and_grown_sets_are_found_again(folder, tmp_path):
    extractor, asked = counting()
    first = of(open_images(folder), extractor)
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    for path in sorted(moved.iterdir()):
        path.rename(path.with_name(f"x{path.name}"))
    del asked[:]
    again = of(open_images(moved), extractor)
    assert asked == [] and again.names[3] == "x03.png"
    same(first, again)
    for row in range(5):
        Image.new("RGB", (6, 7), (row, 0, 0)).save(moved / f"y{row}.png")
    grown = of(open_images(moved), extractor)
    assert sum(asked) == 9  # the third shard had four of its eight, and there is one more
    assert torch.equal(grown.features[:20], first.features) and grown.content != first.content


def test_changed_images_and_other_extractors_are_not_mixed_up(folder):
    extractor, asked = counting()
    first = of(open_images(folder), extractor)
    time.sleep(0.02)
    Image.new("RGB", (6, 7)).save(folder / "09.png")
    del asked[:]
    changed = of(open_images(folder), extractor)
    assert sum(asked) == 8
    assert not torch.equal(changed.features[9], first.features[9])
    assert torch.equal(changed.features[10:], first.features[10:])
    other, asked_other = counting(fingerprint="another")
    of(open_images(folder), other)
    assert sum(asked_other) == 20


def test_an_unchanged_source_is_not_read_again():
    read = []
    whole = array_images(IMAGES)

    def look(index):
        read.append(index)
        return whole.read(index)

    source = replace(whole, read=look, signature="one")
    extractor, asked = counting()
    first = of(source, extractor)
    del read[:], asked[:]
    same(first, of(source, extractor))
    assert read == [] and asked == []
    of(replace(source, signature="two"), extractor)
    assert sorted(read) == list(range(20)) and asked == []
    del read[:]
    list(extract_shards(source, extractor, shard_size=8))
    assert read == []


def test_a_signature_that_lies_is_an_error_once(home):
    extractor, _ = counting()
    source = replace(array_images(IMAGES), signature="one")
    of(source, extractor)
    shutil.rmtree(next((home / "features").glob("counting*")))
    other = replace(array_images(255 - IMAGES), signature="one")
    with pytest.raises(DataError, match="array of images changed while it was read"):
        of(other, extractor)
    same(of(other, extractor), of(other, extractor, cache=False))


def test_a_key_changes_with_whatever_changes_the_features(monkeypatch):
    keys = {
        shard_key("a", "b", "c"),
        shard_key("x", "b", "c"),
        shard_key("a", "x", "c"),
        shard_key("a", "b", "x"),
    }
    monkeypatch.setattr(content_file, "decoder", lambda: "another Pillow")
    keys.add(shard_key("a", "b", "c"))
    assert len(keys) == 5 and all(len(key) == 40 for key in keys)
    raws = [b"", b"a", IMAGES[0], IMAGES[0].reshape(6, 7, 3), IMAGES[0].tobytes()]
    assert len({digest_of(raw) for raw in raws}) == 5
    assert digest_of(np.asfortranarray(IMAGES[0])) == digest_of(IMAGES[0])


def test_images_kept_as_one_size_do_not_mix_with_another():
    plain = get_extractor("pixels", device="cpu")
    of(array_images(IMAGES), plain)
    both = [*IMAGES[:8], *(image.transpose(1, 0, 2) for image in IMAGES[8:])]
    source = replace(array_images(IMAGES), read=lambda index: both[index])
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match="0 is 7 x 6, 8 is 6 x 7"):
            of(source, plain)
