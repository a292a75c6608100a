"""`assay stats`"""

from __future__ import annotations

from typing import Any

from .arguments import one_by_name
from .printing import plain_warnings
from .reference_file import announced, reference_target


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def stats(
        images: str = Argument(
            ...,
            metavar="IMAGES",
            help="What `assay compare` takes: a folder, zip, features, python:MODULE:NAME.",
        ),
        output: str = Option(..., "--output", "-o", metavar="FILE", help="The .safetensors file to write."),
        features: str | None = Option(
            None, help="What turns images into features, as for assay compare; by default efficientnet-lite0."
        ),
        protocol: str | None = Option(None, help="A published set-up, as for assay compare."),
        keep: str = Option(
            "moments", help="moments: a file that does not grow, for fd; samples: for every measure."
        ),
        samples: int | None = Option(None, help="Of python:MODULE:NAME: how many images to make."),
        value_range: str | None = Option(
            None, metavar="LOW,HIGH", help="Of python:MODULE:NAME: the range of floating-point images."
        ),
        seed: int | None = Option(None, help="Of python:MODULE:NAME: of its random numbers, by default 0."),
        skip_bad: bool = Option(
            False, "--skip-bad", help="Leave out images that cannot be read, and say how many."
        ),
        crop: str | None = Option(
            None, help="center or none; by default what the extractor was evaluated with."
        ),
        size: int | None = Option(None, help="Bring every image to SIZE x SIZE first."),
        resize: str | None = Option(
            None, help="Of inception and vgg16: clean, or legacy-... for printed values."
        ),
        weights: str | None = Option(
            None, metavar="FILE", help="Weights of inception or vgg16, if not fetched."
        ),
        batch_size: int = Option(64, help="Images a pass of the network."),
        workers: int | None = Option(None, help="Threads that decode; by default one a core, at most 8."),
        no_cache: bool = Option(False, "--no-cache", help="Neither look for kept features nor keep any."),
        device: str | None = Option(None, help="cpu or cuda; by default CUDA where there is one."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """Write a file that stands for a set of images in later comparisons."""
        from ..comparing.set_up import SetUp
        from ..make_reference import make_reference, open_for_reference, refuse_set_up
        from ..references import save_reference
        from ..report.progress import showing
        from ..scale.ranks import is_first, joined, left_to_first

        target = reference_target(output)
        given = one_by_name(images, samples, value_range, seed)
        settings = {"crop": crop, "size": size, "resize": resize, "weights": weights}
        set_up = SetUp.of(features, protocol, **settings)
        with plain_warnings(), showing(quiet or not is_first()) as progress, joined():
            opened = open_for_reference(given)
            refuse_set_up(opened, {"features": features, "protocol": protocol, **settings})
            made = make_reference(
                opened,
                features=set_up.named_or_made(device),
                protocol=protocol,
                keep=keep,  # type: ignore[arg-type]
                batch_size=batch_size,
                workers=workers,
                skip_bad=skip_bad,
                cache=not no_cache,
                device=device,
                progress=progress,
            )
            left_to_first()
            save_reference(made, target)
            print(announced(made, target), flush=True)
        return 0

    return stats
