"""Where do a network's weights come from, and are they the published ones?

`PUBLISHED` is the one table of addresses and hashes. Nothing is ever downloaded unless `fetch` is called.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from assay.data import refuse_url
from assay.errors import DataError, UsageError
from assay.home import home_folder
from assay.written_whole import write_whole, written_whole

BLOCK = 1 << 20

FetchProgress = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class Published:
    """A file of weights that others have published.

    file: its name. url: where it is.
    sha256: the hexadecimal digits of its SHA-256 that are known, the first 8 or all 64. (The publishers put the first
        8 into the name.) The rest is recorded when the file is first checked.
    license: of the weights, as an SPDX identifier.
    megabytes: about how large it is.
    source: who published it.
    """

    file: str
    url: str
    sha256: str
    license: str
    megabytes: int
    source: str


PUBLISHED: Mapping[str, Published] = {
    "inception": Published(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        "Apache-2.0",
        95,
        "the graph of TensorFlow's inception-2015-12-05.tgz, converted for pytorch-fid",
    ),
    "vgg16": Published(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        "BSD-3-Clause",
        553,
        "torchvision's VGG-16 (IMAGENET1K_V1)",
    ),
    "vgg19": Published(
        "vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "dcbb9e9d",
        "BSD-3-Clause",
        575,
        "torchvision's VGG-19 (IMAGENET1K_V1)",
    ),
    "alexnet": Published(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
        "BSD-3-Clause",
        244,
        "torchvision's AlexNet (IMAGENET1K_V1)",
    ),
    "squeezenet1_1": Published(
        "squeezenet1_1-b8a52dc0.pth",
        "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        "b8a52dc0",
        "BSD-3-Clause",
        5,
        "torchvision's SqueezeNet 1.1 (IMAGENET1K_V1)",
    ),
}


@dataclass(frozen=True)
class WeightFile:
    """A file that is there, and what is known of it.

    path: where. sha256: all 64 digits. published: whether it is the published one.
    """

    path: Path
    sha256: str
    published: bool


def weights_folder() -> Path:
    """`weights` in the cache folder. It may not exist yet."""
    return home_folder() / "weights"


def find_weights(name: str, file: str | os.PathLike[str] | None = None) -> WeightFile:
    """The weight file of the network `name` (a key of `PUBLISHED`): `file`, or else what was fetched.

    A fetched file must be the published one. The digits that the table lacks are recorded beside it when it is first
    checked, and hold from then on.

    Raises `UsageError` where `file` does not exist or is a URL, or nothing was fetched (with the steps to take),
    `DataError` where the fetched file is not the published one.
    """
    known = PUBLISHED[name]
    if file is not None:
        given = given_file(file, "weights")
        found = file_sha256(given)
        return WeightFile(given, found, found.startswith(_expected(name)))
    path = weights_folder() / known.file
    if not path.is_file():
        raise UsageError(
            f"the weights of {name} are not here: run `assay features fetch {name}` ({known.megabytes} MB); without "
            f"a network, download {known.url} elsewhere and put it at {path}, or give its path as weights (--weights)"
        )
    expected, found = _expected(name), file_sha256(path)
    if not found.startswith(expected):
        raise DataError(
            f"{path} is not the published file: its SHA-256 is {found[: len(expected)]}..., expected "
            f"{expected}...; delete it and run `assay features fetch {name}`"
        )
    if len(expected) < len(found):
        with contextlib.suppress(OSError):  # a folder that cannot be written costs the stronger check only
            _record(path, found, known.url)
    return WeightFile(path, found, True)


def given_file(file: str | os.PathLike[str], argument: str) -> Path:
    """The path that was given as `argument`.

    Raises `UsageError` where it is a URL or there is no such file.
    """
    refuse_url(file, argument)
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"{argument}: there is no file {path}")
    return path


def fetch(
    name: str,
    *,
    url: str | None = None,
    progress: FetchProgress | None = None,
    timeout: float = 30.0,
) -> Path:
    """Download the published weights of `name` into `weights_folder()`, checked, and give their path.

    A file that is there and right is left alone. The download has a temporary name until its hash is known to be
    right; a wrong or incomplete one is removed.

    url: where to download from instead of the address in the table; the hash stays the same.
    progress: called with the bytes so far and in all (None where the server does not say).
    timeout: seconds without an answer or a byte after which it fails.

    Raises `UsageError` for a name that is not in the table, `DataError` where the download fails, is cut off, or is
    not the published file.
    """
    if name not in PUBLISHED:
        raise UsageError(f"nothing to fetch for {name!r}: known are {', '.join(PUBLISHED)}")
    known = PUBLISHED[name]
    path = weights_folder() / known.file
    address = known.url if url is None else url
    if path.is_file():
        with contextlib.suppress(DataError):
            return find_weights(name).path
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        found = _download(address, temporary, progress, timeout, name, path)
        expected = _expected(name)
        if not found.startswith(expected):
            raise DataError(
                f"what {_shown(address)} sent is not {known.file}: its SHA-256 is {found[: len(expected)]}..., "
                f"expected {expected}...; nothing was kept"
            )
        _record(path, found, _shown(address))
    return path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _expected(name: str) -> str:
    """All digits that are known: those recorded, if they fit the table, else the table's."""
    known = PUBLISHED[name]
    try:
        recorded = json.loads(_record_path(weights_folder() / known.file).read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return known.sha256
    fits = isinstance(recorded, str) and len(recorded) == 64 and recorded.startswith(known.sha256)
    return recorded if fits else known.sha256


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _record(path: Path, sha256: str, url: str) -> None:
    write_whole(_record_path(path), (json.dumps({"sha256": sha256, "url": url}) + "\n").encode())


def _download(
    address: str, to: Path, progress: FetchProgress | None, timeout: float, name: str, path: Path
) -> str:
    """The SHA-256 of what was written to `to`."""
    import http.client
    import urllib.error
    import urllib.request

    digest, done = hashlib.sha256(), 0
    by_hand = f"download it elsewhere and put it at {path}, or give its path as weights (--weights)"
    try:
        with urllib.request.urlopen(address, timeout=timeout) as answer, open(to, "xb") as out:
            said = answer.headers.get("Content-Length")
            total = int(said) if said and said.isdigit() else None
            while block := answer.read(BLOCK):
                out.write(block)
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise DataError(f"{_shown(address)} cannot be downloaded ({reason}): {by_hand}") from None
    if total is not None and done != total:
        raise DataError(
            f"the download of {_shown(address)} was cut off after {done} of {total} bytes; nothing was kept: "
            f"run `assay features fetch {name}` again, or {by_hand}"
        )
    return digest.hexdigest()


def _shown(address: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
