"""Tables and figures of what was trained and measured here, beside print; nothing is invented where it is missing."""

import csv
import io
import json
import math
import re
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from anet.bench.show import read_record
from anet.data import load
from anet.errors import DataError, OptionError, OutputError
from anet.files import sha256
from anet.nets import build
from anet.nets.ablation import ABLATIONS
from anet.paper import everything, gallery, scores
from anet.paper.datasets import data_grid
from anet.paper.everything import Sources, figure, put_figure, put_table, table, write_all
from anet.paper.figure_9 import figure_9, records
from anet.paper.figures import save
from anet.paper.grid import ENDINGS, FORMATS, Grid, render, tex
from anet.paper.measured import cells, stand_ins
from anet.paper.published import PRINTED
from anet.paper.published_scores import ABLATION, COLUMNS, FPS, IOU, TITLES, columns_of, printed
from anet.results import read_all
from anet.study.show import device_here
from anet.training.checkpoint import Facts, save_model
from tests import layouts

ROOT = Path(__file__).parent.parent
RESULT = json.loads((ROOT / "results/sd900/inclusion/grouped/anet-strong-e80-s0.json").read_text())


def put(folder, network="anet", iou=0.6, seed=0, epochs=80, protocol="grouped", data="sd900", task="inclusion", **more):
    """Write a result as the ledger has it, of a made-up run, and give its content."""
    one = json.loads(json.dumps(RESULT))
    one["data"] |= {"name": data, "task": task}
    one["split"] |= {"protocol": protocol}
    one["scores"]["iou"] = [0.9, iou]
    one["data"]["digest"] = more.pop("digest", "")
    one["model"] |= {"network": network, "seed": seed, **more}
    one["model"]["recipe"]["epochs"] = epochs
    one["training"]["pictures_per_s"] = None
    path = folder / f"{data}-{task}-{protocol}-{network}-{epochs}-{seed}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(one))
    return one


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "results").mkdir()
    return Sources(tmp_path / "results", tmp_path / "runs", tmp_path / "data")


def line_of(grid: Grid, label: str) -> tuple[str, ...]:
    return next(row for row in grid.rows if row[0] == label)


# --- what is printed ---


def test_the_printed_tables_are_of_the_networks_whose_cost_is_printed():
    assert list(IOU) == list(PRINTED) == list(TITLES)
    assert all(len(values) == len(COLUMNS) for values in IOU.values())
    assert {network: iou for network, (_, iou, _, _) in ABLATION.items()}["anet"] == IOU["anet"][:3]
    assert set(ABLATION) == ABLATIONS.keys() - {"anet-plain"} and FPS.keys() < IOU.keys()


def mean(network, table):
    return statistics.fmean(printed(column)[network] for column in columns_of(table))


def test_the_papers_claims_follow_from_its_own_tables():
    gains = [mean("anet", number) - mean("unet", number) for number in (4, 5, 6, 7)]
    assert [round(gain, 2) for gain in gains] == [-0.21, -0.29, 4.70, 5.94]  # abstract: -0.21, -0.3, +4.7, +5.94
    assert round(1 - PRINTED["anet"].params_m / PRINTED["unet"].params_m, 3) == 0.988
    assert round(1 - PRINTED["anet"].flops_g[224] / PRINTED["unet"].flops_g[224], 2) == 0.99
    assert round(max(v for v in printed(COLUMNS[1]).values() if v) - IOU["anet"][1], 2) == 1.15
    assert round(max(v for v in printed(COLUMNS[5]).values() if v) - IOU["anet"][5], 2) == 0.34
    assert round(max(v for v in printed(COLUMNS[8]).values() if v) - IOU["anet"][8], 2) == 0.36
    times = [FPS["anet"][at] / FPS[n][at] for at in (0, 1) for n in ("bisenet", "bisenetv2", "erfnet", "esnet")]
    assert (round(min(times), 1), round(max(times), 1)) == (2.6, 5.2)
    assert all(1 - ABLATION["anet-light-wide"][at] / ABLATION["anet-none"][at] > 0.9 for at in (2, 3))
    places = {column.title: scores.ranks(printed(column))["anet"].split("/")[0] for column in COLUMNS}
    assert places == {
        "Inclusion": "1", "Patches": "9", "Scratches": "3", "Class7": "1", "Class8": "2", "Class9": "4",
        "Class10": "3", "MCSD": "1", "MT": "3",
    }  # fmt: skip


