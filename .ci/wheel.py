"""The installed wheel with no extras: it imports quickly, measures, and names the extra that is missing."""

import subprocess
import sys
from pathlib import Path

TIMED = (
    "import time, torch, numpy; start = time.perf_counter(); import assay; print(time.perf_counter() - start)"
)


def main() -> None:
    took = min(float(subprocess.run([sys.executable, "-c", TIMED], capture_output=True, text=True, check=True).stdout)
               for _ in range(3))  # fmt: skip
    print(f"import assay, beyond torch: {took:.2f} s")
    assert took <= 1.0, "importing assay takes more than a second beyond torch"

    import torch

    import assay

    where = Path(assay.__file__).resolve()
    assert "site-packages" in where.parts, where
    assert (where.parent / "py.typed").is_file(), "py.typed is not in the wheel"
    heavy = {"PIL", "rich", "typer", "onnx", "onnxruntime", "hypothesis", "torchmetrics"} & set(sys.modules)
    assert not heavy, f"import assay pulled in {heavy}"

    x, y, held_out = torch.randn(200, 8), torch.randn(200, 8), torch.randn(200, 8)
    for name in assay.sets.__all__:
        measure = getattr(assay.sets, name)
        if isinstance(measure, assay.Measure):
            some = {1: (y,), 2: (x, y), 3: (x, y, held_out)}[len(measure.sides)]
            sets = (x.softmax(1),) if measure.domain == "probabilities" else some
            assert torch.isfinite(measure(*sets)), name
    print(f"assay {assay.__version__}: measures of tensors work without extras")

    done = subprocess.run(
        [Path(sys.executable).parent / "assay", "--version"], capture_output=True, text=True
    )
    says_extra(done.returncode != 0, "assay[cli]", done.stdout + done.stderr)
    try:
        assay.compare(
            torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
        )
    except assay.MissingExtra as error:
        says_extra(True, "assay[images]", str(error))
    else:
        raise AssertionError("comparing images without the extra went through")


def says_extra(failed: bool, extra: str, message: str) -> None:
    assert failed and extra in message and "Traceback" not in message, message
    print(message.strip())


if __name__ == "__main__":
    main()
