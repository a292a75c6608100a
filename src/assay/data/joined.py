"""Several sets of images as one, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.data.decode import Raw, UnreadableImage
from assay.data.labels import coded
from assay.data.names import JoinedNames
from assay.data.source import ImageSource
from assay.data.stored_file import signature_of


@dataclass(frozen=True)
class JoinedReader:
    """index -> the image as the set that it lies in stores it."""

    names: JoinedNames
    readers: tuple[Callable[[int], Raw], ...]

    def __call__(self, index: int) -> Raw:
        part, within = self.names.place(index)
        try:
            return self.readers[part](within)
        except UnreadableImage as error:
            problem = UnreadableImage(self.names[index], error.reason)
        raise problem


def join_sources(sources: Sequence[ImageSource], prefixes: Sequence[str], description: str) -> ImageSource:
    """One set of all, in the given order, each image's name below its set's prefix; labels where all sets have them.

    prefixes: one a set, each its own.
    """
    names = JoinedNames(prefixes, [source.names for source in sources])
    own = [source.labels for source in sources]
    labels = None if None in own else coded(label for each in own if each is not None for label in each)
    # names too: which row of which part an image is depends on where the parts end
    sizes = [f"{prefix}:{len(source)}" for prefix, source in zip(prefixes, sources, strict=True)]
    return ImageSource(
        names,
        description,
        JoinedReader(names, tuple(source.read for source in sources)),
        labels,
        signature_of([*sizes, *(source.signature for source in sources)]),
    )
