"""`assay clip-score`"""

from __future__ import annotations

from typing import Any

from ..printable import printable
from .printing import plain_warnings
from .targets import writable_target

PROMPT_WIDTH = 60


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def clip_score(
        images: str = Argument(
            ..., metavar="IMAGES", help="What `assay compare` takes: a folder, a zip, ..."
        ),
        prompts: str = Argument(
            ..., metavar="PROMPTS.csv", help="With the columns image and prompt, a row an image."
        ),
        features: str = Option(
            ..., help="open_clip:MODEL/TAG, or transformers:NAME of a CLIP or SigLIP model."
        ),
        level: float = Option(0.95, help="Of the interval."),
        worst: int = Option(5, help="How many of the lowest scores to print."),
        csv: str | None = Option(None, "--csv", metavar="FILE", help="Write a score an image."),
        skip_bad: bool = Option(
            False, "--skip-bad", help="Leave out images that cannot be read, and say so."
        ),
        batch_size: int = Option(64, help="Images a pass of the network."),
        workers: int | None = Option(None, help="Threads that decode; by default one a core, at most 8."),
        no_cache: bool = Option(False, "--no-cache", help="Neither look for kept features nor keep any."),
        device: str | None = Option(None, help="cpu or cuda; by default CUDA where there is one."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """How well does each image show what its prompt says?"""
        from ..clip_scores import clip_scores
        from ..report.progress import showing

        target = writable_target(csv, "--csv")
        with plain_warnings(), showing(quiet) as progress:
            found = clip_scores(
                images,
                prompts,
                features=features,
                level=level,
                batch_size=batch_size,
                workers=workers,
                skip_bad=skip_bad,
                cache=not no_cache,
                device=device,
                progress=progress,
            )
        if target is not None:
            found.to_csv(target)
        print("\n".join(_lines(found, worst)), flush=True)
        return 0

    return clip_score


def _lines(found: Any, worst: int) -> list[str]:
    from ..report.numbers import value_and_interval

    different = len(set(found.prompts))
    value, interval, _ = value_and_interval(found.estimate)
    lines = [
        printable(
            f"{found.description}, {len(found.names):,} images, {different:,} prompts; features: {found.features}"
        ),
        f"clip_score ↑  {value} {interval}  (100 x cosine of image and text, at least 0; mean of the images)",
    ]
    for name, reason in found.skipped:
        lines.append(f"left out: {printable(name)} ({printable(reason)})")
    lines += [str(note) for note in found.estimate.notes]
    lowest = found.worst(worst)
    if lowest:
        lines.append("lowest:")
    wide = max((len(printable(name)) for name, _, _ in lowest), default=0)
    for name, prompt, score in lowest:
        short = prompt if len(prompt) <= PROMPT_WIDTH else f"{prompt[: PROMPT_WIDTH - 3]}..."
        lines.append(f"  {score:5.1f}  {printable(name):<{wide}}  {printable(short)}")
    return lines
