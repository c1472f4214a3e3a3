"""TensorBoard events: written where the package is, silent where it is not."""

import os

from anet.training import events
from anet.training.events import SCALARS, TensorBoard
from anet.training.fit import Event

ROW = {name: 0.5 for name in SCALARS} | {"val_iou": None}


def show(folder):
    with TensorBoard(folder) as board:
        board(Event(1, 2, 1, 4, 0.9))  # a step, not an epoch
        assert not list(folder.iterdir())
        board(Event(1, 2, 2, 4, 0.9, ROW))


def test_each_epoch_becomes_events_without_what_is_unknown(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    show(tmp_path)
    seen = EventAccumulator(str(tmp_path)).Reload()
    assert set(seen.Tags()["scalars"]) == set(SCALARS) - {"val_iou"}
    assert [(event.step, event.value) for event in seen.Scalars("train_loss")] == [(1, 0.5)]


def test_without_the_package_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    show(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_whose_name_is_no_utf8_gets_none(tmp_path):
    folder = tmp_path / os.fsdecode(b"r\xff")
    folder.mkdir()
    show(folder)
    assert not list(folder.iterdir())
