"""Images behind URLs, one file each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from assay.data.credentials import without_credentials
from assay.data.decode import MAX_FILE_BYTES, UnreadableImage, require_pillow
from assay.data.names import is_hidden, is_image_name, shown
from assay.data.source import ImageSource
from assay.data.stored_file import signature_of
from assay.data.urls import NotThere, Options, joined_url, listed, version_of, whole


@dataclass(frozen=True)
class RemoteReader:
    """index -> the bytes of an image, each behind its own URL."""

    urls: Sequence[str] = field(repr=False)
    names: Sequence[str]
    options: Options = field(repr=False)

    def __call__(self, index: int) -> bytes:
        reason = "no such file"
        try:
            content = whole(self.urls[index], self.options, MAX_FILE_BYTES)
            if len(content) <= MAX_FILE_BYTES:
                return content
            reason = f"more than {MAX_FILE_BYTES:,} bytes"
        except NotThere:
            pass
        raise UnreadableImage(self.names[index], reason)


@dataclass(frozen=True)
class UrlsBelow(Sequence[str]):
    """The URLs of names below one folder's; made when they are asked for."""

    root: str
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        return joined_url(self.root, self.names[index])


def remote_files_in(url: str, options: Options) -> dict[str, str | None]:
    """Every file below a remote folder that is not hidden, by relative name, sorted, with its version."""
    root = without_credentials(url)
    found = listed(url, options)
    return {
        name: version_of(joined_url(root, name), found[name]) for name in sorted(found) if not is_hidden(name)
    }


def remote_folder_images(url: str, files: dict[str, str | None], options: Options) -> ImageSource:
    """The images among the files below a remote folder."""
    require_pillow()
    names = tuple(name for name in files if is_image_name(name))
    return ImageSource(
        names,
        f"folder {shown(without_credentials(url))}",
        RemoteReader(UrlsBelow(url, names), names, options),
        signature=signature_of(files[name] for name in names),
    )


def url_images(urls: Sequence[str], names: Sequence[str], description: str, options: Options) -> ImageSource:
    """Image files by their URLs, in the given order, each with its name."""
    require_pillow()
    return ImageSource(tuple(names), description, RemoteReader(tuple(urls), tuple(names), options))
