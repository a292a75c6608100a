"""`assay score`"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError
from .arguments import listed
from .conditions import read_conditions, status_by
from .printing import plain_console, plain_warnings
from .targets import writable_target


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def score(
        restored: list[str] = Argument(
            ...,
            metavar="RESTORED",
            help="One or more sets of restored images: a folder, pattern, .zip, .tar, .parquet, .npy, .npz; a path or "
            "URL; or one image file.",
        ),
        target: str = Argument(
            ..., metavar="TARGET", help="What they should look like, of the same kinds; it comes last."
        ),
        measures: str | None = Option(
            None,
            help="Comma-separated, by default psnr, ssim and a perceptual distance that works offline; also "
            "ms_ssim and the others of assay.images, and python:FILE.py:NAME, a measure of yours.",
        ),
        match: str = Option(
            "name",
            metavar="HOW",
            help="name (without suffix; every image needs a partner), common (the names that all sets have), order.",
        ),
        crop_border: int = Option(
            0,
            min=0,
            metavar="PIXELS",
            help="Leave out so many pixels at each side, as super-resolution papers do.",
        ),
        luma: bool = Option(
            False, "--luma", help="Measure only Y of BT.601 in studio swing, as MATLAB's rgb2ycbcr."
        ),
        clusters: str | None = Option(
            None,
            metavar="HOW",
            help="Pairs that belong together, as crops of one photograph: folders, or a CSV with name and group.",
        ),
        level: float = Option(0.95, help="Of the intervals."),
        worst: int = Option(
            5, min=0, help="How many of the worst pairs to print; the report shows six at least."
        ),
        worst_by: str | None = Option(
            None, metavar="MEASURE", help="What the worst are worst by; by default the first measure."
        ),
        csv: str | None = Option(
            None, "--csv", metavar="FILE", help="Write the values of every pair, worst first."
        ),
        json: str | None = Option(None, "--json", metavar="FILE", help="Write everything found as JSON."),
        report: str | None = Option(
            None,
            metavar="FILE",
            help="Write one HTML file: distributions, the worst pairs side by side, error maps.",
        ),
        skip_bad: bool = Option(
            False, "--skip-bad", help="Leave out pairs with an image that cannot be read, and say so."
        ),
        batch_size: int = Option(16, help="Pairs measured at once, at most."),
        workers: int | None = Option(None, help="Threads that decode; by default one a core, at most 8."),
        no_history: bool = Option(False, "--no-history", help="Keep these scores out of assay history."),
        fail_if: list[str] = Option(
            [],
            metavar="CONDITION",
            help='Exit with status 3 where a mean is so: "psnr < 30", "edsr: ssim < 0.9"; may be given again.',
        ),
        fail_on: str | None = Option(
            None, metavar="HOW", help="Of --fail-if: value (the default), or interval, where all of it is so."
        ),
        device: str | None = Option(None, help="cpu or cuda; by default CUDA where there is one."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """Score restored images against their targets, image by image, with intervals."""
        from ..comparing.set_names import candidates_of
        from ..report.progress import showing
        from ..report.scored_table import print_scores
        from ..score import score as score_sets
        from ..scoring.image_measures import default_measures, measures_of_images

        table, record, page = (
            writable_target(path, option)
            for path, option in ((csv, "--csv"), (json, "--json"), (report, "--report"))
        )
        files = [os.path.realpath(path) for path in (table, record, page) if path is not None]
        if len(set(files)) < len(files):
            raise UsageError("--csv, --json, --report: two of them name one file; give each its own")
        wanted = None if measures is None else listed(measures)
        known = measures_of_images(default_measures(luma=luma) if wanted is None else wanted)
        if (
            worst_by is not None
            and worst_by not in known
            and _plain(worst_by) not in [m.name for m in known.values()]
        ):
            raise UsageError(f"--worst-by: {worst_by} is not measured; measured are {', '.join(known)}")
        candidates = candidates_of(restored)
        conditions = _conditions(fail_if, fail_on, known, list(candidates))
        with plain_warnings():
            with showing(quiet) as progress:
                found = score_sets(
                    candidates,
                    target,
                    measures=wanted,
                    match=match,  # type: ignore[arg-type]
                    crop_border=crop_border,
                    luma=luma,
                    clusters=clusters,
                    level=level,
                    batch_size=batch_size,
                    workers=workers,
                    skip_bad=skip_bad,
                    history=not no_history,
                    device=device,
                    progress=progress,
                )
            # the table first: whatever becomes of the files, it is not lost
            try:
                print_scores(found, plain_console(), worst=worst, by=worst_by)
            finally:  # who reads the table may have seen enough of it, as head has, and no file is lost for that
                if table is not None:
                    found.to_csv(table, by=worst_by)
                if record is not None:
                    found.to_json(record)
                if page is not None:
                    found.to_html(page, worst=max(6, worst), by=worst_by)
            return status_by(conditions, found.comparison, fail_on)

    # the annotations are text, and typer looks their names up in this module, which has not imported typer
    return score


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _conditions(
    texts: Sequence[str], on: str | None, measures: Mapping[str, Any], candidates: Sequence[str]
) -> list[Any]:
    """The conditions, each of them about a measure and a candidate that there will be."""
    from ..fail_if import refuse_unknown

    conditions = read_conditions(texts, on, "psnr < 30")
    refuse_unknown(conditions, {name: m.name for name, m in measures.items()}, candidates)
    return conditions
