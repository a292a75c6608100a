"""Do the images of a set show what their prompts say?"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .errors import UsageError
from .estimate import Estimate
from .images import clip_score
from .written_whole import written_whole

if TYPE_CHECKING:
    from .data import ImageSource

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ClipScores:
    """The CLIP score of every image of a set and its prompt.

    Attributes:
        names, prompts: n of each, a row an image that could be read.
        values: (n,) scores in [0, 100], float64.
        estimate: the mean with its interval; images with one prompt are one cluster.
        features: the model, as it was asked for.
        description: of the set.
        skipped: a name and a reason for each image that was left out.
    """

    names: tuple[str, ...]
    prompts: tuple[str, ...]
    values: Tensor
    estimate: Estimate
    features: str
    description: str
    skipped: tuple[tuple[str, str], ...]

    def worst(self, count: int) -> list[tuple[str, str, float]]:
        """(name, prompt, score) of the lowest scores, the lowest first."""
        order = self.values.argsort(stable=True)[:count].tolist()
        return [(self.names[i], self.prompts[i], float(self.values[i])) for i in order]

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a row an image: image, prompt, clip_score."""
        with written_whole(path) as temporary, open(temporary, "x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "prompt", "clip_score"])
            for name, prompt, value in zip(self.names, self.prompts, self.values.tolist(), strict=True):
                writer.writerow([name, prompt, f"{value:.6g}"])


def clip_scores(
    images: str | os.PathLike[str] | ImageSource,
    prompts: str | os.PathLike[str] | Sequence[str],
    *,
    features: str,
    level: float = 0.95,
    batch_size: int = 64,
    workers: int | None = None,
    skip_bad: bool = False,
    cache: bool = True,
    device: str | None = None,
    progress: Report | None = None,
) -> ClipScores:
    """Score every image of a set against its prompt, with the two towers of one model.

    Args:
        images: what `assay.data.open_images` takes, or a source.
        prompts: a CSV file (see `assay.data.prompts.read_prompts`), or a text an image in the order of the set.
        features: `open_clip:MODEL/TAG`, or `transformers:NAME` of a CLIP or SigLIP model.
        level: the interval's coverage.
        batch_size: images, and texts, a pass.
        workers: threads that decode.
        skip_bad: leave out images that cannot be read, and report them in `skipped`.
        cache: keep what the pass over the images finds, and look there first.
        device: cpu or cuda; by default CUDA where there is one.
        progress: called as progress(what, done, total).

    Raises:
        UsageError: a model without a text tower, another number of texts than images.
        DataError: images or prompts that cannot be read, or do not fit; fewer than two different prompts where
            prompts repeat.
    """
    from .data import ImageSource, open_images
    from .data.prompts import read_prompts
    from .features import extract, get_extractor
    from .features.text import get_text_encoder

    source = images if isinstance(images, ImageSource) else open_images(images)
    texts = (
        read_prompts(prompts, source.names)
        if isinstance(prompts, (str, os.PathLike))
        else [str(p) for p in prompts]
    )
    if len(texts) != len(source):
        raise UsageError(f"prompts: {len(texts)} texts for {len(source)} images; expected one an image")
    # first, because it is what a wrong name fails at
    encoder = get_text_encoder(features, device=device, batch_size=batch_size)
    different = list(dict.fromkeys(texts))
    rows = {text: row for row, text in enumerate(different)}
    of_text = encoder.encode(different)
    found = extract(
        source,
        get_extractor(features, device=device),
        batch_size=batch_size,
        workers=workers,
        skip_bad=skip_bad,
        cache=cache,
        progress=None if progress is None else lambda done, total: progress("images", done, total),
    )
    by_name = dict(zip(source.names, texts, strict=True))
    kept = [by_name[name] for name in found.names]
    numbers = [rows[text] for text in kept]
    image, text = found.features.double(), of_text[numbers].double()
    repeated = len(set(kept)) < len(kept)
    return ClipScores(
        names=tuple(found.names),
        prompts=tuple(kept),
        values=clip_score(image, text),
        estimate=clip_score.estimate(image, text, clusters=numbers if repeated else None, level=level),
        features=features,
        description=source.description,
        skipped=tuple((each.name, each.reason) for each in found.skipped),
    )