def test_the_papers_claims_that_its_own_tables_refute():
    large = [name for name in PRINTED if name not in ("anet", *LIGHT)]
    enet, mine = PRINTED["enet"], PRINTED["anet"]
    assert enet.params_m < mine.params_m and enet.flops_g[224] < mine.flops_g[224]  # "much fewer ... than all"
    assert min(large, key=lambda name: PRINTED[name].params_m) == "lsa-net"  # "SegNet ... minimum parameters"
    assert min(large, key=lambda name: PRINTED[name].flops_g[224]) == "swin-unet"  # "FCN ... lowest FLOPs"
    assert PRINTED["topformer"].flops_g[224] < PRINTED["anet"].flops_g[224]  # "lower than other small models"
    assert [name for name in LIGHT if IOU[name][1] > IOU["anet"][1]] == ["bisenet", "esnet"]  # "surpasses" them
    assert all(FPS["enet"][place] > FPS["anet"][place] for place in (0, 1))  # "outperforms other models"
    assert ABLATION["anet-light-wide"][1][2] < ABLATION["anet-none"][1][2]  # "a slight increase in performance"
    assert ABLATION["anet-jump"][1][1] < ABLATION["anet-light-wide"][1][1]  # "significantly improved"


LIGHT = ("bisenet", "bisenetv2", "stdc", "erfnet", "esnet", "enet", "topformer")


# --- IoU ---


def test_a_cell_is_the_mean_over_seeds_with_spread_deviation_and_rank(sources):
    for seed, iou in enumerate((0.60, 0.62)):
        put(sources.results, seed=seed, iou=iou)
    put(sources.results, "enet", 0.58)
    row = line_of(table(4, "iou", sources)[0], "A-Net")
    assert row[1:3] == ("60.53", "1/17") and row[6:] == ("61.00 ± 1.41", "+0.47", "1/2")
    assert line_of(table(4, "iou", sources)[0], "ENet")[6:] == ("58.00", "-0.21", "2/2")


def test_a_column_is_ranked_within_the_training_that_most_networks_share(sources):
    for network, iou in (("anet", 0.6), ("enet", 0.58), ("topformer", 0.7)):
        put(sources.results, network, iou)
    other = put(sources.results, iou=0.55, epochs=2000)
    other["model"]["recipe"]["name"] = "paper"
    ledger = [other, *(one for one in read_all(sources.results) if one["model"]["recipe"]["epochs"] == 80)]
    shown, left = cells(ledger, "sd900", "inclusion", "grouped")
    assert {network: str(cell) for network, cell in shown.items()} == {
        "anet": "60.00", "enet": "58.00", "topformer": "70.00",
    }  # fmt: skip
    ((network, words),) = left
    assert network == "anet" and words.startswith("A-Net by recipe paper, ") and words.endswith("1 seed: 55.00")
    assert ", 2000 epochs, batch 16, size 224, " in words
    put(sources.results, "enet", 0.9, seed=1)  # as many networks: the most seeds
    for network in ("anet", "enet", "topformer"):
        put(sources.results, network, 0.1, epochs=100)
    grid = table(4, "iou", sources)[0]
    assert line_of(grid, "ENet")[6:] == ("74.00 ± 22.63", "+15.79", "1/3") and line_of(grid, "A-Net")[8] == "3/3"
    (note,) = [note for note in grid.notes if "in no cell" in note]
    assert "A-Net by recipe strong, 100 epochs, batch 16, size 224, 1 seed: 10.00; " in note and "2000 epochs" in note
    said = " ".join(figure(1, sources).said)
    assert "not drawn, protocol grouped: A-Net by recipe strong, 2000 epochs" in said


def test_a_study_s_result_fills_its_cell_whatever_else_lies_there(sources):
    one = put(sources.results, iou=0.6)
    other = one | {"format": 1, "scores": one["scores"] | {"iou": [0.9, 0.5]}}
    (sources.results / "zz.json").write_text(json.dumps(other))
    assert str(cells(read_all(sources.results), "sd900", "inclusion", "grouped")[0]["anet"]) == "60.00"


