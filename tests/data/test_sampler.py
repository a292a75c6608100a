"""Generators as sets: the same images whoever asks, in whatever order, and one clear error where something is off."""

from __future__ import annotations

import functools
import itertools
import pickle
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from assay.data import batches
from assay.data.recent import KEPT
from assay.data.sampler import sampler
from assay.errors import DataError, UsageError


def noise(k):
    return torch.rand(k, 3, 4, 5)


def whole(source):
    return np.stack([source.decode(i) for i in range(len(source))])


def transform(image):
    return image.transpose(2, 0, 1).astype(np.float32)


def test_the_same_images_in_any_order_alone_and_again():
    source = sampler(noise, n=50, batch_size=8, value_range=(0, 1), seed=3)
    first = whole(source)
    assert len(np.unique(first.reshape(50, -1), axis=0)) == 50
    order = np.random.default_rng(0).permutation(50)
    again = sampler(noise, n=50, batch_size=8, value_range=(0, 1), seed=3)
    for index in order:
        np.testing.assert_array_equal(again.decode(int(index)), first[index])
    np.testing.assert_array_equal(whole(source), first)
    other = sampler(noise, n=50, batch_size=8, value_range=(0, 1), seed=4)
    assert (whole(other) != first).mean() > 0.9
    travelled = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(travelled.decode(49), first[49])


def test_the_callers_random_numbers_are_as_if_nothing_had_happened():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    source = sampler(noise, n=4, value_range=(0, 1))
    whole(source)
    assert torch.equal(torch.rand(3), expected)


def test_a_callable_that_takes_a_generator_gets_one_and_needs_no_global_numbers():
    def own(k, *, generator):
        return torch.rand(k, 1, 3, 3, generator=generator)

    source = sampler(own, n=20, batch_size=8, value_range=(0, 1))
    first = whole(source)
    np.testing.assert_array_equal(whole(source), first)
    assert len(np.unique(first.reshape(20, -1), axis=0)) == 20

    class Net(nn.Module):
        def forward(self, k, generator=None):
            return torch.rand(k, 3, 3, 3, generator=generator)

    np.testing.assert_array_equal(
        whole(sampler(Net().eval(), n=5, value_range=(0, 1))),
        whole(sampler(Net().eval(), n=5, value_range=(0, 1))),
    )


def test_a_pass_by_threads_makes_each_batch_once_and_holds_little():
    made, inside, most = [], [], []

    def counted(k):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        made.append(k)
        inside.pop()
        return noise(k)

    source = sampler(counted, n=500, batch_size=16, value_range=(0, 1))
    seen = torch.cat([batch.images for batch in batches(source, transform=transform, workers=8)])
    assert sorted(made) == [4] + [16] * 31 and max(most) == 1
    np.testing.assert_array_equal(seen.numpy(), whole(source).transpose(0, 3, 1, 2))
    long = sampler(lambda k: torch.zeros(k, 1, 1, 1), n=3 * KEPT, batch_size=16, value_range=(0, 1))
    for start in range(0, len(long), 16):
        long.read(start)
    assert len(long.read._recent) == KEPT + 16


def test_conditions_go_in_slices_of_what_they_are_and_become_labels():
    asked = []

    def conditional(batch):
        asked.append(batch)
        return torch.stack([torch.full((3, 2, 2), int(c) / 255) for c in batch])

    for given, kind in (
        (list(range(10)), list),
        (tuple(range(10)), tuple),
        (torch.arange(10), torch.Tensor),
        (np.arange(10), np.ndarray),
        (range(10), range),
        ([str(i) for i in range(10)], list),
    ):
        asked.clear()
        source = sampler(conditional, conditions=given, batch_size=4, value_range=(0, 1))
        assert len(source) == 10 and list(source.labels) == [str(i) for i in range(10)]
        assert whole(source)[:, 0, 0, 0].tolist() == list(range(10))
        assert [len(batch) for batch in asked] == [4, 4, 2]
        assert all(isinstance(batch, kind) for batch in asked)
    latent = torch.randn(6, 3, 2, 2)
    source = sampler(nn.Sigmoid().eval(), conditions=latent, value_range=(0, 1))
    assert source.labels is None
    np.testing.assert_array_equal(
        whole(source)[4, 0, 0], (latent[4, :, 0, 0].sigmoid() * 255).round().numpy()
    )


def test_a_module_in_training_mode_is_refused_with_the_way_out():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, k):
            assert not torch.is_grad_enabled()
            return self.norm(torch.rand(k, 3, 4, 4))

        def sample(self, k):
            return self(k)

    net = Net()
    for fn in (net, net.sample):
        with pytest.raises(UsageError, match=r"^Net is in training mode.*\.eval\(\)"):
            sampler(fn, n=4)
    net.eval()
    source = sampler(net, n=4, value_range=(-0.1, 1.1))
    source.decode(0)
    net.norm.train()
    with pytest.raises(UsageError, match=r"Net\.norm is in training mode"):
        sampler(net, n=4)
    sampler(lambda k: net(k), n=4)  # meant
    net.eval()
    source = sampler(net, n=4, value_range=(-0.1, 1.1))
    net.train()  # a training loop went on
    with pytest.raises(UsageError, match="training mode"):
        source.decode(0)


