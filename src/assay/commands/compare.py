"""`assay compare`"""

from __future__ import annotations

from typing import Any

from .arguments import listed
from .printing import pipe_width, plain_warnings
from .targets import writable_target


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def compare(
        real: str = Argument(
            ..., metavar="REAL", help="Folder or zip of images, or .npy/.safetensors features."
        ),
        generated: list[str] = Argument(
            ..., metavar="GENERATED", help="One or more candidates, of the same kinds."
        ),
        features: str = Option(
            "efficientnet-lite0", help="What turns images into features; also pixels, pixels:SIZE."
        ),
        measures: str | None = Option(
            None,
            help="Comma-separated, by default fd,kd,prdc; also precision, recall, density, coverage, authenticity, "
            "vendi, is, mifd.",
        ),
        held_out: str | None = Option(
            None,
            metavar="SET",
            help="Real images the generator was not trained on (REAL being what it was): memorised or general?",
        ),
        classes: str | None = Option(
            None, metavar="HOW", help="Also class by class: auto, folders, or a CSV with name and label."
        ),
        seed: int = Option(0, help="Of the random splits."),
        level: float = Option(0.95, help="Of the intervals."),
        floor: bool = Option(
            False, "--floor", help="Also two halves of REAL: the best value anyone can reach."
        ),
        paired: bool = Option(False, "--paired", help="Item i of every set belongs together."),
        json: str | None = Option(None, metavar="FILE", help="Write everything found as JSON."),
        skip_bad: bool = Option(
            False, "--skip-bad", help="Leave out images that cannot be read, and say so."
        ),
        batch_size: int = Option(64, help="Images a pass of the network."),
        workers: int | None = Option(None, help="Threads that decode; by default one a core, at most 8."),
        device: str | None = Option(None, help="cpu or cuda; by default CUDA where there is one."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """Measure one or more generated sets against a real one, with intervals."""
        from rich.console import Console

        from ..compare import compare as compare_sets
        from ..report.progress import showing
        from ..report.table import print_comparison

        target = writable_target(json, "--json")
        with plain_warnings(), showing(quiet) as progress:
            found = compare_sets(
                real,
                generated,
                features=features,
                measures=None if measures is None else listed(measures),
                held_out=held_out,
                classes=classes,
                floor=floor,
                level=level,
                paired=paired,
                seed=seed,
                batch_size=batch_size,
                workers=workers,
                skip_bad=skip_bad,
                device=device,
                progress=progress,
            )
        if target is not None:
            found.to_json(target)
        print_comparison(found, Console(highlight=False, emoji=False, markup=False, **pipe_width()))
        return 0

    # the annotations are text, and typer looks their names up in this module, which has not imported typer
    return compare
