import csv
import hashlib
import random
from importlib import resources
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.data import known, load, similar, split
from anet.data.dataset import PARTS, Dataset, Sample
from anet.data.splitting import take_groups
from anet.errors import DataError, OptionError
from tests import layouts


def rows(name: str) -> list[dict[str, str]]:
    return list(
        csv.DictReader((resources.files("anet.data") / "splits" / f"{name}.csv").read_text("utf-8").splitlines())
    )


def published(name: str, task: str = "all", free: bool = False) -> Dataset:
    """The names of a published set without its pictures: splitting opens no file."""
    nowhere, given_parts = Path("nowhere"), {}
    if name == "sd900":
        kinds = ("inclusion", "patches", "scratches")
        chosen = [(kinds.index(row["class"]) + 1, row["file"][:-4]) for row in rows("sd900")]
        samples = [
            Sample(f"Source Images/{n}", nowhere, nowhere, k) for k, n in chosen if task in ("all", kinds[k - 1])
        ]
    elif name == "neu_seg":
        folders = {"train": "training", "test": "test"}
        parts = {f"images/{folders[row['split']]}/{row['file'][:-4]}": row["split"] for row in rows("neu_seg")}
        samples, given_parts = [Sample(n, nowhere, nowhere) for n in parts], parts
    else:
        samples = [Sample(row["file"][:-4].replace("/", "/Imgs/"), nowhere, nowhere, 1) for row in rows("mt")]
        if free:
            samples += [Sample(row["file"][:-4].replace("/", "/Imgs/"), nowhere) for row in rows("mt-free")]
    return Dataset(name, task, nowhere, ("background", "defect"), tuple(samples), given_parts)


def other(number: int, name: str = "dagm", group=lambda n: None) -> Dataset:
    samples = tuple(Sample(f"Class7/Train/{n:04}", Path("x"), Path("y"), 1, group(n)) for n in range(number))
    return Dataset(name, "class7", Path("x"), ("background", "defect"), samples)


def shuffled(data: Dataset, seed: int) -> Dataset:
    samples = list(data.samples)
    random.Random(seed).shuffle(samples)
    return Dataset(data.name, data.task, data.root, data.class_names, tuple(samples), data.given)


def check_laws(data: Dataset, found) -> None:
    names = [sample.name for part in (found.train, found.val, found.test) for sample in part]
    assert sorted(names) == sorted(sample.name for sample in data.samples)
    assert found.train and found.val and found.test
    if found.protocol == "grouped":
        groups = [{sample.group for sample in part} for part in (found.train, found.val, found.test)]
        assert None not in set().union(*groups)
        assert sum(map(len, groups)) == len(set().union(*groups))


def sizes(found) -> tuple[int, int, int]:
    return len(found.train), len(found.val), len(found.test)


CASES = [
    ("sd900", "inclusion", False),
    ("sd900", "all", False),
    ("mt", "defect", False),
    ("mt", "defect", True),
    ("neu_seg", "all", False),
]


@pytest.mark.parametrize("protocol", ["paper", "grouped"])
@pytest.mark.parametrize(("name", "task", "free"), CASES)
def test_published_sets_split_into_disjoint_parts_that_cover_all_for_any_order_of_files(name, task, free, protocol):
    data = published(name, task, free)
    for seed in (0, 4):
        found = split(data, protocol, seed)
        check_laws(data, found)
        assert split(shuffled(data, seed), protocol, seed) == found
        assert (found.protocol, found.seed) == (protocol, seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (published("sd900", "patches"), (212, 38, 50)),
        (published("sd900", "all"), (637, 113, 150)),
        (published("mt"), (290, 51, 51)),
        (published("mt", free=True), (994, 175, 175)),
        (other(300), (212, 38, 50)),
        (other(1108, "mcsd"), (753, 133, 222)),
    ],
)
def test_paper_splits_have_the_papers_sizes(data, expected, seed):
    assert sizes(split(data, "paper", seed)) == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("task", ["inclusion", "patches", "scratches", "all"])
