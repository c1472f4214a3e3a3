"""Networks against one another: the paired bootstrap's laws, and the table of `anet results --against`."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.comparing import against
from anet.errors import DataError, OptionError
from anet.evaluation import AS_SET
from anet.results import read
from anet.scoring.paired import FEWEST, Difference, paired
from anet.tables import by_class, by_task, summary, table
from tests.test_cli import anet
from tests.test_examples import load

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "results/sd900/inclusion/grouped/anet-strong-e80-s0.json"


@st.composite
def counts(draw, pictures: int = 6) -> np.ndarray:
    seeds = draw(st.integers(1, 3))
    both = draw(st.lists(st.integers(0, 50), min_size=seeds * pictures, max_size=seeds * pictures))
    more = draw(st.lists(st.integers(1, 50), min_size=seeds * pictures, max_size=seeds * pictures))
    hit = np.array(both).reshape(seeds, pictures)
    return np.stack([hit, hit + np.array(more).reshape(seeds, pictures)], -1)


@settings(max_examples=30, deadline=None)
@given(counts(), counts())
def test_the_difference_is_that_of_summed_counts_and_turns_round_with_its_sides(one, other):
    there, back = paired(one, other, "abcdef"), paired(other, one, "abcdef")
    mean = [100 * (each[..., 0].sum(1) / each[..., 1].sum(1)).mean() for each in (one, other)]
    assert there.points == pytest.approx(mean[0] - mean[1]) == pytest.approx(-back.points)
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))
    assert there.told == -back.told


@settings(max_examples=20, deadline=None)
@given(counts())
def test_a_network_is_not_told_apart_from_itself(one):
    same = paired(one, one, "abcdef")
    assert (same.points, same.low, same.high, same.told) == (0, 0, 0, 0)


def test_a_network_that_is_better_on_every_picture_is_told_and_a_lucky_one_is_not():
    base = np.stack([np.full((1, 20), 50), np.full((1, 20), 100)], -1)
    better, lucky = base.copy(), base.copy()
    better[..., 0] += 5
    lucky[0, 0, 0] += 50
    names = [str(number) for number in range(20)]
    assert paired(better, base, names).told == 1 and paired(base, better, names).told == -1
    assert paired(lucky, base, names).points > 0 and paired(lucky, base, names).told == 0


def test_few_strips_tell_nothing_however_much_better_a_network_is():
    base = np.stack([np.full((1, 20), 50), np.full((1, 20), 100)], -1)
    better = base + np.array([5, 0])
    for groups, told in ((1, 0), (2, 0), (FEWEST - 1, 0), (FEWEST, 1)):
        found = paired(better, base, [str(number % groups) for number in range(20)])
        assert (found.groups, found.told) == (groups, told) and found.low > 0


def test_pictures_that_fail_together_tell_less_than_as_many_that_fail_alone():
    rng = np.random.default_rng(0)
    base = np.stack([np.full((1, 40), 50), np.full((1, 40), 100)], -1)
    other = base.copy()
    other[0, :, 0] += np.repeat(rng.integers(-20, 30, 8), 5)  # eight strips of five crops
    alone = paired(other, base, [str(number) for number in range(40)])
    strips = paired(other, base, [str(number // 5) for number in range(40)])
    assert strips.points == alone.points
    assert strips.high - strips.low > 1.5 * (alone.high - alone.low)


def test_nothing_marked_and_nothing_labelled_is_no_difference():
    none = np.zeros((1, 3, 2), int)
    assert paired(none, none, "abc") is None
    one = none.copy()
    one[0, 0] = (1, 2)
    assert paired(one, one, "abc").points == 0  # draws without that picture say nothing, and warn of nothing


def put(folder: Path, name: str, network: str = "enet", seed: int = 0, hits: float = 1.0, **more) -> None:
    content = deepcopy(read(RESULT))
    content["model"] |= {"network": network, "seed": seed}
    for key, value in more.items():
        content[key] |= value
    for picture in content["pictures"]:
        picture["hit_px"] = int(picture["hit_px"] * hits)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content))


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines()[2:]]


def test_the_table_compares_what_was_trained_alike_over_all_seeds(tmp_path):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b", "anet", seed=1)
    put(tmp_path, "c", hits=0.7)
    put(tmp_path, "d", "stdc", hits=0.7, split={"seed": 1})  # another split
    put(tmp_path, "e", "esnet", model={"size": 256})
    put(tmp_path, "f", "erfnet", model={"init": {"name": "anet-surface"}})
    ((*_, one, seeds, own, base, of, its, points, interval, told),) = cells(against(tmp_path, "anet"))
    assert (one, seeds, base, of, told) == ("enet, strong", "1", "anet, strong", "2", "behind")
    assert float(points) == pytest.approx(float(own) - float(its), abs=0.11)
    low, high = map(float, interval.split(" to "))
    assert low <= float(points) <= high < 0


@pytest.mark.parametrize(
    ("low", "points", "high", "shown"),
    [
        (0.03, 0.63, 1.42, ["+0.6", "+0.03 to +1.42", "ahead"]),
        (0.01, 0.04, 0.32, ["+0.04", "+0.01 to +0.32", "ahead"]),
        (-1.42, -0.63, -0.03, ["-0.6", "-1.42 to -0.03", "behind"]),
        (0.06, 0.63, 1.42, ["+0.6", "+0.1 to +1.4", "ahead"]),
        (-0.03, 0.63, 1.42, ["+0.6", "-0.0 to +1.4", "not told apart"]),
    ],
)
def test_a_bound_shows_no_zero_against_what_is_said(tmp_path, monkeypatch, low, points, high, shown):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b")
    found = Difference(70.0, 70.0 - points, low, high, 20)
    monkeypatch.setattr("anet.comparing.paired", lambda *given: found)
    assert cells(against(tmp_path, "anet"))[0][-3:] == shown


def test_starts_of_one_name_are_not_averaged_as_seeds(tmp_path):
    put(tmp_path, "base", "anet")
    for seed, hits in enumerate((1.0, 0.7)):
        start = {"init": {"name": "bundle", "sha256": str(seed) * 64}}
        put(tmp_path, f"a{seed}", "anet", seed=seed, hits=hits, model=start, scores={"iou": [0.9, 0.7 * hits]})
    rows = cells(against(tmp_path, "anet"))
    assert [row[5] for row in rows] == ["1", "1"] and {row[4] for row in rows} == {"anet, strong from bundle"}
    assert "± " not in by_task(tmp_path)


def test_of_two_files_of_one_training_that_at_the_threshold_of_validation_counts(tmp_path):
    for name, chosen, iou in (("a", AS_SET, 0.5), ("b", "validation", 0.6), ("c", AS_SET, 0.4)):
        put(tmp_path, name, scores={"iou": [0.9, iou]}, threshold={"chosen": chosen})
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    lines = []
    assert "60.0 (1)" in by_task(tmp_path, lines.append) and "a.json, c.json" in lines[0]


def test_a_changed_recipe_or_start_is_compared_with_the_recipe_as_it_is(tmp_path):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b", "anet", model={"init": {"name": "anet-surface"}})
    put(tmp_path, "c", "enet", model={"init": {"name": "anet-surface"}}, hits=0.7)
    changed = read(RESULT)["model"]["recipe"] | {"balance": 0.25}
    put(tmp_path, "d", "anet", model={"recipe": changed})
    found = {(row[4], row[7]): row[-1] for row in cells(against(tmp_path, "anet"))}
    assert found == {
        ("anet, strong from anet-surface", "anet, strong"): "not told apart",
        ("enet, strong from anet-surface", "anet, strong from anet-surface"): "behind",
        ("anet, strong, balance 0.25", "anet, strong"): "not told apart",
    }


def test_only_held_out_pictures_and_each_training_and_seed_once_stand_in_a_table(tmp_path):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b", "anet", seed=1)
    put(tmp_path, "c", hits=0.7)
    tables = ([], ["--summary"], ["--against", "anet"])
    clean = [anet("results", tmp_path, *words) for words in tables]
    assert not any(one.err for one in clean)
    put(tmp_path / "more", "val", "anet", hits=0.1, data={"part": "val"})
    put(tmp_path / "more", "leak", "anet", seed=2)
    leak = json.loads((tmp_path / "more" / "leak.json").read_text())
    (tmp_path / "more" / "leak.json").write_text(json.dumps(leak | {"trained_on_another_split_of_this_data": True}))
    put(tmp_path, "0", "anet")  # of `anet eval`, under a name that comes first
    (tmp_path / "0.json").write_text(json.dumps(json.loads((tmp_path / "0.json").read_text()) | {"format": 1}))
    for words, before in zip(tables, clean, strict=True):
        ended = anet("results", tmp_path, *words)
        assert ended.out == before.out and ended.code == 0
        first, second = ended.err.splitlines()
        assert first.startswith("left out 2 of 6 results") and first.endswith(": more/leak.json, more/val.json")
        assert second.startswith("left out 1 of 6 results") and second.endswith(": 0.json")
    with pytest.raises(DataError, match="no result of a test part that was held out"):
        table(tmp_path / "more")


def test_auxiliary_heads_otherwise_than_usual_are_a_training_of_their_own(tmp_path):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b", "stdc")
    put(tmp_path, "c", "stdc", model={"aux": False}, hits=0.7)
    assert [row[3:5] + row[8:9] for row in cells(summary(tmp_path))] == [
        ["anet", "strong", "1"], ["stdc", "strong", "1"], ["stdc", "strong, aux off", "1"],
    ]  # fmt: skip
    assert {(row[4], row[7]) for row in cells(against(tmp_path, "anet"))} == {
        ("stdc, strong", "anet, strong"),
        ("stdc, strong, aux off", "anet, strong"),
    }


def test_trainings_on_several_devices_stand_beside_such_alone(tmp_path):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b", "anet", seed=1, model={"devices": 2, "trained_in": "32"})
    put(tmp_path, "c", "enet", model={"devices": 2, "trained_in": "bf16"})
    assert [(row[4], row[7]) for row in cells(against(tmp_path, "anet"))] == [
        ("enet, strong, 2 devices", "anet, strong, 2 devices")
    ]
    assert [row[4] for row in cells(summary(tmp_path))] == ["strong", "strong, 2 devices", "strong, 2 devices"]
    assert "| strong, 2 devices |" in table(tmp_path)


@pytest.mark.parametrize("key", ["pictures", "hit_px", "other"])
def test_a_result_without_its_pictures_is_named(tmp_path, key):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b")
    content = json.loads((tmp_path / "b.json").read_text())
    if key == "pictures":
        del content["pictures"]
    elif key == "other":
        content["pictures"][0]["name"] = "elsewhere"
    else:
        del content["pictures"][0][key]
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=content["name"]):
        against(tmp_path, "anet")


def test_nothing_to_compare_says_what_there_is(tmp_path):
    put(tmp_path, "a", "anet")
    with pytest.raises(OptionError, match=r"nothing to compare with network 'unet'.*results of anet;"):
        against(tmp_path, "unet")


def test_two_tables_at_once_are_refused(tmp_path):
    ended = anet("results", tmp_path, "--summary", "--against", "anet")
    assert ended.code == 2 and "--summary and --against are tables of their own" in ended.err


def test_a_column_for_each_task_holds_the_longest_training_with_all_labels(tmp_path):
    put(tmp_path, "a", "anet")
    put(tmp_path, "b", "anet", seed=1)
    put(tmp_path, "c", "enet")
    put(tmp_path, "few", "anet", seed=2, model={"pictures": 20})
    put(tmp_path, "other", "anet", data={"task": "patches"})
    short = {"recipe": read(RESULT)["model"]["recipe"] | {"epochs": 3}}
    put(tmp_path, "short", "anet", model=short, seed=3)
    put(tmp_path, "alone", "unet", model=short)
    put(tmp_path, "small", "anet", model={"size": 128}, seed=4)
    put(tmp_path, "small-alone", "segnet", model={"size": 128})
    split, name = "grouped, seed 0", "strong"
    assert cells(by_task(tmp_path)) == [
        [split, "anet", name, "68.4 ± 0.0 (2)", "68.4 (1)"],
        [split, "enet", name, "68.4 (1)", "–"],
        [split, "unet", name, "68.4 (1, 3 epochs)", "–"],
    ]
    assert by_task(tmp_path).startswith("| split | network | recipe | sd900, inclusion | sd900, patches |")


def test_a_column_for_each_class_of_trainings_with_several(tmp_path):
    put(tmp_path, "binary", "anet", seed=7)
    with pytest.raises(DataError, match="no result with several classes"):
        by_class(tmp_path)
    several = {"class_names": ["background", "pit", "crack"]}
    for seed, iou in enumerate(([0.9, 0.5, 0.7], [0.9, 0.3, None])):
        put(tmp_path, f"s{seed}", "anet", model=several, scores={"iou": iou, "miou_with_background": 0.7}, seed=seed)
    put(tmp_path, "other", "anet", model={"class_names": ["background", "crack", "dent"]},
        scores={"iou": [0.9, 0.2, 0.4], "miou_with_background": None}, data={"name": "elsewhere"})  # fmt: skip
    head, _, *rows = by_class(tmp_path).splitlines()
    assert head.endswith("| seeds | crack | dent | pit | mIoU | mIoU with background |")
    assert [row.split(" | ", 8)[8] for row in rows] == [
        "1 | 20.0 | 40.0 | – | 30.0 | – |",
        "2 | 70.0 | – | 40.0 ± 14.1 | 45.0 ± 21.2 | 70.0 ± 0.0 |",
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_pages_show_what_the_commands_print(page):
    module = load(ROOT / "docs" / "print_results.py")
    text = (ROOT / page).read_text()
    shown = [command for _, command, _ in module.BLOCK.findall(text)]
    assert shown and module.filled(text) == text, "run: make tables"
    for command in shown:
        assert anet("results", ROOT / "results", *command.split()[2:]).out == module.TABLES[command](ROOT / "results")
