"""The command `assay features`: which extractors there are, and bringing their weights here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def features_app() -> typer.Typer:
    """`fetch NAME` and `list`, as a sub-application."""
    import typer

    from assay.features.weights import PUBLISHED

    app = typer.Typer(add_completion=False, no_args_is_help=True, help="Extractors and their weights.")

    @app.command(help=f"Download the published weights of NAME: {', '.join(PUBLISHED)}.")
    def fetch(
        name: str = typer.Argument(..., metavar="NAME"),
        quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        return _fetch(name, quiet)

    @app.command("list", help="What can be fetched, and what is here.")
    def list_() -> int:
        return _list()

    return app


def _fetch(name: str, quiet: bool) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from assay.features.weights import PUBLISHED, fetch

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet,
    ) as bar:
        task = bar.add_task(PUBLISHED[name].file if name in PUBLISHED else name, total=None)
        path = fetch(name, progress=lambda done, total: bar.update(task, completed=done, total=total))
    Console(highlight=False, soft_wrap=True).print(str(path), markup=False)
    return 0


def _list() -> int:
    from rich.console import Console
    from rich.table import Table

    from assay.features.weights import PUBLISHED, weights_folder

    table = Table("name", "MB", "license", "here", "from")
    for name, known in PUBLISHED.items():
        here = "yes" if (weights_folder() / known.file).is_file() else "no"
        table.add_row(name, str(known.megabytes), known.license, here, known.url)
    Console(highlight=False, soft_wrap=True).print(table)
    return 0
