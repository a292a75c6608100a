"""Several processes give what one gives, bit for bit, and fail together, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not torch.distributed.is_available(), reason="the worker forks ranks"
)

WORKER = Path(__file__).parent / "rank_worker.py"


def jobs(folder, *wanted):
    """What each rank came to, for each of (scenario, number of ranks, name of the cache folder)."""
    given = [f"{scenario},{world},{home}" for scenario, world, home in wanted]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder), *given],
        capture_output=True,
        text=True,
        env=env,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


SHARED = [
    ("whole", 1, "one"),
    ("whole", 2, "two"),
    ("again", 2, "two"),
    ("whole", 3, "three"),
    ("apart", 3, "own"),
    ("nothing kept", 4, "none"),
    ("skipping", 1, "skip"),
    ("skipping", 3, "skip in three"),
    ("few", 1, "few"),
    ("few", 4, "few in four"),
    ("moments", 3, "m"),
    ("few moments", 4, "fm"),
    ("bad", 3, "bad"),
    ("all bad", 2, "all bad"),
    ("two sizes", 2, "sizes"),
    ("failing", 3, "failing"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """All jobs that nobody dies of, started once."""
    return dict(zip(SHARED, jobs(tmp_path_factory.mktemp("ranks"), *SHARED), strict=True))


def test_any_number_of_ranks_gives_the_bits_of_one(found):
    """Features, logits, extras, facts, thumbnails, names and positions; the cache shared, not shared, or not used."""
    values = [found[job][0]["value"] for job in SHARED[:10]]
    assert len(set(values[:6])) == 1
    assert values[6] == values[7] and values[8] == values[9] and len(set(values)) == 3
    for job in SHARED[:10]:
        assert all("error" not in rank for rank in found[job])
        assert all("value" not in rank for rank in found[job][1:])  # they left before


def test_statistics_merged_over_ranks(found):
    for job, count in ((("moments", 3, "m"), 90), (("few moments", 4, "fm"), 10)):
        weight, scatter, mean = found[job][0]["value"]
        assert weight == count
        assert max(scatter, mean) < 1e-10


def test_an_error_of_one_rank_is_told_once_and_ends_all(found):
    bad, all_bad, sizes, failing = (found[job] for job in SHARED[12:])
    for ranks in (bad, all_bad, sizes, failing):
        assert [rank["told"] for rank in ranks].count(True) == 1
    # each is in another rank's share
    named = "3 of 90 images in array of images cannot be read: 3 (truncated), 9 (truncated), 17 (truncated)"
    assert all(rank["message"].startswith(named) for rank in bad)
    assert bad[0]["error"] == "UnreadableImages" and bad[0]["told"]
    assert all(rank["message"].startswith("none of the 90 images") for rank in all_bad)
    assert all(rank["message"].startswith("images of different sizes") for rank in sizes)
    assert [rank["told"] for rank in failing] == [False, True, False]
    assert failing[1]["error"] == "ZeroDivisionError" and failing[0]["error"] == "DataError"
    assert failing[0]["message"] == failing[2]["message"] == "rank 1: ZeroDivisionError: in the network"


def test_where_a_rank_dies_the_others_end_and_the_rerun_goes_on(tmp_path):
    whole, dying, again, first_dying, first_again = jobs(
        tmp_path,
        ("whole", 1, "one"),
        ("dying", 3, "a"),
        ("whole", 3, "a"),
        ("first dying", 3, "b"),
        ("whole", 2, "b"),
    )
    assert dying[1] is None and first_dying[0] is None
    for ranks, dead in ((dying, 1), (first_dying, 0)):
        for rank in filter(None, ranks):
            assert rank["error"] == "DataError"
            assert rank["message"].startswith(f"rank {dead} of 3 has stopped without a word")
    assert [rank["told"] for rank in (dying[0], dying[2])].count(True) == 1
    assert again[0]["value"] == first_again[0]["value"] == whole[0]["value"]


def test_the_command_says_everything_once(tmp_path):
    pytest.importorskip("typer")
    one, two, bad = jobs(tmp_path, ("command", 1, "one"), ("command", 2, "two"), ("command bad", 3, "bad"))
    assert one[0]["status"] == 0 and one[0]["said"] and one[0]["errors"] == ""
    assert two[0]["said"] == one[0]["said"]
    assert two[1]["said"] == "" and [rank["status"] for rank in two] == [0, 0]
    assert [rank["status"] for rank in bad] == [1, 1, 1]
    assert bad[0]["errors"].startswith(
        "error: 1 of 60 images in folder made cannot be read: 01.png (empty file)"
    )
    assert all(rank["errors"] == "" for rank in bad[1:]) and all(rank["said"] == "" for rank in bad)


def test_torchrun_starts_it(tmp_path):
    (tmp_path / "job.py").write_text(
        "import numpy, assay\n"
        "from assay.data import array_images\n"
        "from assay.features import extract, get_extractor\n"
        "from assay.scale.ranks import current_ranks, joined, left_to_first\n"
        "images = numpy.arange(30 * 48, dtype=numpy.uint32).reshape(30, 4, 4, 3).astype(numpy.uint8)\n"
        "with joined():\n"
        "    world = current_ranks().world\n"
        "    found = extract(array_images(images), get_extractor('pixels', device='cpu'), shard_size=7)\n"
        "    left_to_first()\n"
        "    print(world, len(found), (found.features * 255 == numpy.moveaxis(images, 3, 1).reshape(30, -1)).all())\n"
    )
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ASSAY_HOME": str(tmp_path / "home"),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "job.py"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 30 tensor(True)\n"
