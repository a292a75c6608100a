"""Shards come one by one in the source's order, also where another run is at some of them."""

from __future__ import annotations

import os

import pytest
import torch

from assay.data import UnreadableImages, array_images, open_images
from assay.errors import UsageError
from assay.features import claims as claims_file
from assay.features import extract_shards, one_pass
from assay.features.cache import ShardCache
from assay.features.claims import Claims
from assay.features.content import content_of, digest_of, shard_key

from .twenty_images import IMAGES, counting, of

pytest.importorskip("PIL.Image")


def test_shards_one_by_one_are_the_whole(folder):
    extractor, _ = counting()
    (folder / "09.png").write_bytes(b"")
    whole = of(open_images(folder), extractor, skip_bad=True)
    parts = list(extract_shards(open_images(folder), extractor, skip_bad=True, shard_size=8, batch_size=4))
    assert [len(part) for part in parts] == [8, 7, 4]
    assert torch.equal(torch.cat([part.features for part in parts]), whole.features)
    assert torch.cat([part.positions for part in parts]).tolist() == whole.positions.tolist()
    assert [picture for part in parts for picture in part.thumbnails] == list(whole.thumbnails)
    with pytest.raises(UnreadableImages):
        list(extract_shards(open_images(folder), extractor, shard_size=8))
    for argument in ("batch_size", "workers", "shard_size"):
        with pytest.raises(UsageError, match=f"{argument} must be at least 1, not 0"):
            next(extract_shards(open_images(folder), extractor, **{argument: 0}))


def test_a_shard_another_run_is_at_is_waited_for_in_its_turn(home):
    """Claimed elsewhere at first, then given up: the others come first, and the order is the source's all the same."""
    extractor, asked = counting()
    source = array_images(IMAGES)
    wanted = of(source, extractor, cache=False)
    del asked[:]
    store = ShardCache(extractor.name, extractor.fingerprint)
    first = content_of(digest_of(image) for image in IMAGES[:8])
    key = shard_key(first, extractor.fingerprint, one_pass.FACTS_VERSION)
    other = store.claim(key)
    assert isinstance(other, claims_file.Claim) and store.claim(key) is False
    stream = extract_shards(
        source, extractor, shard_size=8, batch_size=4, workers=1, progress=lambda *n: free(n, other)
    )
    parts = list(stream)
    assert asked[:3] == [4, 4, 4]
    assert torch.equal(torch.cat([part.features for part in parts]), wanted.features)
    assert [int(part.positions[0]) for part in parts] == [0, 8, 16]


def free(told, claim):
    if told[0] >= 12:
        claim.release()


def test_claims_of_the_dead_are_taken_over(tmp_path, monkeypatch):
    mine, theirs = Claims(tmp_path), Claims(tmp_path)
    held = mine.take("k")
    assert held is not None and theirs.take("k") is None and mine.take("k") is None
    held.release()
    again = theirs.take("k")
    assert again is not None
    held.release()  # no longer its own
    assert mine.take("k") is None
    again.path.unlink()
    os.symlink(f"{claims_file.socket.gethostname()}:{2**22 + 1}:x", tmp_path / "k.claim")  # no such process
    assert mine.take("k") is not None
    os.symlink("another-host:1:x", tmp_path / "far.claim")
    now = [1000.0]
    monkeypatch.setattr(claims_file.time, "monotonic", lambda: now[0])
    assert mine.take("far") is None
    now[0] += 100
    assert mine.take("far") is None
    os.utime(tmp_path / "far.claim", follow_symlinks=False)  # it lives
    now[0] += 100
    assert mine.take("far") is None
    now[0] += 121
    assert mine.take("far") is not None
