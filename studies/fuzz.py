"""What do damaged files do to the readers? Small valid files of each kind are mutated at random, opened and read whole.

Claimed: every mutated file is read, or refused with a `DataError` or `UsageError`; none raises anything else, ends the
process, takes longer than TIME_LIMIT seconds, or makes it grow by more than MEMORY_LIMIT.

python studies/fuzz.py [--files 1000] [--kinds png,tar]        writes studies/fuzz.json

Each kind runs in a process of its own, which is started again after the file that ended it.
"""

from __future__ import annotations

import argparse
import io
import json
import queue
import resource
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from assay.data import ImageSource, UnreadableImage, labels_of, load_features, open_images
from assay.errors import DataError, UsageError

TIME_LIMIT = 20.0  # seconds a file
MEMORY_LIMIT = 2 << 30  # bytes a process grows: a picture of the most pixels that are read, and its copies
RESULT = Path(__file__).with_suffix(".json")
IMAGE_KINDS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tiff": "TIFF"}


def seeds(kind: str) -> list[bytes]:
    """Valid files of a kind, small enough that a few changed bytes reach every part."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (9, 8, 3), dtype=np.uint8) // 16 * 16 for _ in range(4)]
    if kind in IMAGE_KINDS:
        return [*_pictures(kind, pictures)]
    members = {f"{i}.png": _encoded(picture, "PNG") for i, picture in enumerate(pictures)}
    labels = {f"{i}.cls": str(i % 2).encode() for i in range(4)}
    if kind == "zip":
        return [
            _zipped(members, method)
            for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
        ]
    if kind == "tar":
        formats = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
        long = {("ä" * 90 + "/" + name): content for name, content in members.items()}
        return [_tarred({**members, **labels}, formats[0])] + [_tarred(long, each) for each in formats[1:]]
    if kind == "parquet":
        return _tables(list(members.values()))
    if kind in ("npy", "npz"):
        return _arrays(kind, np.stack(pictures))
    if kind == "csv":
        rows = "".join(f'"{name}",class {i % 2}\n' for i, name in enumerate(members))
        turned = "".join(f"{i % 2},,{name}\n" for i, name in enumerate(members))
        return [f"file,label\n{rows}".encode(), f"\ufefflabel,id,image\n{turned}".encode()]
    if kind == "safetensors":
        from safetensors.numpy import save

        features = rng.normal(size=(6, 5)).astype(np.float32)
        return [save({"features": features}), save({"x": features.astype(np.float16)}, {"extractor": "a"})]
    raise ValueError(kind)


KINDS = (*IMAGE_KINDS, "zip", "tar", "parquet", "npy", "npz", "csv", "safetensors")


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes: bytes flipped, set, cut off, put in, taken out, or copied elsewhere."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if not out:
            break
        at, length = int(rng.integers(len(out))), int(rng.integers(1, 33))
        change = int(rng.integers(7))
        if change == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif change == 1:
            for position in rng.integers(0, len(out), int(rng.integers(1, 17))):
                out[position] = int(rng.integers(256))
        elif change == 2:
            out[at : at + length] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * len(
                out[at : at + length]
            )
        elif change == 3 and rng.random() < 0.5:
            del out[at:]
        elif change == 4:
            out[at:at] = rng.bytes(length)
        elif change == 5:
            del out[at : at + length]
        else:
            other = int(rng.integers(len(out)))
            out[at : at + length] = out[other : other + length]
    return bytes(out)


def read_whole(kind: str, path: Path) -> str:
    """Opens and reads a file as its kind is; "read", "images refused" or "refused"."""
    try:
        if kind == "safetensors":
            load_features(path)
            return "read"
        if kind == "csv":
            labels_of(ImageSource(tuple(f"{i}.png" for i in range(4)), "set", lambda index: b""), path)
            return "read"
        source = open_images(path.parent if kind in IMAGE_KINDS else path)
        refused = 0
        for index in [*range(min(len(source), 12)), len(source) - 1]:
            try:
                source.decode(index)
            except UnreadableImage:
                refused += 1
        if source.labels is not None:
            source.labels[0]
        return "images refused" if refused else "read"
    except (DataError, UsageError):
        return "refused"


def cases(kind: str, count: int, first: int = 0) -> list[tuple[int, bytes]]:
    """The mutated files of a kind, by number: always the same ones."""
    own = seeds(kind)
    found = []
    for number in range(first, count):
        rng = np.random.default_rng([KINDS.index(kind), number])
        found.append((number, mutated(own[number % len(own)], rng)))
    return found


def work(kind: str, count: int, first: int) -> None:
    """What the process of a kind does: a line before and after each file."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        path.write_bytes(seeds(kind)[0])
        read_whole(kind, path)  # what is imported at the first file is not that file's memory
        before = _peak()
        for number, content in cases(kind, count, first):
            path.write_bytes(content)
            print(json.dumps({"begun": number}), flush=True)
            start = time.monotonic()
            try:
                outcome = read_whole(kind, path)
            except Exception as error:
                outcome = f"other: {type(error).__name__}: {str(error)[:200]}"
            seconds = time.monotonic() - start
            row = {"number": number, "outcome": outcome, "seconds": seconds, "grown": _peak() - before}
            print(json.dumps(row), flush=True)


