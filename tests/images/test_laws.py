"""Every measure of the image room keeps the laws of its kind: those of all, and those it declares."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay.images
from assay.errors import UsageError
from assay.pair_laws import draw_pair_inputs, laws_of_pairs
from assay.pairs import PairMeasure

# a measure that needs a network, a model or prompts has its laws tried in its own tests, bound to small ones
BOUND = {
    "brisque",
    "clip_iqa",
    "contrastive_restoration",
    "dists",
    "feature_distance",
    "gram_distance",
    "lpips",
}
SLOW_LAWS = {"compiled_agrees", "second_derivative_is_right_or_refused"}
# large images, or a whole network
SLOW_MEASURES = {"efficientnet_lite0_distance", "iw_ssim", "ms_ssim", "vsi"}


def topics() -> dict[str, ModuleType | ImportError]:
    """The room's folders by name; one that cannot be imported fails its own test and leaves the others theirs."""
    found: dict[str, ModuleType | ImportError] = {}
    for topic in pkgutil.iter_modules(assay.images.__path__, "assay.images."):
        try:
            found[topic.name] = importlib.import_module(topic.name)
        except ImportError as error:
            found[topic.name] = error
    return found


TOPICS = topics()


def measures() -> list[PairMeasure]:
    """The pair measures that every topic of the room makes public."""
    found: dict[str, PairMeasure] = {}
    for module in TOPICS.values():
        for name in getattr(module, "__all__", ()):
            if isinstance(each := getattr(module, name), PairMeasure):
                found[each.name] = each
    return [found[name] for name in sorted(found.keys() - BOUND)]


@pytest.mark.parametrize(
    "measure,law",
    [(m, law) for m in measures() for law in laws_of_pairs(m)],
    ids=lambda each: each.name if isinstance(each, PairMeasure) else each.__name__,
)
def test_it_keeps_its_laws(measure, law):
    @settings(max_examples=1 if law.__name__ in SLOW_LAWS or measure.name in SLOW_MEASURES else 3)
    @given(st.sampled_from((24, 32)), st.integers(0, 2**31))
    def kept(size, seed):
        law(measure, draw_pair_inputs(measure, n=8, size=size, seed=seed))

    kept()


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_every_topic_is_there(topic):
    assert isinstance(TOPICS[topic], ModuleType)


def test_every_measure_is_found():
    assert {"ssim", "ms_ssim"} <= {m.name for m in measures()}
    assert all(isinstance(getattr(assay.images, name), PairMeasure) for name in BOUND)


@pytest.mark.parametrize("name", sorted(BOUND))
def test_without_what_it_needs_it_says_what_to_give(name):
    measure = getattr(assay.images, name)
    inputs = draw_pair_inputs(measure, n=8, size=32, seed=0)
    with pytest.raises(UsageError, match=name):
        measure(*inputs.members)