def test_grouped_tests_of_sd900_are_the_listed_ones_with_50_a_class(task, seed):
    found = split(published("sd900", task), "grouped", seed)
    listed = {
        row["file"][:-4]
        for row in rows("sd900")
        if row[f"split_seed{seed}"] == "test" and task in ("all", row["class"])
    }
    assert {sample.name.split("/")[1] for sample in found.test} == listed
    assert len(listed) == (150 if task == "all" else 50)
    for kind in {sample.class_id for sample in found.train}:
        share = sum(s.class_id == kind for s in found.val) / 250
        assert 0.12 <= share <= 0.18


@pytest.mark.parametrize("seed", range(5))
def test_grouped_tests_of_magnetic_tile_are_the_listed_ones_and_validation_is_near_15_percent(seed):
    found = split(published("mt"), "grouped", seed)
    listed = {row["file"][:-4] for row in rows("mt") if row[f"split_seed{seed}"] == "test"}
    assert {sample.name.replace("/Imgs", "") for sample in found.test} == listed and len(listed) == 51
    assert 45 <= len(found.val) <= 57
    assert len({sample.name.split("/")[0] for sample in found.val}) >= 4  # of five kinds of defect


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_tile_goes_where_its_defective_pictures_go_and_the_others_in_proportion(seed):
    found = split(published("mt", free=True), "grouped", seed)
    where = {sample.name.replace("/Imgs", ""): part for part in ("train", "val", "test") for sample in found.part(part)}
    tiles = {row["tile_group"]: where[row["file"][:-4]] for row in rows("mt")}
    near = [row for row in rows("mt-free") if row["defect_tile_group_within_450_frames"]]
    assert len(near) == 155
    assert all(where[row["file"][:-4]] == tiles[row["defect_tile_group_within_450_frames"]] for row in near)
    burst = {}
    for row in rows("mt-free"):
        assert burst.setdefault(row["free_group_gap450"], where[row["file"][:-4]]) == where[row["file"][:-4]]
    sound = [sum(sample.mask is None for sample in found.part(part)) for part in ("train", "val", "test")]
    assert (
        sum(sound) == 952
        and abs(sound[2] - 952 * 51 / 392) <= 12
        and abs(sound[1] / (sound[0] + sound[1]) - 0.15) < 0.03
    )
    assert {s.name for s in found.test if s.mask} == {s.name for s in split(published("mt"), "grouped", seed).test}


@pytest.mark.parametrize("seed", [0, 1])
def test_grouped_neu_seg_is_near_the_official_sizes_without_its_leak(seed):
    found = split(published("neu_seg"), "grouped", seed)
    assert abs(len(found.test) - 840) <= 10 and abs(len(found.val) - 0.15 * 3630) <= 10


def test_random_splits_of_magnetic_tile_leak_and_say_so():
    data = published("mt")
    tile = known.groups(data.name, data.names)
    found = split(data, "paper", 0)
    train = {tile[sample.name] for sample in (*found.train, *found.val)}
    leaks = sum(tile[sample.name] in train for sample in found.test)
    assert leaks >= 50  # of 51
    assert f"{leaks} of 51 test pictures show what a training picture shows" in found.source
    assert "show" not in split(data, "grouped", 0).source


def test_the_official_split_of_neu_seg_is_given_with_its_leak():
    data = published("neu_seg")
    found = split(data, "given", 0)
    check_laws(data, found)
    assert len(found.test) == 840 and abs(len(found.val) - 544) <= 5
    assert not {sample.group for sample in found.train} & {sample.group for sample in found.val}
    assert "of 840 test pictures show what a training picture shows" in found.source


def test_seeds_beyond_the_lists_are_refused_and_paper_takes_any():
    with pytest.raises(DataError, match=r"no list for seed 5: .* seeds 0 to 4"):
        split(published("mt"), "grouped", 5)
    assert split(published("mt"), "paper", 5) != split(published("mt"), "paper", 6)


def test_a_picture_that_is_not_of_the_published_set_is_named():
    data = published("sd900", "inclusion")
    data = Dataset(
        data.name, data.task, data.root, data.class_names, (*data.samples, Sample("Source Images/In_301", data.root))
    )
    with pytest.raises(DataError, match="not of the published sd900: Source Images/In_301"):
        split(data, "grouped")


