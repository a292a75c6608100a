"""`assay compare`"""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .arguments import listed, made_by_name
from .conditions import conditions_for, status_by
from .printing import plain_console, plain_warnings
from .targets import writable_target


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def compare(
        real: str = Argument(
            ...,
            metavar="REAL",
            help="Images (a folder, pattern, .zip, .tar, .parquet, .npy, .npz; a path or URL), features (.npy, "
            ".safetensors), or statistics (.safetensors, .npz).",
        ),
        generated: list[str] = Argument(
            ...,
            metavar="GENERATED",
            help="One or more candidates, of the same kinds, or python:MODULE:NAME, a function that makes images.",
        ),
        features: str | None = Option(
            None,
            help="What turns images into features, by default efficientnet-lite0; also inception, vgg16, timm:NAME, "
            "open_clip:MODEL/TAG, transformers:NAME, onnx:FILE, python:module:name, pixels:SIZE.",
        ),
        protocol: str | None = Option(
            None,
            help="A published set-up, for values to set beside printed ones: fid, pytorch-fid, clean-fid, adm, "
            "kid, cmmd, fd-dinov2, precision-recall-vgg.",
        ),
        measures: str | None = Option(
            None,
            help="Comma-separated, by default fd,kd,prdc; also precision, recall, density, coverage, authenticity, "
            "vendi, is, mifd, cmmd.",
        ),
        held_out: str | None = Option(
            None,
            metavar="SET",
            help="Real images the generator was not trained on (REAL being what it was): memorised or general?",
        ),
        classes: str | None = Option(
            None, metavar="HOW", help="Also class by class: auto, folders, or a CSV with name and label."
        ),
        explain: bool = Option(
            False, "--explain", help="Also what every sample does to every measure, and suspected copies."
        ),
        groups: str | None = Option(
            None,
            metavar="HOW",
            help="Also what each group of samples adds: folders, a CSV with name and group, kmeans or kmeans:K.",
        ),
        seed: int = Option(0, help="Of the random splits."),
        level: float = Option(0.95, help="Of the intervals."),
        samples: int | None = Option(None, help="Of python:MODULE:NAME: how many images to make."),
        value_range: str | None = Option(
            None, metavar="LOW,HIGH", help="Of python:MODULE:NAME: the range of floating-point images."
        ),
        floor: bool = Option(
            False, "--floor", help="Also two halves of REAL: the best value anyone can reach."
        ),
        paired: bool = Option(False, "--paired", help="Item i of every set belongs together."),
        json: str | None = Option(None, metavar="FILE", help="Write everything found as JSON."),
        report: str | None = Option(
            None,
            metavar="FILE",
            help="Write it as one HTML file, with the samples to look at; explains, too.",
        ),
        maps: bool = Option(
            False,
            "--maps",
            help="In the report: heat maps of the samples shown. Takes about a second a sample.",
        ),
        skip_bad: bool = Option(
            False, "--skip-bad", help="Leave out images that cannot be read, and say so."
        ),
        crop: str | None = Option(
            None, help="center or none; by default what the extractor was evaluated with."
        ),
        size: int | None = Option(
            None, help="Bring every image to SIZE x SIZE first: for sets of different sizes."
        ),
        resize: str | None = Option(
            None, help="Of inception and vgg16: clean, or legacy-... for printed values."
        ),
        weights: str | None = Option(
            None, metavar="FILE", help="Weights of inception or vgg16, if not fetched."
        ),
        batch_size: int = Option(64, help="Images a pass of the network."),
        workers: int | None = Option(None, help="Threads that decode; by default one a core, at most 8."),
        no_cache: bool = Option(False, "--no-cache", help="Neither look for kept features nor keep any."),
        no_history: bool = Option(False, "--no-history", help="Keep this comparison out of assay history."),
        fail_if: list[str] = Option(
            [],
            metavar="CONDITION",
            help='Exit with status 3 where a value is so: "fd > 12", "late: fd > 12"; may be given again.',
        ),
        fail_on: str | None = Option(
            None, metavar="HOW", help="Of --fail-if: value (the default), or interval, where all of it is so."
        ),
        device: str | None = Option(None, help="cpu or cuda; by default CUDA where there is one."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """Measure one or more generated sets against a real one, with intervals."""
        from ..compare import compare as compare_sets
        from ..report.progress import showing
        from ..report.table import print_comparison
        from ..report_maps import report_maps
        from ..scale.ranks import is_first, joined

        target = writable_target(json, "--json")
        page = writable_target(report, "--report")
        if maps and page is None:
            raise UsageError("--maps: is for a report; give --report FILE, too")
        named = made_by_name(generated, samples, value_range)
        wanted = None if measures is None else listed(measures)
        conditions = conditions_for(
            fail_if,
            fail_on,
            measures=wanted,
            protocol=protocol,
            held_out=held_out is not None,
            candidates=named,
        )
        status = 0
        with plain_warnings(), joined():
            with showing(quiet or not is_first()) as progress:
                found = compare_sets(
                    real,
                    named,
                    features=features,
                    protocol=protocol,
                    measures=wanted,
                    held_out=held_out,
                    classes=classes,
                    floor=floor,
                    explain=explain or page is not None,
                    groups=groups,
                    level=level,
                    paired=paired,
                    seed=seed,
                    crop=crop,  # type: ignore[arg-type]
                    size=size,
                    resize=resize,
                    weights=weights,
                    batch_size=batch_size,
                    workers=workers,
                    skip_bad=skip_bad,
                    cache=not no_cache,
                    history=not no_history,
                    device=device,
                    progress=progress,
                )
            # of several processes only the first one comes here; the others wait for what becomes of it
            # the table first: whatever becomes of the files, it is not lost
            print_comparison(found, plain_console())
            if target is not None:
                found.to_json(target)
            if page is not None:
                drawn = None
                try:
                    if maps:
                        with showing(quiet) as progress:
                            drawn = report_maps(found, progress=progress)
                finally:  # without maps, where there can be none
                    found.to_html(page, maps=drawn)
            status = status_by(conditions, found, fail_on)
        return status

    # the annotations are text, and typer looks their names up in this module, which has not imported typer
    return compare