def test_other_labels_are_no_further_seed_of_a_cell_and_are_named(sources):
    put(sources.results, iou=0.6, digest="a" * 64)
    put(sources.results, "enet", iou=0.6, digest="a" * 64)
    put(sources.results, iou=0.8, seed=1, digest="b" * 64)
    grid = table(4, "iou", sources)[0]
    assert line_of(grid, "A-Net")[6] == "60.00"
    assert any("A-Net by" in note and "other labels (SHA-256 bbbbbbbb): 80.00" in note for note in grid.notes)


def test_the_longest_training_is_shown_even_where_a_shorter_one_scored_higher(sources):
    put(sources.results, iou=0.9, epochs=10)
    put(sources.results, iou=0.5, epochs=100)
    grid = table(4, "iou", sources)[0]
    assert line_of(grid, "A-Net")[6] == "50.00" and any("100 epochs" in note for note in grid.notes)


def test_validation_scores_other_splits_few_labels_other_starts_and_recipes_fill_no_cell(sources):
    one, where = put(sources.results), ("sd900", "inclusion", "grouped")
    recipe = {**one["model"]["recipe"], "balance": 0.123}
    changes = (
        {"data": {"part": "val"}}, {"split": {"seed": 1}}, {"data": {"free": True}}, {"split": {"pictures": 20}},
        {"model": {"init": {"name": "synthetic"}}}, {"model": {"recipe": recipe}}, {"model": {"aux": True}},
    )  # fmt: skip
    for change in changes:
        other = {**one, **{key: {**one[key], **value} for key, value in change.items()}}
        assert cells([one], *where)[0] and not cells([other], *where)[0]
    assert cells([{**one, "trained_on_another_split_of_this_data": True}], *where) == ({}, [])


def test_missing_cells_say_what_they_would_cost_where_a_speed_is_known(sources, monkeypatch):
    put(sources.results)
    assert line_of(table(4, "iou", sources)[0], "FCN")[3] == "(?)"
    monkeypatch.setattr(scores.Price, "hours", lambda self, column, network, protocol, epochs: 2.0)
    grid = table(4, "iou", sources)[0]
    assert line_of(grid, "FCN")[3] == "(2.0 h)"
    assert any("70 in all" in note and "baselines" in note for note in grid.notes)  # 18 * 2 - 1 cells


def test_hours_are_those_of_the_ledgers_speed_on_this_device(sources):
    one = put(sources.results)
    cpu = device_here()
    one["model"] |= {"device": "cpu", "machine": {**one["model"]["machine"], "cpu": cpu}}
    one["training"]["pictures_per_s"] = 10.0
    price = scores.Price([one], sources.data_root, COLUMNS)
    assert price.hours(COLUMNS[0], "anet", "paper") == pytest.approx(100 * one["split"]["train"] / 10 / 3600)
    assert price.hours(COLUMNS[0], "anet", "paper", 80) == pytest.approx(0.8 * price.hours(COLUMNS[0], "anet", "paper"))
    assert price.hours(COLUMNS[3], "anet-none", "paper") > 0  # no picture there: as many as the paper trains with


@pytest.mark.parametrize("number", [5, 6])
def test_columns_of_data_that_is_not_public_ask_for_it_and_fill_when_it_comes(sources, number):
    column = columns_of(number)[0]
    put(sources.results, "enet", data="mt", task="defect")
    assert line_of(table(number, "iou", sources)[0], "A-Net")[3] == "give the data"
    put(sources.results, data=column.data, task=column.task, iou=0.7)
    assert line_of(table(number, "iou", sources)[0], "A-Net")[6] == "70.00"


def test_a_training_names_its_precision_where_it_is_known(sources):
    for network, known in (("anet", None), ("anet-none", "32"), ("anet-wide", "bf16")):
        put(sources.results, network, trained_in=known)
    told = {note.partition(",")[0]: note for note in table(3, "iou", sources)[0].notes}
    assert "size 224, 1 seed" in told["A-Net"] and "float32, 1 seed" in told["anet-none"]
    assert "bf16, 1 seed" in told["anet-wide"]


