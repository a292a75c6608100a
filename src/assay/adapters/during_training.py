"""How good are the images of a model, in the middle of its training?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..compare import compare
from ..comparing.compared_reference import as_reference
from ..comparing.opened_sets import open_set
from ..comparing.set_up import SetUp
from ..comparison import Comparison
from ..data import ImageSource
from ..data.quantise import ValueRange
from ..data.sampler import sampler
from ..errors import UsageError
from ..features import Extractor, Features, extract, get_extractor
from ..features.thumbnails import Thumbnails
from ..joint import Joint
from ..scale.ranks import joined, left_to_first
from ..set_measure import Measure
from .untouched import bare, untouched

Sample = Callable[..., Tensor]


class ModelComparison:
    """A model's images against a fixed real set, as often as asked, leaving the training as it was.

    ::

        def sample(model, k):
            return model(torch.randn(k, 128, device=model.device))

        comparing = ModelComparison(sample, "real/", n=10_000, value_range=(-1, 1), measures=["fd", "kd"])
        found = comparing(model)              # a Comparison, in any training loop
        found["model", "fd"].corrected

    The real set becomes features once, at the first call or at `prepare`; these, and the extractor, are all that stays
    in memory between calls. A call makes the images in evaluation mode and without gradients, then puts every part of
    the model back into its mode and all random numbers where they were: training goes on bit for bit as without it.
    Every call makes images of the same random numbers, so that steps differ by the model alone.

    **Several processes** (`torch.distributed`): all must call, with the model in the same state. Each makes its share
    of the images, rank 0 measures, and every rank gets the same `Comparison`; what fails on one is raised on all. A
    model in `DistributedDataParallel` is taken out of it. One whose weights are spread over processes is refused.
    """

    def __init__(
        self,
        sample: Sample,
        real: Any,
        *,
        n: int | None = None,
        value_range: ValueRange | None = None,
        conditions: Any = None,
        features: str | Extractor | None = None,
        protocol: str | None = None,
        measures: str | Measure | Joint | Sequence[str | Measure | Joint] | None = None,
        level: float = 0.95,
        seed: int = 0,
        batch_size: int = 64,
        workers: int | None = None,
        cache: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        """What to compare with, and how; nothing is read or made yet.

        Args:
            sample: called as `sample(model, k)` for k images (k, C, H, W), with conditions as `sample(model, batch)`;
                see `assay.data.sampler.sampler`, also for `generator=`.
            real: what `assay.compare` takes as real: images, a file of statistics (`assay.references`), or features
                that say which extractor made them.
            n: how many images a call makes; by default one a condition.
            value_range, conditions: as in `assay.data.sampler.sampler`.
            features: an extractor, or its name as in `assay.compare`.
            protocol, measures, level: as in `assay.compare`.
            seed: of the images, and of the splits.
            batch_size: images a call of `sample` and of the extractor.
            workers: threads.
            cache: keep the real set's features for the next run; those of the model's images are never kept.
            device: of the extractor and the measures; by default the model's.

        Raises:
            UsageError: neither n nor conditions; an unknown protocol, or an extractor beside one, which fixes its own.
        """
        if not callable(sample):
            raise UsageError(f"sample: expected a function of a model, got {type(sample).__name__}")
        if n is None and conditions is None:
            raise UsageError(
                "n: expected how many images to make each time, such as 10000; there are no conditions"
            )
        self._sample, self._real = sample, real
        self._made = {"n": n, "value_range": value_range, "conditions": conditions}
        self._extractor: Extractor | None = features if isinstance(features, Extractor) else None
        name = features.name if isinstance(features, Extractor) else features
        self._set_up = SetUp.of(name, protocol, crop=None, size=None, resize=None, weights=None)
        self._protocol, self._measures, self._level, self._seed = protocol, measures, level, seed
        self._batch_size, self._workers = batch_size, workers
        self._cache, self._device = cache, device
        self._reference: Any = None
        self._group: Any = None

    def prepare(self, model: nn.Module) -> None:
        """Load the extractor and turn the real set into features, so that what is wrong with them is said at the start.

        Raises:
            UsageError, DataError, MissingExtra: as `assay.compare`; a model that is spread over processes.
        """
        bare(model)
        if self._reference is None:
            with untouched(model), joined():
                self._prepare(self._where(model))

    def __call__(self, model: nn.Module, name: str = "model") -> Comparison:
        """Compare the model as it is now.

        Args:
            model: handed to `sample`; wrapped for several processes or not.
            name: the candidate's name.

        Raises:
            UsageError, DataError, MissingExtra: as `assay.compare`, and as `assay.data.sampler.sampler` where the
                images cannot be made.
        """
        model = bare(model)
        where = self._where(model)
        found: Comparison | None = None
        with untouched(model), joined():
            extractor = self._prepare(where)
            source = sampler(
                partial(self._sample, model),
                batch_size=self._batch_size,
                seed=self._seed,
                device=where,
                description=name,
                **self._made,
            )
            made = self._features(source, extractor, cache=False)
            left_to_first()
            found = compare(
                self._reference,
                {name: made},
                protocol=self._protocol,
                measures=self._measures,
                level=self._level,
                seed=self._seed,
                device=where,
            )
        return self._from_first(found)

    def _prepare(self, where: torch.device) -> Extractor:
        """The extractor; and the real set as `compare` takes it without another look at the images."""
        if self._extractor is None:
            self._extractor = get_extractor(self._set_up.features, device=where, **self._set_up.settings)
        if self._reference is None:
            self._reference = self._kept(self._extractor)
        return self._extractor

    def _kept(self, extractor: Extractor) -> Any:
        """The real set without its images: statistics as they are, else features."""
        reference = as_reference(self._real)
        if reference is not None:
            return reference
        opened = open_set(self._real, "real", "real")
        if opened.source is None:
            return self._real
        found = self._features(opened.source, extractor, cache=self._cache)
        return replace(found, thumbnails=Thumbnails(()))  # nobody looks at them here

    def _features(self, source: ImageSource, extractor: Extractor, *, cache: bool) -> Features:
        return extract(source, extractor, batch_size=self._batch_size, workers=self._workers, cache=cache)

    def _where(self, model: nn.Module) -> torch.device:
        if self._device is not None:
            return torch.device(self._device)
        first = next(model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    def _from_first(self, found: Comparison | None) -> Comparison:
        """Rank 0's comparison on every rank."""
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            if self._group is None:  # of its own, as the training's may be unable to carry objects
                self._group = dist.new_group(backend="gloo")
            shared = [found]
            dist.broadcast_object_list(shared, src=0, group=self._group)
            found = shared[0]
        assert found is not None
        return found
