"""Images from whatever makes them: any function or module that returns a batch of images."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.data.quantise import ValueRange, checked_range, quantised
from assay.data.recent import Recent
from assay.data.source import ImageSource
from assay.data.torch_items import label_texts
from assay.errors import DataError, UsageError

USUAL = 50_000  # the number of samples that published Fréchet distances are of

# PyTorch's global generators belong to the process: two sets must not be made from them at once.
_GLOBAL_GENERATORS = threading.Lock()


def sampler(
    fn: Callable[..., Tensor],
    n: int | None = None,
    *,
    batch_size: int = 64,
    conditions: Sequence[Any] | Tensor | NDArray[Any] | None = None,
    value_range: ValueRange | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    description: str | None = None,
) -> ImageSource:
    """The images that a generator makes, as a set: nothing is written to a file.

    ::

        assay.compare("real/", sampler(lambda k: net(torch.randn(k, 100)), n=10_000, value_range=(-1, 1)))

    Args:
        fn: a function or an `nn.Module`; both are called alike, without gradients: `fn(k)` returns k images
            (k, C, H, W), or with conditions `fn(batch)` one for each. A module must be in evaluation mode.
        n: how many images; by default as many as there are conditions, 50,000 without.
        batch_size: images a call; the last call makes the rest.
        conditions: n labels, prompts or rows of a tensor, one an image. A call gets a slice of what was given: a
            list of a list, a tensor of a tensor. Whole numbers and texts become the source's labels.
        value_range: of floating-point images, (-1, 1), (0, 1), (0, 255) or another; uint8 ones need none. Pixels are
            rounded to 8 bits as a saved PNG would hold them.
        seed: of the random numbers.
        device: where conditions that are a tensor go and random numbers are drawn; by default that of a module's
            parameters, else of the conditions, else the CPU and the current CUDA device if there is one.
        description: what the set is, for reports.

    Every batch is made under random numbers of its own, from (seed, batch): in any order, alone, and on any process it
    comes out the same, as long as `batch_size` is. For this `fn` must draw from PyTorch's global generator, or take
    `generator=`, which is then passed; NumPy's and Python's own random numbers are not touched. The caller's global
    generators are put back afterwards, so nothing else may draw from them meanwhile in another thread.

    One thread makes a batch while others work on those before it. About a thousand images are kept, in memory up to
    256 MiB, the rest in a temporary file; one from before them is made again.

    Raises:
        UsageError: n, batch_size, conditions or seed that cannot be; a module in training mode; no range for floats.
        DataError: what came back is not images, not as many as asked, NaN or outside the range; or `fn` failed. Each
            names the batch.
    """
    if not callable(fn):
        raise UsageError(f"fn must be a function or module that returns images, not {type(fn).__name__}")
    count = _how_many(n, conditions)
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed must be a whole number from 0 to 2^63 - 1, not {seed}")
    _refuse_training(fn)
    reader = SamplerReader(
        fn, count, batch_size, conditions, checked_range(value_range), seed, _device(fn, conditions, device)
    )
    labels = None if conditions is None else label_texts(_listed(conditions), count)
    name = description or f"sampler {getattr(fn, '__name__', type(fn).__name__)}"
    return ImageSource(tuple(map(str, range(count))), name, reader, labels)


@dataclass
class SamplerReader:
    """index -> image, made by the batch."""

    fn: Callable[..., Tensor]
    n: int
    batch_size: int
    conditions: Sequence[Any] | Tensor | NDArray[Any] | None
    value_range: ValueRange | None
    seed: int
    device: torch.device | None
    _recent: Recent = field(default_factory=Recent, repr=False)
    _failed: dict[int, tuple[int, type[ValueError], str]] = field(default_factory=dict, repr=False)
    _failures: int = 0
    _state: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _making: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._recent.kept += self.batch_size

    def __call__(self, index: int) -> NDArray[np.uint8]:
        came_at = self._failures
        image = self._kept(index)
        if image is not None:
            return image
        number, row = divmod(index, self.batch_size)
        with self._making:
            image = self._kept(index)  # perhaps made while this thread waited
            if image is not None:
                return image
            self._fail_again(number, came_at)
            try:
                images = self.batch(number)
            except (DataError, UsageError) as error:
                self._failures += 1
                self._failed[number] = (self._failures, type(error), str(error))
                raise
            with self._state:
                for at, made in enumerate(images, start=number * self.batch_size):
                    self._recent.put(at, made.copy())  # a view would keep the whole batch alive
            asked: NDArray[np.uint8] = images[row]
            return asked

    def batch(self, number: int) -> NDArray[np.uint8]:
        """Make batch `number` anew: uint8 (k, H, W, 3), the same at every call."""
        start = number * self.batch_size
        stop = min(start + self.batch_size, self.n)
        what = f"generator, batch {number} (images {start} to {stop - 1})"
        _refuse_training(self.fn)
        asked: Any = stop - start
        if self.conditions is not None:
            asked = self.conditions[start:stop]
            if isinstance(asked, Tensor) and self.device is not None:
                asked = asked.to(self.device)
        with _random_numbers(self.seed, number, self.device) as own, torch.no_grad():
            keywords = {"generator": own()} if _takes_generator(self.fn) else {}
            try:
                images = self.fn(asked, **keywords)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except (Exception, SystemExit) as error:
                text = " ".join(str(error).split())
                raise DataError(f"{what} failed: {type(error).__name__}: {text}") from error
        pixels = quantised(images, self.value_range, what)
        if len(pixels) != stop - start:
            raise DataError(f"{what}: asked for {stop - start} images, got {len(pixels)}")
        return pixels

    def _kept(self, index: int) -> NDArray[np.uint8] | None:
        with self._state:
            return self._recent.get(index)

    def _fail_again(self, number: int, came_at: int) -> None:
        """Threads that waited for a batch that failed do not try it one after the other."""
        at, kind, message = self._failed.get(number, (0, DataError, ""))
        if at > came_at:
            raise kind(message)

    def __getstate__(self) -> dict[str, Any]:
        own = ("_recent", "_failed", "_failures", "_state", "_making")
        return {key: value for key, value in self.__dict__.items() if key not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _how_many(n: int | None, conditions: Any) -> int:
    if isinstance(conditions, str) or (conditions is not None and not hasattr(conditions, "__getitem__")):
        raise UsageError(
            f"conditions must be a list, tensor or array with one entry an image, not {type(conditions).__name__}"
        )
    if n is None:
        n = USUAL if conditions is None else len(conditions)
    if n < 1:
        raise UsageError(f"n must be at least 1, not {n}")
    if conditions is not None and len(conditions) != n:
        raise UsageError(
            f"conditions: {len(conditions):,} for n={n:,} images; give one an image, repeated where several images "
            "share one"
        )
    return n


def _listed(conditions: Any) -> Any:
    return list(conditions) if not isinstance(conditions, (Tensor, np.ndarray)) else conditions


def _refuse_training(fn: Callable[..., Any]) -> None:
    owner = fn if isinstance(fn, nn.Module) else getattr(fn, "__self__", None)
    if not isinstance(owner, nn.Module):
        return
    name = next((name for name, part in owner.named_modules() if part.training), None)
    if name is not None:
        which = f"{type(owner).__name__}.{name}" if name else type(owner).__name__
        raise UsageError(
            f"{which} is in training mode, where an image may depend on its neighbours in the batch: "
            "call .eval() first, or wrap it in a function if that is meant"
        )


def _takes_generator(fn: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(fn.forward if isinstance(fn, nn.Module) else fn).parameters
    except (TypeError, ValueError):
        return False
    parameter = parameters.get("generator")
    return parameter is not None and parameter.kind in (
        parameter.KEYWORD_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    )


def _device(fn: Any, conditions: Any, device: torch.device | str | None) -> torch.device | None:
    if device is not None:
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise UsageError(f"device {device!r} is not one PyTorch knows: {error}") from None
    owner = fn if isinstance(fn, nn.Module) else getattr(fn, "__self__", None)
    if isinstance(owner, nn.Module):
        first = next(owner.parameters(), None)
        if first is not None:
            return first.device
    return conditions.device if isinstance(conditions, Tensor) else None


@contextlib.contextmanager
def _random_numbers(
    seed: int, batch: int, device: torch.device | None
) -> Iterator[Callable[[], torch.Generator]]:
    """The global generators of the CPU and of `device`, seeded for one batch and put back afterwards.

    Gives a function that makes a generator of its own on the device with the same seed.
    """
    mixed = int.from_bytes(hashlib.blake2b(f"{seed}:{batch}".encode(), digest_size=8).digest(), "little") >> 1
    cuda: list[int] = []
    if torch.cuda.is_available() and (device is None or device.type == "cuda"):
        cuda = [torch.cuda.current_device() if device is None or device.index is None else device.index]
    with _GLOBAL_GENERATORS, torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed, which would seed every device, also those that are not put back.
        torch.default_generator.manual_seed(mixed)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(mixed)
        metal = torch.mps.get_rng_state() if device is not None and device.type == "mps" else None
        if metal is not None:
            torch.mps.manual_seed(mixed)
        try:
            yield lambda: torch.Generator(device or "cpu").manual_seed(mixed)
        finally:
            if metal is not None:
                torch.mps.set_rng_state(metal)
