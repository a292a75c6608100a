"""Which reader serves a path, a pattern, a URL, or several?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from assay.data.archive import open_zip
from assay.data.credentials import without_credentials
from assay.data.folder import file_images, files_in, images_among
from assay.data.joined import join_sources
from assay.data.names import SUFFIXES, is_image_name, no_images, shown
from assay.data.parquet import open_parquet
from assay.data.patterns import is_pattern, matched
from assay.data.pixel_arrays import npy_header, open_npy, open_npz
from assay.data.remote_folder import remote_files_in, remote_folder_images, url_images
from assay.data.source import ImageSource
from assay.data.stored_file import StoredFile
from assay.data.tar import open_tar
from assay.data.tar_headers import compressed_tar
from assay.data.urls import Options, file_at, is_remote_folder, is_url, joined_url, local_path_of
from assay.errors import DataError, UsageError

PathLike = str | os.PathLike[str]
SHARDS = (".tar", ".parquet", ".zip")  # what a folder without images may hold instead
COMPRESSED = {
    ".tgz": "gzip", ".tar.gz": "gzip", ".tbz2": "bzip2", ".tar.bz2": "bzip2", ".txz": "xz", ".tar.xz": "xz",
    ".tar.zst": "zstd",
}  # fmt: skip
EXPECTED = (
    "expected a folder, a .zip, .tar, .parquet, .npz or .npy of images, or a pattern such as shots/*.png"
)
OPENED_AT_ONCE = 8


def open_images(
    path: PathLike | Sequence[PathLike], *, storage_options: Mapping[str, object] | None = None
) -> ImageSource:
    """The images in a folder, an archive, a table or an array file, on a disk or behind a URL; nothing is extracted.

    path: a folder (at any depth), `.zip`, `.tar` or WebDataset shard, `.parquet` with a column of images, `.npz` or
        `.npy` of uint8 images; a pattern of such or of image files (`shots/*.png`, `shards/{000..010}.tar`); a folder
        of shards; several of these in a list. Behind the path, `#name` chooses a column of a table, an array of an
        `.npz`, or the ending of the images of a WebDataset that has several a sample. Each may be an fsspec URL.
    storage_options: what fsspec opens URLs with, beside what the environment says.

    Files are taken by suffix (png, jpg, jpeg, webp, bmp, gif, tif, tiff); hidden ones and `__MACOSX` are not. Images of
    one set are in order of name, sets of several in the order they are given in. No image is opened here: what cannot
    be decoded shows in `ImageSource.decode` and `batches`.

    Raises `DataError` for a path that does not exist, holds no images (saying what is there) or is damaged;
    `UsageError` for a file of another kind; `MissingExtra` without what a format or a URL needs.
    """
    options = dict(storage_options or {})
    if isinstance(path, (str, os.PathLike)):
        return _open_path(_text(path), options)
    if not isinstance(path, (list, tuple)):
        raise UsageError(f"path must be a path, a URL or a list of them, not {type(path).__name__}")
    if not path:
        raise DataError("path is an empty list: expected at least one path or URL")
    texts = [_text(each) for each in path]
    found = [
        one for each in texts for one in (matched(each, options) if _stands_for_several(each) else [each])
    ]
    return _open_several(found, _named(texts), "", options)


def holds_images(path: PathLike) -> bool:
    """Whether an existing file is one that `open_images` reads; of a `.npy`, its header tells."""
    text, _ = _without_choice(_text(path))
    suffix = _suffix(text)
    if suffix != ".npy":
        return suffix in READERS
    header = npy_header(file_at(text, {}))
    return header.dtype == "uint8" and len(header.shape) == 4


def _text(path: PathLike) -> str:
    text = os.fspath(path)
    if not isinstance(text, str) or not text:
        raise UsageError(f"path must be a path as text, or a URL, not {text!r}")
    local = local_path_of(text)
    return text if local is None else local


def _open_path(text: str, options: Options) -> ImageSource:
    if not is_url(text) and _exists(text):
        return _open_one(text, "", options)
    if _stands_for_several(text):
        pattern, choice = _without_choice(text)
        return _open_several(matched(pattern, options), shown(without_credentials(pattern)), choice, options)
    return _open_one(*_without_choice(text), options)


def _stands_for_several(text: str) -> bool:
    return is_pattern(_without_choice(text)[0]) and (is_url(text) or not _exists(text))


def _without_choice(text: str) -> tuple[str, str]:
    """A path, and the name behind its #."""
    if not is_url(text) and _exists(text):
        return text, ""
    base, mark, choice = text.rpartition("#")
    return (base, choice) if mark and base and "/" not in choice else (text, "")


def _exists(text: str) -> bool:
    try:
        return os.path.lexists(text)
    except ValueError:
        return False


def _open_one(text: str, choice: str, options: Options) -> ImageSource:
    where = shown(without_credentials(text))
    suffix = _suffix(text)
    if is_url(text):
        if suffix not in READERS and is_remote_folder(text, options):
            return _open_remote_folder(text, choice, options)
    else:
        try:
            path = Path(text)
            if path.is_dir():
                return _open_folder(path, choice, options)
            if not path.exists():
                raise DataError(f"{where} does not exist: {EXPECTED}")
        except (OSError, ValueError) as error:
            if isinstance(error, (DataError, UsageError)):
                raise
            raise DataError(f"{where} cannot be opened: {error}") from None
    reader = READERS.get(suffix)
    if reader is not None:
        return reader(file_at(text, options), choice)
    for ending, method in COMPRESSED.items():
        if _plain(text).lower().endswith(ending):
            raise compressed_tar(where, method)
    if suffix in SUFFIXES:
        raise UsageError(f"{where} is a single image: {EXPECTED}")
    if suffix == ".safetensors":
        raise UsageError(f"{where} may hold features, not images: {EXPECTED}, or use load_features")
    if is_url(text):
        raise DataError(
            f"{where} is no folder with files in it, and no file of a kind that is read: {EXPECTED}"
        )
    raise UsageError(f"{where} is a file of a kind that is not read: {EXPECTED}")