@pytest.mark.parametrize(("number", "data"), [(4, "neu_seg"), (5, "synth-a"), (6, "ksdd")])
def test_stand_ins_stand_apart_under_their_own_names_and_fill_nothing(sources, number, data):
    put(sources.results, data=data, task="defect", iou=0.99, init={"name": "anet-synthetic", "sha256": "0"})
    *grids, apart = table(number, "iou", sources)
    assert not any("99.00" in cell for grid in grids for row in grid.rows for cell in row)
    assert apart.rows[0][0] == data and apart.rows[0][-1] == "99.00"
    assert "strong from anet-synthetic" in apart.rows[0] and apart.flat[0]["recipe"] == "strong from anet-synthetic"
    assert not stand_ins(read_all(sources.results), 7)


def test_the_ablation_has_the_papers_rows_and_a_fair_one_apart(sources):
    put(sources.results, "anet-plain", 0.5)
    grid = table(3, "iou", sources)[0]
    assert [row[1] for row in grid.rows] == ["47.13", "46.43", "52.71", "51.28", "56.77", "60.53", "–"]
    assert grid.rows[-1][6:] == ("50.00", "", "1/1")


def test_the_ablations_cost_comes_out_to_every_printed_digit(sources):
    for row in table(3, "cost", sources)[0].flat[:6]:
        assert f"{row['params'] / 1e6:.2f}" == f"{row['printed_params_m']:.2f}"
        assert f"{row['as_paper'] / 1e9:.2f}" == f"{row['printed_flops_g']:.2f}"


def test_table_two_agrees_in_every_channel_and_stands_for_every_row_of_the_network(sources):
    (grid,) = table(2, "iou", sources)
    assert all(row["printed"] == row["here"] for row in grid.flat)
    assert sum(len(row["rows"].split()) for row in grid.flat) == 32
    assert {(row["printed_size"], row["size"]) for row in grid.flat if not row["same"]} == {
        (64, "56"), (32, "28"), (16, "14"), (8, "7"),
    }  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), st.none() | st.floats(0, 100), max_size=8))
def test_ranks_go_from_the_highest_down_and_equal_values_share_a_place(values):
    found = {name: int(place.split("/")[0]) for name, place in scores.ranks(values).items()}
    assert found.keys() == {name for name, value in values.items() if value is not None}
    for one in found:
        assert all((values[one] < values[other]) == (found[one] > found[other]) for other in found)


def test_data_sets_are_counted_by_protocol_and_one_that_is_not_there_is_named(tmp_path):
    layouts.mcsd(tmp_path)
    grid = data_grid(tmp_path)
    found = {row["column"]: row for row in grid.flat}
    assert found["MCSD"]["pictures"] == 6 == found["MCSD"]["paper_train"] + found["MCSD"]["paper_test"]
    assert found["Class7"]["pictures"] is None and any("DAGM2007 is not there" in note for note in grid.notes)
    assert (found["MT"]["printed_train"], found["MT"]["printed_test"]) == (341, 51)


@pytest.mark.data
def test_the_public_sets_part_into_the_papers_sizes(real_data):
    for row in data_grid(real_data).flat:
        if row["pictures"]:
            assert (row["paper_train"], row["paper_test"]) == (row["printed_train"], row["printed_test"])


# --- forms ---


def test_every_form_holds_every_row_and_csv_the_same_figures(sources):
    put(sources.results)
    grids = table(4, "iou", sources)
    texts = {form: render(grids, form, 60) for form in FORMATS}
    for form in ("table", "md", "markdown", "latex"):
        assert all(title in texts[form] for title in TITLES.values()) and "60.00" in texts[form]
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert len(rows) == 3 * 18 * 2
    assert [row["iou"] for row in rows if row["iou"]] == ["60.0"]
    assert texts["latex"].count(r"\begin{tabular}") == texts["latex"].count(r"\end{tabular}") == 3


def test_the_notes_name_the_trainings_of_the_tables_own_networks_only(sources):
    put(sources.results)
    put(sources.results, network="anet-light-wide")
    put(sources.results, network="enet")
    fourth, third = (render(table(number, "iou", sources), "md") for number in (4, 3))
    assert "A-Net, grouped: recipe" in fourth and "ENet, grouped: recipe" in fourth
    assert "anet-light-wide, grouped" not in fourth and "anet-light-wide, grouped" in third
    assert "ENet, grouped" not in third


