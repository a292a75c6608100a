"""What is kept is found again by content, nothing damaged is believed, and a disk that is full is one clear error."""

from __future__ import annotations

import errno
import io
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

Image = pytest.importorskip("PIL.Image")

from assay.data import ImageSource, UnreadableImage, UnreadableImages, array_images, open_images  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402
from assay.features import Outputs, extract, extract_shards, get_extractor, one_pass, reading_ahead, spool  # noqa: E402
from assay.features import cache as cache_file  # noqa: E402
from assay.features import claims as claims_file  # noqa: E402
from assay.features import content as content_file  # noqa: E402
from assay.features.cache import ShardCache, kept, shown_bytes, trim  # noqa: E402
from assay.features.claims import Claims  # noqa: E402
from assay.features.content import content_of, digest_of, shard_key  # noqa: E402
from assay.features.shard import DamagedShard, from_bytes, to_bytes  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 7, 6, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for row, image in enumerate(IMAGES):
        Image.fromarray(image).save(root / f"{row:02}.png")
    return root


def counting(name="pixels:4", fingerprint="counting"):
    """An extractor, and the list of the batches it was asked for."""
    plain, asked = get_extractor(name, device="cpu"), []

    def forward(batch):
        asked.append(len(batch))
        features = plain.forward(batch).features
        return Outputs(features, features[:, :2] * 3, {"spatial": features[:, 2:5]})

    return replace(plain, name="counting", fingerprint=fingerprint, forward=forward), asked


def of(source, extractor, **how):
    return extract(source, extractor, **{"batch_size": 4, "workers": 2, "shard_size": 8, **how})


def same(a, b):
    assert torch.equal(a.features, b.features) and torch.equal(a.logits, b.logits)
    assert torch.equal(a.extra["spatial"], b.extra["spatial"])
    assert torch.equal(a.positions, b.positions) and a.total == b.total and a.content == b.content
    assert list(a.facts) == list(b.facts) and list(a.thumbnails) == list(b.thumbnails)
    for name, column in a.facts.items():
        assert column.numpy().tobytes() == b.facts[name].numpy().tobytes()


def shards(home):
    return sorted(home.rglob("*.safetensors"))


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


def test_what_is_beside_the_features(folder):
    found = of(open_images(folder), counting()[0])
    assert found.positions.tolist() == list(range(20)) and found.total == 20
    assert found.facts["height"].tolist() == [7] * 20 and found.facts["width"].dtype == torch.int32
    assert len(found.thumbnails) == 20
    for row in (19, 0, 8, 7):
        picture = Image.open(io.BytesIO(found.thumbnails[row]))
        assert picture.format == "JPEG" and picture.size == (6, 7)
        assert np.abs(np.asarray(picture.convert("RGB"), float) - IMAGES[row]).mean() < 60
    with pytest.raises(IndexError, match="row 20 of 20"):
        found.thumbnails[20]


def test_large_images_have_small_thumbnails():
    image = np.broadcast_to(np.linspace(0, 255, 300, dtype=np.uint8)[None, :, None], (150, 300, 3))
    found = of(array_images(np.stack([image] * 2)), counting()[0], cache=False)
    picture = Image.open(io.BytesIO(found.thumbnails[1]))
    assert picture.size == (96, 48)
    assert np.diff(np.asarray(picture.convert("L"), float)[20]).mean() == pytest.approx(255 / 95, rel=0.1)


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


def test_images_kept_as_one_size_do_not_mix_with_another():
    plain = get_extractor("pixels", device="cpu")
    of(array_images(IMAGES), plain)
    both = [*IMAGES[:8], *(image.transpose(1, 0, 2) for image in IMAGES[8:])]
    source = replace(array_images(IMAGES), read=lambda index: both[index])
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match="0 is 7 x 6, 8 is 6 x 7"):
            of(source, plain)


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