def fails(k):
    raise RuntimeError("no\nluck")


@pytest.mark.parametrize(
    "fn, error, message",
    [
        (lambda k: noise(k) * 2, DataError, r"outside the stated value_range=\(0, 1\)"),
        (lambda k: noise(k) - 1, DataError, "outside"),
        (lambda k: noise(k).log() * float("nan"), DataError, "4 of 4 images hold NaN"),
        (lambda k: noise(k)[0], DataError, r"\(B, 3, H, W\).*, got \(3, 4, 5\)"),
        (lambda k: noise(k)[:, :2], DataError, r"got \(4, 2, 4, 5\)"),
        (lambda k: noise(k + 1), DataError, "asked for 4 images, got 5"),
        (lambda k: noise(k)[:0], DataError, "asked for 4 images, got 0"),
        (lambda k: noise(k).long(), DataError, "got torch.int64"),
        (lambda k: noise(k) > 0.5, DataError, "got torch.bool"),
        (lambda k: None, DataError, "got NoneType"),
        (lambda k: [noise(k)], DataError, "got list"),
        (fails, DataError, "failed: RuntimeError: no luck$"),
    ],
)
def test_what_comes_back_wrong_is_said_with_the_batch(fn, error, message):
    calls = []

    def second(k):
        calls.append(k)
        return noise(k) if len(calls) == 1 else fn(k)

    source = sampler(second, n=40, batch_size=4, value_range=(0, 1))
    with pytest.raises(error, match=rf"^generator, batch 1 \(images 4 to 7\).*{message}"):
        list(batches(source, transform=transform, workers=1))


def test_floats_without_a_range_and_levels_without_one():
    with pytest.raises(UsageError, match=r"range stated.*value_range=\(-1, 1\)"):
        sampler(lambda k: noise(k) * 2 - 1, n=4).decode(0)
    assert (
        sampler(lambda k: torch.full((k, 1, 2, 2), 7, dtype=torch.uint8), n=4).decode(3).tolist()
        == [[[7] * 3] * 2] * 2
    )


class Queued:
    """A lock that says when so many threads have come to it."""

    def __init__(self, enough):
        self._lock, self._enough, self._came = threading.Lock(), enough, itertools.count(1)
        self.all_here = threading.Event()

    def __enter__(self):
        if next(self._came) == self._enough:
            self.all_here.set()
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def test_threads_that_wait_for_a_batch_that_fails_do_not_make_it_one_after_the_other():
    calls = []

    def slow(k):
        calls.append(k)
        assert source.read._making.all_here.wait(600)
        raise RuntimeError("out of luck")

    source = sampler(slow, n=64, value_range=(0, 1))
    source.read._making = Queued(6)
    errors = []

    def read(index):
        try:
            source.read(index)
        except DataError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=read, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 6 and len(set(errors)) == 1 and len(calls) == 1
    read(0)  # later it is tried anew
    assert len(calls) == 2


def test_out_of_memory_is_not_dressed_up():
    def hungry(k):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        sampler(hungry, n=4).decode(0)


def test_wrong_use():
    for n in (0, -3):
        with pytest.raises(UsageError, match=f"n must be at least 1, not {n}"):
            sampler(noise, n=n)
    with pytest.raises(UsageError, match="10 for n=50 images"):
        sampler(noise, n=50, conditions=list(range(10)))
    with pytest.raises(UsageError, match="n must be at least 1"):
        sampler(noise, conditions=[])
    with pytest.raises(UsageError, match="not str"):
        sampler(noise, conditions="a dog")
    with pytest.raises(UsageError, match="not generator"):
        sampler(noise, conditions=(i for i in range(3)))
    with pytest.raises(UsageError, match="function or module"):
        sampler(noise(3))
    with pytest.raises(UsageError, match="batch_size"):
        sampler(noise, batch_size=0)
    with pytest.raises(UsageError, match="seed"):
        sampler(noise, seed=-1)
    with pytest.raises(UsageError, match="device"):
        sampler(noise, device="gpu")
    assert len(sampler(noise)) == 50_000
    assert "noise" in sampler(noise).description
    assert "partial" in sampler(functools.partial(noise)).description


def test_compare_measures_a_generator_without_a_file():
    import assay

    real = sampler(lambda k: torch.rand(k, 3, 4, 4), n=60, value_range=(0, 1), seed=1)
    good = sampler(lambda k: torch.rand(k, 3, 4, 4), n=60, value_range=(0, 1), seed=2)
    bad = sampler(lambda k: torch.rand(k, 3, 4, 4) / 2, n=60, value_range=(0, 1), seed=2)
    found = assay.compare(real, {"good": good, "bad": bad}, features="pixels", measures="kd")
    assert found["good", "kd"].value < found["bad", "kd"].value / 5