@given(st.text())
def test_latex_gets_no_character_that_it_would_read_as_an_order(text):
    orders = r"\\[&%$#_{}]|\\text(backslash|asciitilde|asciicircum)\{\}|\\checkmark\{\}|\$(\\(pm|times|ge)|-)\$"
    assert not set("&%$#_~^{}\\") & set(re.sub(orders, "", tex(text)))


def test_a_name_from_the_ledger_breaks_no_form(sources):
    put(sources.results, data="synth|=1+1", task="defect")
    apart = table(5, "iou", sources)[-1]
    assert "| synth\\|=1+1 |" in render([apart], "md")
    formula = Grid("t", ("a",), (("=1",),), ("a",), (), ({"a": "=1+1"},))
    assert render([formula], "csv").splitlines()[1] == "'=1+1"


@pytest.mark.parametrize(
    ("number", "columns", "said"), [(1, "iou", "2, 3, 4, 5, 6, 7"), (8, "iou", "no table 8"), (4, "dice", "iou, cost")]
)
def test_a_table_that_does_not_exist_is_refused_with_those_that_do(sources, number, columns, said):
    with pytest.raises(OptionError, match=said):
        table(number, columns, sources)


def test_results_that_cannot_be_read_are_named_and_nothing_is_written(sources, tmp_path):
    (sources.results / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken\.json"):
        put_table(4, "iou", "md", sources, tmp_path / "t.md", Console())
    with pytest.raises(DataError, match=r"broken\.json"):
        write_all(tmp_path / "all", sources)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("name", "begins"), [("t.md", "**Table"), ("t.csv", "table,column"), ("t.tex", "\\begin{table}"), ("t.txt", " ")]
)
def test_a_table_has_the_form_that_its_file_is_named_for(sources, tmp_path, name, begins):
    put_table(5, "iou", None, sources, tmp_path / name, Console())
    assert (tmp_path / name).read_text().startswith(begins)
    with pytest.raises(OptionError, match=r"a table is written as \.txt, \.md, \.csv, \.tex"):
        put_table(5, "iou", None, sources, tmp_path / "t.png", Console())


def test_a_table_or_figure_never_takes_an_inputs_place(sources, tmp_path):
    result, picture, run = sources.results / "a.json", tmp_path / "data/set/a.png", tmp_path / "runs/one.png"
    for path in (result, picture, run):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    asked = Sources(sources.results, tmp_path / "runs", tmp_path / "data")
    with pytest.raises(OutputError, match="inputs are never changed"):
        put_table(4, "iou", "md", asked, result, Console())
    for path in (picture, run):
        with pytest.raises(OutputError, match="inputs are never changed"):
            put_figure(1, path, asked, "grouped", Console())
    assert all(path.read_bytes() == b"mine" for path in (result, picture, run))
    result.unlink()
    put_table(4, "iou", "md", asked, sources.results / "new.md", Console())
    assert (sources.results / "new.md").exists()


# --- figures ---


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """An untrained network as a run, a made-up score that names it, and pictures in MCSD's layout."""
    world = tmp_path_factory.mktemp("world")
    sources = Sources(world / "results", world / "runs", world / "data")
    dataset = load(layouts.mcsd(sources.data_root), "defect")
    weights = sources.runs / "deep" / "mine" / "best.safetensors"
    weights.parent.mkdir(parents=True)
    facts = Facts("anet", dataset.class_names, 32, (0.5,) * 3, (0.25,) * 3, 0.5)
    save_model(weights, build("anet", 1).state_dict(), facts)
    named = {"sha256": sha256(weights.read_bytes()), "digest": dataset.digest()}
    put(sources.results, data="mcsd", task="defect", protocol="paper", **named)
    return sources


def test_networks_are_drawn_by_the_very_weights_that_the_score_names(pictures):
    drawn = figure(7, pictures, "paper")
    assert drawn.said[1] == "MCSD: images/004. Missing: not trained: all but A-Net."
    titles = [axes.get_xlabel() for axes in drawn.figure.axes if axes.get_xlabel()]
    assert titles == ["Image", "Ground truth", "A-Net"]