def test_a_full_disk_is_one_clear_error_and_what_was_kept_stays(folder, home, monkeypatch):
    extractor, asked = counting()
    wanted = of(open_images(folder), extractor, cache=False)
    written = []

    def write(path, content):
        if path.suffix == ".safetensors":
            if len(written) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(cache_file, "write_whole", write)
    with pytest.raises(DataError) as caught:
        of(open_images(folder), extractor)
    text = str(caught.value)
    assert text.startswith(f"the disk of {home / 'features' / 'counting-counting'} is full: about ")
    for part in ("kB more are needed", "are free)", "assay cache trim", "ASSAY_HOME", "--no-cache"):
        assert part in text
    assert len(shards(home)) == 2 and not list(home.rglob("*.claim"))
    monkeypatch.undo()
    monkeypatch.setenv("ASSAY_HOME", str(home))
    del asked[:]
    same(wanted, of(open_images(folder), extractor))
    assert sum(asked) == 4


def test_a_home_that_cannot_be_written_is_a_warning(folder, home, monkeypatch):
    home.mkdir(exist_ok=True)
    (home / "features").write_text("a file where the folder should be")
    extractor, asked = counting()
    with pytest.warns(UserWarning, match=r"cannot be written \(.*\): features are not kept") as told:
        found = of(open_images(folder), extractor)
    assert len(told) == 1 and len(found) == 20 and sum(asked) == 20 and len(found.thumbnails[19]) > 100


def test_large_results_lie_in_a_nameless_file(home, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    extractor, _ = counting()
    bad = replace(array_images(IMAGES), read=lambda k: refuse(k) if k in (0, 9, 10) else IMAGES[k])
    found = of(bad, extractor, skip_bad=True, cache=False)
    monkeypatch.undo()
    same(found, of(bad, extractor, skip_bad=True, cache=False))
    assert found.features.shape == (17, 48) and list(found.thumbnails)
    maps = Path("/proc/self/maps")
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    if maps.exists():
        held = spool.rows_for(1000, (3,), torch.float32)
        assert "(deleted)" in maps.read_text() and held.shape == (1000, 3)


def refuse(index):
    raise UnreadableImage(str(index), "refused")


def test_the_cache_is_shown_and_trimmed(folder, home):
    of(open_images(folder), counting()[0])
    of(open_images(folder), counting(fingerprint="another")[0])
    assert kept() and sum(one.images for one in kept()) == 40
    found = {one.name: one for one in kept()}
    assert set(found) == {"counting-counting", "counting-another"}
    assert all(one.shards == 3 and one.size > 3000 for one in found.values())
    old = time.time() - 40 * 86400
    for path in (home / "features" / "counting-another").glob("*.safetensors"):
        os.utime(path, (old, old))
    assert kept()[0].name == "counting-counting"
    whole = sum(one.size for one in kept())
    assert trim(unused_for=30 * 86400, dry_run=True)[0] == 3 and len(shards(home)) == 6
    gone, freed = trim(to=found["counting-counting"].size + 10)
    assert gone == 3 and freed == found["counting-another"].size == whole - kept()[0].size
    assert [one.name for one in kept()] == ["counting-counting"]
    assert trim(unused_for=30 * 86400) == (0, 0)
    assert trim(to=0)[0] == 3 and kept() == [] and not list((home / "features" / "listings").iterdir())


def test_leavings_of_killed_runs_go_when_they_are_old(folder, home):
    extractor, _ = counting()
    of(open_images(folder), extractor)
    left = home / "features" / "counting-counting"
    for name in (".a.safetensors-1-ff", ".b.safetensors-1-ff"):
        (left / name).write_bytes(b"half")
    old = time.time() - 7200
    os.utime(left / ".a.safetensors-1-ff", (old, old))
    of(open_images(folder), extractor)
    assert [path.name for path in left.glob(".*")] == [".b.safetensors-1-ff"]


def test_sizes_are_shown_as_disks_are_sold():
    shown = [shown_bytes(size) for size in (0, 999, 1000, 99_499, 123_456, 5.04e6, 2e9, 3e15)]
    assert shown == ["0 B", "999 B", "1.0 kB", "99.5 kB", "123 kB", "5.0 MB", "2.0 GB", "3000 TB"]


def test_images_that_change_between_two_looks_are_an_error(monkeypatch):
    monkeypatch.setattr(reading_ahead, "HELD_BYTES", 0)
    seen = []

    def read(index):
        seen.append(index)
        return IMAGES[index] if seen.count(index) < 2 or index != 5 else 255 - IMAGES[index]

    source = ImageSource(tuple(map(str, range(20))), "sampler x", read)
    with pytest.raises(DataError, match=r"sampler x changed while it was read \(5 or"):
        of(source, counting()[0])
