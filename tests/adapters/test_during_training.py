"""A model is compared in the middle of its training, and the training never knows."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
import tracemalloc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import assay
from assay.adapters.during_training import ModelComparison
from assay.adapters.each_so_often import EachSoOften
from assay.adapters.untouched import bare, untouched
from assay.data import sampler
from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.make_reference import make_reference
from assay.references import save_reference

HOW = {"n": 30, "value_range": (-1, 1), "features": "pixels:4", "measures": ["fd", "kd"], "workers": 1}


@pytest.fixture
def tiny(generator_and_sample):
    return generator_and_sample[0]


@pytest.fixture
def comparing(generator_and_sample, real_images):
    return ModelComparison(generator_and_sample[1], real_images, **HOW)


def test_it_says_what_compare_says_of_the_same_images(tiny, comparing, generator_and_sample, real_images):
    found = comparing(tiny)
    tiny.eval()
    made = sampler(lambda k: generator_and_sample[1](tiny, k), n=30, value_range=(-1, 1))
    plain = assay.compare(real_images, {"model": made}, features="pixels:4", measures=["fd", "kd"])
    for key in (("model", "fd"), ("model", "kd")):
        assert found[key] == plain[key]
    assert found.settings["features"] == "pixels:4"


def test_a_model_that_stays_the_same_gets_the_same_numbers(tiny, comparing):
    first = comparing(tiny)["model", "fd"]
    torch.randn(5)
    assert comparing(tiny)["model", "fd"] == first
    with torch.no_grad():
        tiny.last.bias.add_(2.0)
    assert comparing(tiny)["model", "fd"].corrected != first.corrected


@pytest.mark.parametrize("kind", ["statistics file", "features", "extractor"])
def test_the_real_set_may_be_statistics_or_features(
    kind, tiny, comparing, real_images, tmp_path, generator_and_sample
):
    expected = comparing(tiny)["model", "fd"].value
    extractor = get_extractor("pixels:4", device="cpu")
    how = dict(HOW, measures="fd")
    if kind == "statistics file":
        real = tmp_path / "real.safetensors"
        save_reference(
            make_reference(assay.data.array_images(real_images), features=extractor, cache=False), real
        )
    elif kind == "features":
        real = assay.features.extract(assay.data.array_images(real_images), extractor, cache=False)
    else:
        real, how["features"] = real_images, extractor
    found = ModelComparison(generator_and_sample[1], real, **how)(tiny)
    assert found["model", "fd"].value == pytest.approx(expected, rel=1e-6)


def test_modes_random_numbers_buffers_and_gradients_stay(tiny, generator_and_sample, real_images):
    def drawing(model, k):
        random.random()
        np.random.rand()
        return generator_and_sample[1](model, k)

    comparing = ModelComparison(drawing, real_images, **HOW)
    tiny.train()
    tiny.norm.eval()  # frozen on purpose
    tiny(torch.randn(8, 4)).sum().backward()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    modes = {name: part.training for name, part in tiny.named_modules()}
    gradients = {name: p.grad for name, p in tiny.named_parameters()}
    state = {name: t.clone() for name, t in tiny.state_dict().items()}
    comparing(tiny)
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    assert {name: part.training for name, part in tiny.named_modules()} == modes
    assert all(p.grad is gradients[name] for name, p in tiny.named_parameters())
    assert all(torch.equal(t, state[name]) for name, t in tiny.state_dict().items())
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn


def test_modes_come_back_through_train_and_after_a_failure():
    class Merging(nn.Linear):
        merged = 0

        def train(self, mode: bool = True):
            self.merged += 0 if mode == self.training else (-1 if mode else 1)
            return super().train(mode)

    model = nn.Sequential(Merging(2, 2), nn.Linear(2, 2).eval())
    with pytest.raises(RuntimeError, match="inside"), untouched(model):
        assert not model[0].training and model[0].merged == 1
        raise RuntimeError("inside")
    assert model.training and model[0].training and not model[1].training
    assert model[0].merged == 0


def numel_alive() -> int:
    gc.collect()
    return sum(t.numel() for t in gc.get_objects() if issubclass(type(t), torch.Tensor))


def open_files() -> set[tuple[str, str]]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


def test_twenty_comparisons_leave_nothing_behind(tiny, generator_and_sample, real_images):
    made = []

    def watched(model, k):
        images = generator_and_sample[1](model, k).repeat(1, 1, 8, 8)
        made.append(weakref.ref(images))
        return images

    comparing = ModelComparison(watched, real_images, **{**HOW, "measures": "fd"})
    for _ in range(2):
        comparing(tiny)
    elements, threads, files = numel_alive(), set(threading.enumerate()), open_files()
    tracemalloc.start()
    try:
        comparing(tiny)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            comparing(tiny)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # the images of one call alone are 30 * 3 * 48 * 48 = 207,360 bytes; what little grows is bookkeeping of torch's
    assert grown < 100_000
    assert numel_alive() <= elements  # what other tests left may go meanwhile
    assert len(made) == 23 and not any(ref() is not None for ref in made)
    assert set(threading.enumerate()) <= threads
    assert open_files() <= files


def test_the_real_set_is_looked_at_once(tiny, generator_and_sample, real_images):
    looked = []
    source = assay.data.array_images(real_images)

    def read(index):
        looked.append(index)
        return source.read(index)

    comparing = ModelComparison(generator_and_sample[1], replace(source, read=read), cache=False, **HOW)
    comparing.prepare(tiny)
    once = len(looked)
    for _ in range(3):
        comparing(tiny)
    assert len(looked) == once > 0


def test_the_images_of_the_model_are_not_kept_on_disk(tiny, comparing, monkeypatch, tmp_path):
    comparing.prepare(tiny)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    comparing(tiny)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_model_in_data_parallel_is_taken_out_and_a_sharded_one_refused(tiny, comparing):
    assert bare(nn.DataParallel(tiny)) is tiny

    class FSDPModule:
        """As `torch.distributed.fsdp.fully_shard` mixes it in."""

    class FSDPTiny(FSDPModule, type(tiny)):
        pass

    tiny.__class__ = FSDPTiny
    with pytest.raises(UsageError, match="spread over processes"):
        comparing(tiny)


def test_wrong_use_says_what_to_do(tiny, generator_and_sample, real_images):
    sample = generator_and_sample[1]
    with pytest.raises(UsageError, match="n: expected how many images"):
        ModelComparison(sample, real_images)
    with pytest.raises(UsageError, match="sample: expected a function of a model, got str"):
        ModelComparison("sample", real_images, n=3)
    comparing = ModelComparison(sample, real_images, **HOW)
    for every in (0, 2.5, True):
        with pytest.raises(UsageError, match="every: expected a number of steps"):
            EachSoOften(comparing, every)
    with pytest.raises(DataError, match="batch 0"):
        ModelComparison(lambda model, k: torch.full((k, 3, 4, 4), torch.nan), real_images, **HOW)(tiny)
    with pytest.raises(DataError, match="nowhere"):
        ModelComparison(sample, "nowhere/", **HOW).prepare(tiny)


def test_every_so_many_steps_also_where_steps_are_jumped(tiny, comparing):
    turns = EachSoOften(comparing, every=4)
    turns.start(tiny, 6)
    assert [step for step in (6, 7, 7, 9, 9, 11, 13, 15, 20) if turns.at(tiny, step)] == [9, 13, 20]


def test_a_model_that_diverges_is_a_warning(tiny, comparing):
    turns = EachSoOften(comparing, every=1)
    turns.start(tiny, 0)
    with torch.no_grad():
        tiny.last.bias.fill_(torch.nan)
    with pytest.warns(UserWarning, match="no comparison at step 1: .*NaN"):
        assert turns.at(tiny, 1) is None


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, run_ranks) -> list[list[str]]:
    """What each of two processes came to: the value, the failure of a model that diverged, groups that were left."""
    folder = tmp_path_factory.mktemp("said")
    run_ranks(Path(__file__).with_name("training_rank_worker.py"), 2, str(folder))
    return [(folder / f"{rank}.txt").read_text().splitlines() for rank in (0, 1)]


def test_two_processes_say_what_one_says_and_none_waits(two_ranks):
    first, second = two_ranks
    assert first == second
    torch.manual_seed(0)
    model = nn.Linear(4, 3 * 36)

    def sample(model, k):
        return torch.tanh(model(torch.randn(k, 4))).view(k, 3, 6, 6)

    images = torch.randint(
        0, 256, (50, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    one = ModelComparison(sample, images, **{**HOW, "n": 600})(model)
    assert float(first[0]) == pytest.approx(one["model", "fd"].value, rel=1e-9)
    assert "NaN" in first[1]


def test_processes_keep_no_groups(two_ranks):
    assert [said[2] for said in two_ranks] == ["0", "0"]
