"""Train on your own pictures, export, and score on held-out ones: `python train_own.py DATA RUNS [EPOCHS] [SIZE]`.

DATA holds `images/` and `masks/` with equal names, see docs/data.md.
"""

import sys
from pathlib import Path

from rich.console import Console

from anet.evaluation import evaluate_model, print_scores
from anet.pipeline import export_run
from anet.training.train import Options, train


def main(data: Path, runs: Path, epochs: int = 100, size: int = 224, network: str = "anet") -> Path:
    """Give the bundle."""
    console = Console()
    run = train(Options(data, network=network, epochs=epochs, size=size, runs=runs, seed=0), console)
    bundle = run / "bundle"
    export_run(run, bundle, ["openvino"])
    print_scores(evaluate_model(bundle, data), console)  # on its test part; nothing was chosen there
    return bundle


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5]))
