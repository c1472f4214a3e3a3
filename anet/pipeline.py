"""The verbs that join rooms: train, evaluate, export, and all of them in a row."""

from pathlib import Path

from rich.console import Console


def train_run(options, resume, console):
    from anet.training.fit import Stopped
    from anet.training.train import resume as go_on
    from anet.training.train import train

    try:
        go_on(resume, console) if resume else train(options, console)
    except Stopped:
        return 130
    return 0