def study(kind: str, count: int) -> dict[str, object]:
    """Counts of a kind, and the numbers of the files that did what none may."""
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, object]] = []
    slowest, grown, first = 0.0, 0, 0
    while first < count:
        begun = first
        command = [sys.executable, __file__, "--worker", kind, "--files", str(count), "--first", str(first)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in _lines(process):
            row = json.loads(line)
            if "begun" in row:
                begun = row["begun"]
                continue
            outcomes[row["outcome"].split(":")[0]] += 1
            slowest, grown, first = max(slowest, row["seconds"]), max(grown, row["grown"]), row["number"] + 1
            if row["outcome"].startswith("other"):
                failures.append(row)
        process.kill()
        code = process.wait()
        if first < count:
            what = "hung" if code == -9 else f"ended the process ({code})"
            outcomes[what.split(" (")[0]] += 1
            failures.append({"number": begun, "outcome": what})
            first = begun + 1
    return {
        "files": count,
        **{
            name: outcomes[name]
            for name in ("read", "images refused", "refused", "other", "hung", "ended the process")
        },
        "slowest_seconds": round(slowest, 3),
        "grown_mib": round(grown / 2**20),
        "failures": failures[:20],
    }


def _lines(process: subprocess.Popen[str]) -> list[str]:
    """The process's lines, until it ends or is silent for TIME_LIMIT (and 60 s for its start)."""
    got: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            got.put(line)
        got.put(None)

    threading.Thread(target=listen, daemon=True).start()
    lines: list[str] = []
    while True:
        try:
            line = got.get(timeout=TIME_LIMIT if lines else 60)
        except queue.Empty:
            return lines
        if line is None:
            return lines
        lines.append(line)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _encoded(picture: np.ndarray, format: str, **options: object) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, **options)
    return buffer.getvalue()


def _pictures(kind: str, pictures: list[np.ndarray]) -> list[bytes]:
    from PIL import Image

    format = IMAGE_KINDS[kind]
    files = [_encoded(pictures[0], format), _encoded(pictures[1][:, :, 0], format)]
    exif = Image.Exif()
    exif[0x0112] = 6
    variants: dict[str, list[Callable[[], bytes]]] = {
        "png": [
            lambda: _encoded(np.dstack([pictures[2], pictures[3][:, :, 0]]), "PNG"),
            lambda: _encoded(pictures[0][:, :, 0].astype(np.uint16) * 257, "PNG"),
        ],
        "jpeg": [lambda: _encoded(pictures[2], "JPEG", exif=exif, progressive=True)],
        "webp": [lambda: _encoded(pictures[2], "WEBP", lossless=True)],
        "gif": [
            lambda: _encoded(
                pictures[2],
                "GIF",
                save_all=True,
                append_images=[Image.fromarray(pictures[3])],
                transparency=0,
            )
        ],
        "tiff": [
            lambda: _encoded(pictures[2], "TIFF", compression="tiff_lzw", exif=exif),
            lambda: _encoded(pictures[3], "TIFF", compression="tiff_adobe_deflate"),
        ],
    }
    return files + [make() for make in variants.get(kind, [])]


def _zipped(members: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _tarred(members: dict[str, bytes], format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _tables(images: list[bytes]) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
    nested = pa.table({"image": [{"bytes": each, "path": None} for each in images], "label": [0, 1, 0, 1]})
    nested = nested.replace_schema_metadata(
        {b"huggingface": json.dumps({"info": {"features": about}}).encode()}
    )
    made = []
    for table, options in [
        (nested, {"row_group_size": 2}),
        (pa.table({"image": images, "label": list("abab")}), {"compression": "gzip"}),
        (pa.table({"image": images}), {"compression": "none", "use_dictionary": False}),
    ]:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, **options)
        made.append(buffer.getvalue())
    return made


def _arrays(kind: str, images: np.ndarray) -> list[bytes]:
    made = []
    if kind == "npy":
        for version in ((1, 0), (2, 0), (3, 0)):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, images, version=version)
            made.append(buffer.getvalue())
        return made
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, images, np.arange(len(images)))
        made.append(buffer.getvalue())
    return made


def main() -> None:
    """Every kind, and the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=1000, help="mutated files a kind")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.files, given.first)
        return
    found = json.loads(RESULT.read_text())["kinds"] if RESULT.exists() else {}
    for kind in given.kinds.split(","):
        found[kind] = study(kind, given.files)
        print(kind, {key: value for key, value in found[kind].items() if key != "failures"}, flush=True)
        for failure in found[kind]["failures"]:
            print("   ", failure)
    about = {"time_limit_seconds": TIME_LIMIT, "memory_limit_mib": MEMORY_LIMIT >> 20}
    about["claim_holds"] = all(
        not row["failures"] and row["slowest_seconds"] < TIME_LIMIT and row["grown_mib"] < MEMORY_LIMIT >> 20
        for row in found.values()
    )
    RESULT.write_text(
        json.dumps({**about, "kinds": {k: found[k] for k in KINDS if k in found}}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
