"""`assay merge`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .reference_file import announced, reference_target


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def merge(
        files: list[str] = Argument(..., metavar="FILE...", help="References that `assay stats` wrote."),
        output: str = Option(..., "--output", "-o", metavar="FILE", help="The .safetensors file to write."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """Write one reference for all images of several."""
        from ..references import merge_files, save_reference
        from ..report.progress import showing

        target = reference_target(output)
        with showing(quiet) as progress:
            made = merge_files(files, None if progress is None else _under(progress))
        save_reference(made, target)
        print(announced(made, target), flush=True)
        return 0

    return merge


def _under(progress: Callable[[str, int, int], None]) -> Callable[[int, int], None]:
    return lambda done, total: progress("files", done, total)
