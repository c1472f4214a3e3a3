"""Exports that are stopped, meet one another, or start from what lies outside of a run: whole bundles, or none."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anet.errors import ModelError, OptionError, OutputError
from anet.export import deployable
from anet.export.deployable import export_bundle
from anet.files import appearing, sha256
from anet.operating import choose_operating, write_point
from anet.pipeline import export_run, print_exported
from anet.runtime.card import AS_TRAINED, CARD, check_bundle
from anet.runtime.verdicts.bundled_rules import RULES, add_rules
from anet.scoring.regions import THRESHOLDS, Survey
from anet.scoring.risk import Aim, point_at
from anet.training.checkpoint import load_model, save_model
from tests.test_engines import Bright, Brightness
from tests.test_export import facts


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def export(out: Path, **more) -> Path:
    return export_bundle(Brightness(), facts(**more), out, [Bright("a")])


@pytest.mark.parametrize("stage", ["convert", "_save", "_sealed", "parity", "speed", "page"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_export_stopped_at_any_stage_leaves_the_old_bundle_and_nothing_else(tmp_path, monkeypatch, stage, error):
    export(tmp_path / "model")
    before = held(tmp_path)

    def stop(*_, **__):
        raise error

    monkeypatch.setattr(deployable, stage, stop)
    for out in ("model", "new"):
        with pytest.raises(error):
            export(tmp_path / out, threshold=0.7)
    assert held(tmp_path) == before and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_of_two_exports_into_one_folder_the_last_one_stands_whole(tmp_path, monkeypatch):
    page = deployable.page

    def meanwhile(card):
        monkeypatch.setattr(deployable, "page", page)
        export(tmp_path / "model", threshold=0.6)
        return page(card)

    monkeypatch.setattr(deployable, "page", meanwhile)
    export(tmp_path / "model", threshold=0.7)
    assert check_bundle(tmp_path / "model").threshold == 0.7
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("old", [False, True])
def test_who_comes_second_between_two_renames_is_told_so_and_spoils_nothing(tmp_path, monkeypatch, old):
    out, rename = tmp_path / "out", Path.rename
    if old:
        out.mkdir()
        (out / "file").write_text("old")

    def late(self, target):
        if self.name == "made":  # the other one is faster by a hair
            out.mkdir()
            (out / "file").write_text("theirs")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(OutputError, match=r"cannot write .*out: Directory not empty"), appearing(out) as made:
        (made / "file").write_text("ours")
    assert held(tmp_path) == {"out/file": b"theirs"}


@pytest.mark.parametrize("after", ["out", "old"])
def test_ctrl_c_between_the_two_renames_or_right_after_one_leaves_a_whole_folder(tmp_path, monkeypatch, after):
    out, rename = tmp_path / "out", Path.rename
    out.mkdir()
    (out / "file").write_text("old")

    def stopped(self, target):
        if after == "old" and self.name == "made":
            raise KeyboardInterrupt
        renamed = rename(self, target)
        if after == "out" and self.name == "out":
            raise KeyboardInterrupt
        return renamed

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt), appearing(out) as made:
        (made / "file").write_text("new")
    assert held(tmp_path) == {"out/file": b"old"} and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_rules_or_a_threshold_that_came_while_a_bundle_was_exported_anew_are_not_lost(tmp_path, monkeypatch):
    out, toml, page = export(tmp_path / "model"), tmp_path / "rules.toml", deployable.page
    toml.write_text('[[rules]]\nname = "all"\naction = "reject"\nmax_count = 3\n')

    def meanwhile(card):
        add_rules(out, toml)
        return page(card)

    monkeypatch.setattr(deployable, "page", meanwhile)
    with pytest.raises(ModelError, match=r"card\.json changed while its model was exported anew: nothing was written"):
        export(out, threshold=0.7)
    card = check_bundle(out)
    assert RULES in card.files and card.threshold != 0.7
    monkeypatch.setattr(deployable, "page", page)
    export(out, threshold=0.7)
    assert RULES in check_bundle(out).files


def test_a_bundle_that_is_a_mount_point_is_refused_before_any_work(lone, tmp_path, monkeypatch):
    model, data = lone
    with pytest.raises(OutputError, match="/proc is a mount point"), appearing(Path("/proc")):
        raise AssertionError("it is refused before the work")
    bundle, _ = export_run(model, tmp_path / "out", data=data)
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(bundle))
    for work in ("_proven_on", "export_bundle"):
        monkeypatch.setattr(f"anet.pipeline.{work}" if work[0] == "_" else f"anet.export.deployable.{work}", None)
    with pytest.raises(OutputError, match=r"out is a mount point, which is never replaced: write beside it and copy"):
        export_run(model, bundle, data=data)
    monkeypatch.setattr("anet.operating.prepare", None)
    with pytest.raises(OutputError, match="is a mount point"):
        choose_operating(bundle, data, Aim(max_escape=0.5), write=True)


@pytest.fixture(scope="module")
def lone(tmp_path_factory) -> tuple[Path, Path]:
    """Give a model file outside of its run, and the data set that it was trained on."""
    from rich.console import Console

    from anet.training.train import train
    from tests.tiny import make_set, tiny

    folder = tmp_path_factory.mktemp("lone")
    run = train(tiny(make_set(folder / "data"), folder / "runs", epochs=1), Console(quiet=True))
    assert run is not None
    return Path(shutil.copy(run / "best.safetensors", folder / "mine.safetensors")), folder / "data"


def test_the_runs_own_pictures_that_lie_elsewhere_by_now_prove_it_in_the_runs_own_parts(tmp_path):
    from rich.console import Console

    from anet.pipeline import _proven_on
    from anet.training.train import train
    from tests.tiny import make_set, tiny

    data = make_set(tmp_path / "data")
    run = train(tiny(data, tmp_path, epochs=1, protocol="paper", split_seed=2, pictures=8), Console(quiet=True))
    facts = load_model(run / "best.safetensors")[1]
    moved = Path(shutil.move(data, tmp_path / "elsewhere"))
    plan, _, parts = _proven_on(run, facts, moved)
    names = [[sample.name for sample in part] for part in (parts.train, parts.val)]
    assert len(names[0]) + len(names[1]) == 8 and parts.protocol == "paper" and plan.pictures == 8
    assert set(names[1]).isdisjoint(names[0]) and facts.provenance["split"]["val"] == len(names[1])
    (moved / "images" / "test" / "13.png").unlink()
    (moved / "masks" / "test" / "13.png").unlink()
    assert _proven_on(run, facts, moved)[2].protocol == "given"  # other pictures: as that set is parted by itself


def test_a_model_file_outside_of_its_run_is_exported_with_its_pictures_or_says_what_it_needs(lone, tmp_path):
    model, data = lone
    with pytest.raises(ModelError, match=r"run\.json is missing: --data says"):
        export_run(model, tmp_path / "out")
    with pytest.raises(OptionError, match="ptq would work"):
        export_run(model, tmp_path / "out", ("openvino", "int8"), data=data, int8="qat")
    assert not list(tmp_path.iterdir())
    bundle, card = export_run(model, tmp_path / "out", data=data)
    assert check_bundle(bundle) == card and card.parity["pictures"] == 2 and AS_TRAINED not in card.parity


@pytest.mark.parametrize(("iou", "warns"), [(0.9, True), (0.1, False)])
def test_a_size_that_costs_iou_is_warned_of_in_one_line(lone, tmp_path, monkeypatch, capsys, iou, warns):
    from rich.console import Console

    model, data = lone
    monkeypatch.setattr(deployable, "iou_of", lambda *_: iou)
    bundle, card = export_run(model, tmp_path / "out", size="32x64", data=data)
    print_exported(bundle, card, Console(width=200))
    said = capsys.readouterr().out
    after = card.parity["torch"]["iou"]
    assert card.parity[AS_TRAINED] == {"iou": iou} and (iou > after) == warns
    line = f"warning: IoU falls from {100 * iou:.2f} at 32x32, as trained, to {100 * after:.2f} at 32x64\n"
    assert (line in said) == warns and "torch as trained" in (bundle / "CARD.md").read_text()


def test_a_chosen_threshold_stays_with_another_export_of_the_same_training_and_with_no_other(lone, tmp_path, capsys):
    from rich.console import Console

    model, data = lone
    bundle, card = export_run(model, tmp_path / "out", data=data)
    none = np.zeros((0, len(THRESHOLDS)), np.int64)
    point = point_at(Survey(THRESHOLDS, none, none, none), 0.25, 12, Aim(max_escape=0.5))
    write_point(bundle, point, {"by": "anet threshold"}, sha256((bundle / CARD).read_bytes()))
    print_exported(*export_run(model, bundle, data=data), Console(width=200))
    assert "decides as `anet threshold` chose: above 0.25, regions from 12 px" in capsys.readouterr().out
    again = check_bundle(bundle)
    assert (again.threshold, again.min_area_px, again.provenance["threshold"]["by"]) == (0.25, 12, "anet threshold")
    network, facts = load_model(model)
    for size in ("32x64", "dynamic"):  # the point was chosen for another input
        sized = Path(shutil.copytree(bundle, tmp_path / size))
        assert export_run(model, sized, data=data, size=size)[1].threshold == card.threshold
    other = tmp_path / "other.safetensors"
    save_model(other, network.state_dict(), replace(facts, provenance={**facts.provenance, "seed": 99}))
    assert export_run(other, bundle, data=data)[1].threshold == card.threshold
