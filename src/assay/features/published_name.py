"""How is an extractor called, so that a name alone stands for the published set-up?"""

from __future__ import annotations

from assay.features.weights import WeightFile


def extractor_name(name: str, file: WeightFile, *, resize: str | None = None, crop: str | None = None) -> str:
    """`name`, and in brackets whatever departs from its defaults: `inception[legacy-pytorch,weights=1a2b3c4d]`.

    resize, crop: None where they are the default. Weights that are not the published ones show the first 8 digits of
    their SHA-256.
    """
    departures = [
        *([resize] if resize is not None else []),
        *([f"crop={crop}"] if crop is not None else []),
        *([] if file.published else [f"weights={file.sha256[:8]}"]),
    ]
    return f"{name}[{','.join(departures)}]" if departures else name