def test_other_weights_or_other_pictures_are_never_drawn(pictures, tmp_path):
    (result,) = pictures.results.rglob("*.json")
    content = json.loads(result.read_text())
    for key, change, said in (("model", {"sha256": "0" * 64}, "weights not below --runs"),
                              ("data", {"digest": "0" * 64}, "other pictures")):  # fmt: skip
        shutil.rmtree(tmp_path / "r", ignore_errors=True)
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "x.json").write_text(json.dumps({**content, key: {**content[key], **change}}))
        with pytest.raises(DataError, match=said):
            figure(7, Sources(tmp_path / "r", pictures.runs, pictures.data_root), "paper")


def test_a_figure_without_its_pictures_or_runs_says_so(pictures, tmp_path):
    with pytest.raises(DataError, match="DAGM2007 is not there"):
        figure(6, pictures)
    with pytest.raises(OptionError, match="no folder"):
        figure(5, Sources(pictures.results, tmp_path / "none", pictures.data_root))
    with pytest.raises(OptionError, match="results is no folder"):
        figure(5, Sources(tmp_path / "results", pictures.runs, pictures.data_root))
    with pytest.raises(OptionError, match="paper, grouped exist"):
        figure(5, pictures, "given")
    with pytest.raises(OptionError, match="1, 5, 6, 7, 8, 9"):
        figure(2, pictures)


@pytest.mark.parametrize(("networks", "first"), [(17, 8), (18, 9), (3, 3)])
def test_even_bands_hold_all_networks_in_the_papers_order(pictures, networks, first):
    found = gallery.read_line(
        columns_of(6)[0], read_all(pictures.results), gallery.weights(pictures.runs), pictures.data_root, "paper"
    )
    keys = list(TITLES)[:networks]
    line = gallery.Line(found.column, "x", found.image, found.truth, dict.fromkeys(keys, found.masks["anet"]), {})
    drawn = gallery.draw([line], ["said"])
    titles = [axes.get_xlabel() for axes in drawn.axes if axes.get_xlabel()]
    names = [TITLES[key] for key in keys]
    rest = ["Image", *names[first:]] if names[first:] else []
    assert titles == ["Image", "Ground truth", *names[:first], *rest]


@pytest.mark.parametrize("full", [False, True])
def test_each_label_of_figure_one_stands_inside_and_on_nothing_else(sources, full):
    few = (("topformer", 0.67), ("anet", 0.683), ("enet", 0.726), ("unet", 0.7), ("segnet", 0.69))
    many = [(network, 0.63 + 0.12 * (at * 7 % 18) / 18) for at, network in enumerate(TITLES)]
    for network, iou in many if full else few:
        for protocol in ("paper", "grouped"):
            put(sources.results, network, iou, protocol=protocol)
    drawn = figure(1, sources).figure
    drawn.draw_without_rendering()
    for axes, labelled in zip(drawn.axes, (17, *[len(TITLES) if full else 5] * 2), strict=True):
        scale, inside = drawn.dpi / 72, axes.get_window_extent()
        discs = [
            (axes.transData.transform(each.get_offsets()[0]), math.sqrt(each.get_sizes()[0] / math.pi) * scale)
            for each in axes.collections
        ]
        labels = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(labels) == labelled == len(discs) / 2  # a circle and its dot
        lines = [text for text in axes.texts if not text.get_text()]
        assert labelled != 17 or lines  # LSA-Net lies among others
        for at, box in enumerate(labels):
            assert inside.x0 < box.x0 and box.x1 < inside.x1 and inside.y0 < box.y0 and box.y1 < inside.y1
            assert not box.count_overlaps(labels[:at])
            for (x, y), radius in discs:
                near = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
                assert math.dist((x, y), near) > radius - 1


def test_figure_nine_has_printed_and_measured_bars(tmp_path):
    drawn = figure_9(records(ROOT / "results")[0])
    heights = [[bar.get_height() for bar in axes.patches] for axes in drawn.figure.axes]
    assert heights[0] == [fps[0] for fps in FPS.values()] and heights[2] == [fps[1] for fps in FPS.values()]
    assert len(heights[1]) == len(heights[3]) == len(FPS) + 1
    again = figure_9(records(ROOT / "results")[0])
    first, second = (save(one, tmp_path / "x.svg").read_bytes() for one in (drawn, again))
    assert first == second and first.startswith(b"<?xml")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": [{"ms": {"median": 0}}]}', '{"rows": [], "size": [1]}'])
