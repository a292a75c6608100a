"""How far are restored images from their targets, image by image?"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .comparing.set_names import candidates_of, name_of
from .comparison import Difference, Row
from .devices import chosen_device, measured_on
from .errors import DataError, UsageError
from .pair_arguments import cluster_numbers
from .pairs import PairMeasure
from .scoring.image_measures import default_measures, measures_of_images, usable
from .scoring.matching import Match, Matched, matched
from .scoring.mean_estimates import difference_of, mean_of
from .scoring.opened_pairs import Images, opened_images
from .scoring.pair_notes import pair_notes
from .scoring.passes import Passed, one_pass
from .scoring.scores import Scores
from .scoring.seen import Seen
from .version import __version__

Progress = Callable[[str, int, int], None]
Clusters = str | os.PathLike[str] | Sequence[Any] | NDArray[Any]


def score(
    restored: Any,
    target: Any,
    *,
    measures: str | PairMeasure | Sequence[str | PairMeasure] | None = None,
    match: Match = "name",
    crop_border: int = 0,
    luma: bool = False,
    clusters: Clusters | None = None,
    level: float = 0.95,
    batch_size: int = 16,
    workers: int | None = None,
    skip_bad: bool = False,
    history: bool = False,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Scores:
    r"""Score restored images against their targets, image by image, with intervals for the means.

    ::

        found = assay.score(["srcnn/", "edsr/"], "hr/", measures=["psnr", "ssim"])
        print(found)
        found["edsr", "psnr"]                # the mean with its interval
        found.values["edsr"]["psnr"]         # (n,) one value a pair
        found.worst(5)

    A pair of images becomes floating-point numbers in [0, 1], the integer level over the largest one of its depth: 255,
    or 65,535 for 16-bit grey PNG and TIFF files. With v_i the value of pair i the mean is $m = \sum_i v_i / n$, its
    standard error $\sqrt{\sum_i (v_i - m)^2 / (n (n - 1))}$, and the interval Student's t with n - 1 degrees of
    freedom; with clusters as in `PairMeasure.estimate`. A difference of candidates is the mean of the pairs'
    differences with its own such interval: what makes one image harder than another is in both and cancels. The mean
    over images of a PSNR is not the PSNR of the mean error, and the mean is what papers print.

    Args:
        restored: a path or URL of images (see `assay.data.open_images`), one image file, an `ImageSource`, a data set
            or loader of images; uint8 images (N, 3, H, W) or (N, H, W, 3); floating-point images (N, C, H, W) in
            [0, 1]; or a list of these, or a dict of them by name: candidates for one target.
        target: one of these.
        measures: names or measures of `assay.images`, by default psnr, ssim and a perceptual distance that works
            offline, where its extra is installed.
        match: "name": by the path inside the set without its suffix, and every image needs a partner. "common": the
            names that all sets have. "order": image i belongs to target i.
        crop_border: pixels left out at each side, as super-resolution papers do by their scale.
        luma: measure only Y of BT.601 in studio swing, (65.481 R + 128.553 G + 24.966 B + 16) / 255, as MATLAB's
            rgb2ycbcr; not rounded to levels.
        clusters: pairs that belong together, as crops of one photograph: "folders" (the target's first sub-folders),
            a CSV with the columns `name` and `group` of the target's images, or a label for each image of the target.
        level: of the intervals.
        batch_size: pairs measured at once, at most; fewer where images are large.
        workers: threads that decode, by default one a core, at most 8.
        skip_bad: leave out pairs of which an image cannot be read, from all candidates, and say so.
        history: add the scores to the history (see `assay.history`), as the command does.
        device: by default a CUDA device if there is one, else the CPU.
        progress: called as progress(what, done, total).

    Returns:
        `Scores`: values, means, differences to the first candidate, notes.

    Raises:
        UsageError: an unknown measure, one that needs a network to be given, a level outside (0, 1), no candidates,
            something that is no images.
        DataError: images without a partner, that cannot be read, of two sizes in a pair, too small for a measure.
        MissingExtra: the packages that read images, or that a measure needs, are not installed.

    Complexity:
        One pass over the images, every measure of a pair while it is there; the memory of a few batches and one number
        a pair and measure. Values are not kept in the cache: reading the images costs most of the time.

    FAQ:
        *Why not resize?* The way of resizing would be part of the score; see the published differences between
        packages that do.

        *Which border and channel do printed values have?* Super-resolution papers mostly leave out a border of the
        scale's size and measure luma; restoration papers mostly measure RGB. MATLAB rounds luma of 8-bit images to
        whole levels, which moves PSNR by some thousandths of a dB.
    """
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}")
    seen = Seen(crop_border, luma)
    where = measured_on(chosen_device(device))
    wanted = measures_of_images(default_measures(luma=luma) if measures is None else measures)
    goal, candidates = _opened(restored, target)
    channels = 1 if luma else _channels(goal)
    wanted, left_out = usable(wanted, channels, where, by_default=measures is None)
    pairs = _matched(goal, candidates, match)
    labels = None if clusters is None else _labels(goal, clusters, pairs)
    passed = one_pass(
        goal,
        candidates,
        pairs,
        wanted,
        seen=seen,
        device=where,
        batch_size=batch_size,
        workers=workers,
        skip_bad=skip_bad,
        progress=None if progress is None else lambda done, total: progress("pairs", done, total),
    )
    found = _scores(goal, candidates, pairs, wanted, passed, labels, level, seen, left_out, str(where), match)
    if history:
        from .scoring.remembered import remember_scores

        remember_scores(found, passed, clustered=labels is not None)
    return found


def _opened(restored: Any, target: Any) -> tuple[Images, list[Images]]:
    """The target and the candidates, under names of their own."""
    if not isinstance(restored, (Mapping, list, tuple)):
        restored = {name_of(restored, "restored"): restored}
    given = candidates_of(restored)
    if not isinstance(restored, Mapping):
        given = {_candidate(name, one, given): one for name, one in given.items()}
    called = name_of(target, "target")
    while called in given:
        called = f"{called} (target)"
    goal = opened_images(target, called, "target")
    return goal, [opened_images(one, name, "restored") for name, one in given.items()]


def _candidate(name: str, given: Any, others: Mapping[str, Any]) -> str:
    """`generated 1` of an array as `restored 1`, unless a path beside it is called so."""
    if isinstance(given, (str, os.PathLike)):
        return name
    own = f"restored{name.removeprefix('generated')}"
    return f"{own} (array)" if own in others else own


def _channels(goal: Images) -> int:
    if goal.source is not None:
        return 3
    return int(goal.read(0)[0].pixels.shape[2])


def _matched(goal: Images, candidates: Sequence[Images], how: Match) -> Matched:
    if goal.alone and all(one.alone for one in candidates) and how == "name":
        how = "order"  # two files that are named on the command line are a pair, whatever they are called
    return matched((goal.name, goal.names), {one.name: one.names for one in candidates}, how)


def _labels(goal: Images, clusters: Clusters, pairs: Matched) -> NDArray[np.int64]:
    """A number a pair, the same for pairs that belong together."""
    if isinstance(clusters, (str, os.PathLike)):
        from .data import labels_of

        if goal.source is None:
            raise UsageError(
                "clusters: arrays have no folders or names; give a label for each image of the target"
            )
        try:
            named: Any = np.asarray(list(labels_of(goal.source, clusters)), dtype=str)
        except DataError as error:
            raise DataError(
                f"clusters: {error}; give sub-folders, or a CSV with the columns name and group, or leave it out"
            ) from None
    else:
        named = clusters
    numbers = cluster_numbers(named, len(goal)).numpy()
    return np.unique(numbers[np.asarray(pairs.target)], return_inverse=True)[1].astype(np.int64)


def _scores(
    goal: Images,
    candidates: Sequence[Images],
    pairs: Matched,
    measures: Mapping[str, PairMeasure],
    passed: Passed,
    labels: NDArray[np.int64] | None,
    level: float,
    seen: Seen,
    left_out: Sequence[str],
    device: str,
    match: str,
) -> Scores:
    kept: list[int] = np.flatnonzero(passed.measured).tolist()
    if labels is not None:
        labels = np.unique(labels[kept], return_inverse=True)[1].astype(np.int64)
    values = {
        candidate: {name: own[kept] for name, own in by_measure.items()}
        for candidate, by_measure in passed.values.items()
    }
    rows = tuple(
        Row(name, measure.name, candidate, _direction(measure), mean_of(own[name], labels, level, measure))
        for candidate, own in values.items()
        for name, measure in measures.items()
    )
    first, *others = [one.name for one in candidates]
    differences = tuple(
        Difference(
            name,
            measure.name,
            first,
            other,
            _direction(measure),
            difference_of(values[first][name], values[other][name], labels, level),
        )
        for other in others
        for name, measure in measures.items()
        if len(kept) > 1
    )
    places = {goal.name: tuple(pairs.target[row] for row in kept)}
    places.update({name: tuple(at[row] for row in kept) for name, at in pairs.candidates.items()})
    named = {one.name: tuple(one.names[at] for at in places[one.name]) for one in (goal, *candidates)}
    return Scores(
        names=named[goal.name],
        restored={one.name: named[one.name] for one in candidates},
        values=values,
        measures=measures,
        rows=rows,
        differences=differences,
        notes=pair_notes(pairs, passed, rows, left_out),
        settings={
            "seed": 0,
            "level": level,
            "paired": True,
            "protocol": None,
            "features": seen.short,
            "fingerprint": None,
            "measured": str(seen),
            "crop_border": seen.crop_border,
            "luma": seen.luma,
            "match": match,
            "clusters": None if labels is None else int(labels.max()) + 1,
            "measures": list(measures),
            "descriptions": {m.name: _says(m) for m in measures.values()},
            "real": _described(goal, len(kept)),
            "candidates": [_described(one, len(kept)) for one in candidates],
            "held_out": None,
            "device": device,
            "versions": {
                "assay": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        },
        images={one.name: one for one in (goal, *candidates)},
        places=places,
        seen=seen,
    )


def _direction(measure: PairMeasure) -> Any:
    return "higher is better" if measure.best == "max" else "lower is better"


def _says(measure: PairMeasure) -> str:
    """The first sentence of the measure's own documentation."""
    text = " ".join((measure.__doc__ or measure.name).strip().split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".") + "."


def _described(one: Images, n: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "n": n,
        "total": len(one),
        "unit": "images",
        "width": None,
        "content": None,
        "dropped": [],
    }
