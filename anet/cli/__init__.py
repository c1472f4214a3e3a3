"""The command line: each verb parses, calls one function and prints. Imports wait until a verb needs them."""

from anet.cli import bench, calibrate, data, export, inspect, model, models, paper, rules, study, threshold
from anet.cli.app import app

__all__ = [
    "app",
    "bench",
    "calibrate",
    "data",
    "export",
    "inspect",
    "model",
    "models",
    "paper",
    "rules",
    "study",
    "threshold",
]