def test_what_is_no_record_of_speed_is_refused(tmp_path, content):
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "x.json").write_text(content)
    with pytest.raises(DataError, match=r"x\.json is no record"):
        figure_9(tmp_path / "speed" / "x.json")
    with pytest.raises(DataError, match="no record of speed"):
        records(tmp_path)


def test_figure_nine_prefers_this_machines_record_names_the_others_and_takes_the_one_asked_for(sources, monkeypatch):
    speed = ROOT / "results" / "speed"
    (sources.results / "speed").mkdir(parents=True)
    for name in ("amd-epyc-2-cores", "intel-xeon-2-cores"):
        shutil.copy(speed / f"{name}.json", sources.results / "speed")
    for name, other in (("amd-epyc-2-cores", "intel-xeon-2-cores"), ("intel-xeon-2-cores", "amd-epyc-2-cores")):
        where = read_record(speed / f"{name}.json")["machine"]
        monkeypatch.setattr("anet.paper.figure_9.machine", lambda where=where: where)
        said = " ".join(figure(9, sources).said)
        assert f"{name}.json. A bar" in said and f"not drawn: {other}.json" in said
        asked = figure(9, replace(sources, speed=speed / f"{other}.json"))
        assert f"{other}.json. A bar" in asked.said[0] and "not drawn" not in " ".join(asked.said)


def test_a_bar_of_figure_nine_is_plain_a_nets_rate_times_the_paired_ratio():
    path = ROOT / "results" / "speed" / "amd-epyc-2-cores.json"
    rows = {r["name"]: r for r in read_record(path)["rows"] if r["mode"] == "latency" and r["threads"] == 0}
    drawn = [bar.get_height() for bar in figure_9(path).figure.axes[1].patches]
    plain = 1000 / rows["plain"]["ms"]["median"]
    assert drawn[:8] == pytest.approx([plain * rows[f"{name} f32"]["ratio"]["median"] for name in FPS])


def test_a_figure_is_svg_or_png_and_a_full_disk_is_an_error(pictures, tmp_path):
    drawn = figure_9(records(ROOT / "results")[0])
    with pytest.raises(OptionError, match=r"\.svg or \.png"):
        save(drawn, tmp_path / "x.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save(drawn, tmp_path / "file" / "x.png")


# --- everything ---


def test_everything_appears_at_once_with_an_index_that_leads_to_all_of_it(pictures, tmp_path, monkeypatch):
    small = Grid("Table IV, cost", ("network",), (("A-Net",),), ("network",), (), ({"network": "anet"},))
    for name in ("cost_grid", "ablation_cost"):  # counted elsewhere, in many seconds
        monkeypatch.setattr(everything, name, lambda *number: small)
    monkeypatch.setattr(everything, "figure_1", lambda results: figure(7, pictures, "paper"))
    write_all(tmp_path / "all", pictures)
    index = (tmp_path / "all" / "index.md").read_text()
    linked = set(re.findall(r"\]\(([\w.-]+)\)", index))
    assert linked == {path.name for path in (tmp_path / "all").iterdir()} - {"index.md"}
    assert {"data.md", "data.csv", "data.tex", "table-2.md"} < linked
    assert {f"table-{n}-{c}.{e}" for n in range(3, 8) for c in ("iou", "cost") for e in ENDINGS.values()} < linked
    assert "Fig. 6: not drawn. nothing to draw" in index and "Fig. 9: not drawn. no record of speed" in index
    write_all(tmp_path / "all", pictures)
    (tmp_path / "mine").mkdir()
    for name in ("index.md", "thesis.tex"):
        (tmp_path / "mine" / name).write_text("years")
    with pytest.raises(OptionError, match="not an empty folder"):
        write_all(tmp_path / "mine", pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "mine"]
    monkeypatch.setattr(everything, "figure_1", lambda results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_all(tmp_path / "next", pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "mine"]
