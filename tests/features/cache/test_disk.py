"""A disk that is full or cannot be written is one clear message, and what lies there is shown and trimmed."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from assay.data import UnreadableImage, array_images, open_images
from assay.errors import DataError
from assay.features import cache as cache_file
from assay.features import spool
from assay.features.cache import kept, shown_bytes, trim

from .twenty_images import IMAGES, counting, of, same, shards

pytest.importorskip("PIL.Image")


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