def _open_folder(root: Path, choice: str, options: Options) -> ImageSource:
    files = files_in(root)
    images = images_among(files)
    description = f"folder {shown(str(root))}"
    if images:
        _no_choice(choice, description)
        return file_images(root, images, description)
    shards = _shards(files)
    if not shards:
        raise no_images(description, files)
    return _open_several([str(root / name) for name in shards], f"in {description}", choice, options)


def _open_remote_folder(url: str, choice: str, options: Options) -> ImageSource:
    files = remote_files_in(url, options)
    description = f"folder {shown(without_credentials(url))}"
    if any(map(is_image_name, files)):
        _no_choice(choice, description)
        return remote_folder_images(url, files, options)
    shards = _shards(list(files))
    if not shards:
        raise no_images(description, files)
    return _open_several([joined_url(url, name) for name in shards], f"in {description}", choice, options)


def _shards(files: Sequence[str]) -> list[str]:
    """The files of the one kind of shard that is there."""
    kinds = Counter(_suffix(name) for name in files) & Counter(dict.fromkeys(SHARDS, len(files)))
    return [name for name in files if _suffix(name) in kinds] if len(kinds) == 1 else []


def _open_several(texts: Sequence[str], what: str, choice: str, options: Options) -> ImageSource:
    images = [text for text in texts if is_image_name(PurePosixPath(_plain(text)).name)]
    sets = [text for text in texts if _suffix(text) in READERS or (not images and _may_be_folder(text))]
    if images and sets:
        raise UsageError(
            f"{what}: expected either image files or sets of images, got both, "
            f"e.g. {_shown_file(images[0])} and {_shown_file(sets[0])}"
        )
    if not images and not sets:
        raise no_images(what, texts)
    names = _names_of(images or sets)
    _check_once(names, what)
    if images:
        _no_choice(choice, what)
        return _open_image_files(images, names, what, options)
    if len(sets) == 1:
        return _open_one(*_chosen(sets[0], choice), options)
    with ThreadPoolExecutor(OPENED_AT_ONCE, thread_name_prefix="assay-open") as pool:
        sources = list(pool.map(lambda text: _open_one(*_chosen(text, choice), options), sets))
    kinds = Counter(_suffix(text) for text in sets)
    kind = next(iter(kinds)) if len(kinds) == 1 and "" not in kinds else "sets"
    return join_sources(sources, names, f"{len(sets)} {kind} {what}")


def _may_be_folder(text: str) -> bool:
    return not _suffix(text) if is_url(text) else os.path.isdir(text)


def _chosen(text: str, choice: str) -> tuple[str, str]:
    own, own_choice = _without_choice(text)
    return own, choice or own_choice


def _open_image_files(texts: Sequence[str], names: Sequence[str], what: str, options: Options) -> ImageSource:
    description = f"images {what}"
    urls = [text for text in texts if is_url(text)]
    if len(urls) == len(texts):
        return url_images(urls, names, description, options)
    if urls:
        raise UsageError(f"{what}: expected image files all on a disk or all behind URLs, got both")
    root = Path(os.path.commonpath([os.path.dirname(os.path.abspath(text)) for text in texts]))
    return file_images(root, names, description)


def _names_of(texts: Sequence[str]) -> list[str]:
    """Each path relative to the last folder that all have in common."""
    whole = [
        PurePosixPath(_plain(without_credentials(text)))
        if is_url(text)
        else PurePosixPath(os.path.abspath(text))
        for text in texts
    ]
    folders = [path.parent.parts for path in whole]
    depth = 0
    while all(len(parts) > depth for parts in folders) and len({parts[depth] for parts in folders}) == 1:
        depth += 1
    return ["/".join(path.parts[depth:]) for path in whole]


def _check_once(names: Sequence[str], what: str) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{what}: {shown(twice)} is given twice")


def _no_choice(choice: str, description: str) -> None:
    if choice:
        raise UsageError(
            f"{description}: #{shown(choice)} chooses within a table, an .npz or a WebDataset, and this is none"
        )


def _plain(text: str) -> str:
    """A path or URL without query and choice."""
    text = _without_choice(text)[0]
    return text.partition("?")[0] if is_url(text) else text


def _suffix(text: str) -> str:
    return PurePosixPath(_plain(text)).suffix.lower()


def _shown_file(text: str) -> str:
    return shown(PurePosixPath(_plain(without_credentials(text))).name)


def _named(texts: Sequence[str]) -> str:
    names = [shown(without_credentials(text)) for text in texts[:3]]
    return ", ".join(names) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _zip(file: StoredFile, choice: str) -> ImageSource:
    _no_choice(choice, file.location)
    return open_zip(file)


def _npy(file: StoredFile, choice: str) -> ImageSource:
    _no_choice(choice, file.location)
    return open_npy(file)


READERS: Mapping[str, Callable[[StoredFile, str], ImageSource]] = {
    ".zip": _zip,
    ".tar": lambda file, choice: open_tar(file, extension=choice or None),
    ".parquet": lambda file, choice: open_parquet(file, column=choice or None),
    ".npy": _npy,
    ".npz": lambda file, choice: open_npz(file, array=choice or None),
}