@pytest.mark.parametrize("seed", [0, 7])
def test_sound_pictures_leave_the_defective_ones_where_they_are(seed):
    """A training with them may go on from one without: what is held out there was never trained on."""
    alone, both = (split(published("mt", free=free), "paper", seed) for free in (False, True))
    for part in PARTS:
        shown = [sample for sample in getattr(both, part) if not sample.sound]
        assert shown == list(getattr(alone, part))
        assert len(getattr(both, part)) > 2 * len(shown), "sound ones are in each part"


@pytest.mark.parametrize(("defective", "sound"), [(3, 0), (2, 1), (1, 2), (0, 3), (2, 2), (1, 30), (30, 1)])
def test_three_pictures_are_enough_for_three_parts_whatever_they_show(defective, sound):
    nowhere = Path("x")
    bad = [Sample(f"bad{n:02}", nowhere, nowhere, 1) for n in range(defective)]
    good = [Sample(f"good{n:02}", nowhere) for n in range(sound)]
    data = Dataset("mine", "defect", nowhere, ("background", "defect"), (*bad, *good))
    check_laws(data, split(data, "paper"))


def test_splits_never_change_from_version_to_version():
    names = [s.name for protocol in ("paper", "grouped") for s in split(published("mt", free=True), protocol, 3).val]
    assert hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] == "a87c05b97cf209e3"


grouping = st.lists(st.integers(0, 40), min_size=8, max_size=120)


@settings(max_examples=60, deadline=None)
@given(grouping, st.integers(0, 2**32), st.booleans())
def test_grouped_splits_of_any_other_set_keep_the_laws(numbers, seed, own):
    """`similar` is replaced: what it finds is the input here."""
    data = other(len(numbers), group=lambda n: f"own{n // 2}" if own else None)
    found = {sample.name: f"g{number}" for sample, number in zip(data.samples, numbers, strict=True)}
    joined = known.merged([{s.name: s.group for s in data.samples if s.group}, found])
    with mock.patch.object(similar, "groups", lambda samples: {s.name: found[s.name] for s in samples}):
        if len(set(joined.values())) < 3:
            with pytest.raises(DataError, match=r"form [12] groups .* 3 are needed .* paper"):
                split(data, "grouped", seed)
            return
        result = split(data, "grouped", seed)
        check_laws(data, result)
        assert split(shuffled(data, seed), "grouped", seed) == result
        parts = {sample.name: part for part in ("train", "val", "test") for sample in result.part(part)}
        for partition in (found, {s.name: s.group for s in data.samples if s.group}):
            where = {}
            for name, group in partition.items():
                assert where.setdefault(group, parts[name]) == parts[name]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=20, max_size=60), st.integers(0, 1000))
def test_whole_groups_come_within_half_a_group_of_the_share(counts, seed):
    samples = [
        Sample(f"a/{g}-{n}", Path("x"), Path("y"), 1, f"g{g}") for g, size in enumerate(counts) for n in range(size)
    ]
    taken, rest = take_groups(samples, 0.15, np.random.default_rng(seed))
    assert sorted(s.name for s in (*taken, *rest)) == sorted(s.name for s in samples)
    assert abs(len(taken) - 0.15 * len(samples)) <= 3


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 60), st.integers(0, 60), st.integers(0, 1000))
def test_paper_splits_of_any_set_keep_the_laws_and_the_share_of_sound_pictures(defective, sound, seed):
    data = other(defective + sound)
    samples = tuple(s if n < defective else Sample(s.name, s.image) for n, s in enumerate(data.samples))
    data = Dataset(data.name, data.task, data.root, data.class_names, samples)
    found = split(data, "paper", seed)
    check_laws(data, found)
    assert split(shuffled(data, seed), "paper", seed) == found
    share = sound / len(samples)
    assert abs(sum(s.mask is None for s in found.test) - share * len(found.test)) < 1


def test_a_class_with_one_group_stays_in_training_and_a_part_without_a_defect_is_avoided():
    samples = [Sample(f"a/{n}", Path("x"), Path("y"), 1, f"bad{n // 20}") for n in range(40)]
    samples += [Sample(f"a/s{n}", Path("x"), None, None, f"sound{n}") for n in range(40)]
    for seed in range(5):
        taken, rest = take_groups(samples, 0.15, np.random.default_rng(seed))
        assert any(s.mask for s in taken) and any(s.mask for s in rest)


