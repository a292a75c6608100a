"""One comparison in TensorBoard, Weights & Biases (offline) and MLflow, each where it is installed.

pip install "assay[images,tensorboard,wandb,mlflow]"
python examples/loggers.py --out runs
tensorboard --logdir runs/tensorboard
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path

import assay
from assay.comparison import Comparison

EXAMPLES = Path(__file__).parent


def to_tensorboard(found: Comparison, folder: Path, step: int) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from assay.adapters.tensorboard import log_comparison

    with SummaryWriter(folder) as writer:
        log_comparison(found, writer, step)


def to_wandb(found: Comparison, folder: Path, step: int) -> None:
    import wandb

    from assay.adapters.wandb import log_comparison

    folder.mkdir(parents=True, exist_ok=True)
    with wandb.init(project="generator", mode="offline", dir=str(folder)) as run:
        log_comparison(found, run, step)


def to_mlflow(found: Comparison, folder: Path, step: int) -> None:
    from mlflow import MlflowClient

    from assay.adapters.mlflow import log_comparison

    folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db")
    place = (folder.resolve() / "artifacts").as_uri()
    run = client.create_run(client.create_experiment("generator", artifact_location=place))
    log_comparison(found, run, step, client=client)
    client.set_terminated(run.info.run_id)


LOGGERS = {"tensorboard": to_tensorboard, "wandb": to_wandb, "mlflow": to_mlflow}


def main() -> None:
    parser = argparse.ArgumentParser(description="Log one comparison everywhere.")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--features", default="efficientnet-lite0")
    args = parser.parse_args()
    found = assay.compare(
        EXAMPLES / "real.zip", EXAMPLES / "late.zip", features=args.features, measures=["fd", "kd"]
    )
    for name, log in LOGGERS.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name}: not installed")
            continue
        log(found, args.out / name, step=2200)
        print(f"{name}: in {args.out / name}")


if __name__ == "__main__":
    main()