def test_unknown_protocols_and_seeds_are_refused():
    with pytest.raises(OptionError, match="did you mean 'grouped'"):
        split(published("mt"), "group")
    with pytest.raises(OptionError, match="seed -1"):
        split(published("mt"), "paper", -1)
    with pytest.raises(DataError, match="2 pictures cannot be split"):
        split(other(2), "paper")
    with pytest.raises(DataError, match="gives no parts"):
        split(published("mt"), "given")


def test_a_plain_folders_own_parts_are_the_default(tmp_path):
    found = split(load(layouts.folder(tmp_path, 3, ("train", "val", "test"))))
    assert found.protocol == "given" and sizes(found) == (3, 3, 3)
    assert {sample.name.split("/")[1] for sample in found.val} == {"val"}


def test_missing_parts_of_a_plain_folder_are_taken_from_train(tmp_path):
    found = split(load(layouts.folder(tmp_path, 12, ("train",))))
    assert sum(sizes(found)) == 12 and min(sizes(found)) >= 1
    assert "test and val taken from train in whole groups" in found.source


def test_a_plain_folder_without_parts_is_split_by_near_duplicates(tmp_path):
    root = layouts.folder(tmp_path, 12)
    image, mask = layouts.picture(3)
    layouts.save(root / "images" / "copy.png", image[:, ::-1])
    layouts.save(root / "masks" / "copy.png", mask[:, ::-1])
    data = load(root)
    for seed in range(4):
        found = split(data, seed=seed)
        check_laws(data, found)
        part = {sample.name: name for name in ("train", "val", "test") for sample in found.part(name)}
        assert part["images/copy"] == part["images/003"]
    assert "13 pictures in 12 groups by near-duplicate search" in found.source


def test_ksdd_keeps_a_commutator_together(tmp_path):
    data = load(layouts.ksdd(tmp_path, parts=6), free=True)
    found = split(data, "grouped", 1)
    check_laws(data, found)
    folders = [{sample.name.split("/")[0] for sample in found.part(part)} for part in ("train", "val", "test")]
    assert sum(map(len, folders)) == 6


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "task"), [("SD-saliency-900", "all"), ("Magnetic-tile-defect-datasets", None), ("NEU_Seg", None)]
)
def test_real_sets_split_as_their_lists_do(real_data, folder, task):
    data = load(real_data / folder, task, free=True)
    listed = published(data.name, free=True)
    assert sorted(s.name for s in data.samples) == sorted(s.name for s in listed.samples)
    for protocol in ("paper", "grouped"):
        assert [s.name for s in split(data, protocol, 2).val] == [s.name for s in split(listed, protocol, 2).val]


def test_each_kind_of_tile_with_enough_groups_is_in_training_and_validation_with_sound_tiles_or_without():
    for free in (False, True):
        for seed in range(5):
            found = split(published("mt", free=free), "grouped", seed)
            kinds = [
                {sample.name.split("/")[0] for sample in found.part(part) if sample.mask} for part in ("train", "val")
            ]
            assert len(kinds[0]) == 5 and len(kinds[1]) >= 4


def test_sound_pictures_are_parted_alike_whether_their_masks_are_empty_or_missing(tmp_path):
    for number in range(40):
        image, mask = layouts.picture(number, sound=number >= 6)
        layouts.save(tmp_path / "empty" / "images" / f"{number:03}.png", image)
        layouts.save(tmp_path / "empty" / "masks" / f"{number:03}.png", mask)
        good = "good/" if number >= 6 else ""
        layouts.save(tmp_path / "good" / "images" / f"{good}{number:03}.png", image)
        if number < 6:
            layouts.save(tmp_path / "good" / "masks" / f"{number:03}.png", mask)
    for way in ("empty", "good"):
        data = load(tmp_path / way)
        assert sum(sample.sound for sample in data.samples) == 34
        for protocol in ("paper", "grouped"):
            for seed in range(6):
                found = split(data, protocol, seed)
                assert all(any(not s.sound for s in found.part(part)) for part in ("train", "val", "test"))
