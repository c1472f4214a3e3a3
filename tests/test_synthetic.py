"""The synthetic set: the same bytes everywhere, masks that fit, parts that share nothing."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.data.synthetic import DEFECTS, SURFACES, surface, synthesize
from anet.data.synthetic.surfaces import noise, smooth, unit
from anet.errors import OptionError, OutputError
from anet.image import read_image, read_mask

PINNED = {  # a change here needs a new synthetic.VERSION
    ("grainy", "scratch"): "36bcdb791702ba578ff9f95d0117d4b94a8356432f02c8290160bc0ee51aca7c",
    ("woven", "pore"): "a9531b5539d8b470b2b666f0fdf8cba59e763c36db5f03ec45d20b3581ce0cb7",
    ("cellular", "crack"): "712390f9e88bb179296e3faa8f35f0ee2b663592967e564c2b3d709ea347fece",
    ("ground", "inclusion"): "9416f05e9888711c964ab66cc5da3bdc8af045432950505bea2415d323ed02d8",
    ("rolled", "patch"): "92282e2989f72b9c07d383a778bf6b11d602bfa5581e821ab5c24694add2a35e",
    ("tile", None): "b828827368560f38690f7e4303305f303baccdc78ab5d556a1b314f7c6c8cde1",
}


def everything(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("synth") / "set", pictures=20, size=64, seed=3)


@pytest.mark.parametrize("pair", PINNED, ids=str)
def test_the_pixels_of_a_seed_are_pinned(pair):
    image, mask = surface(*pair, size=96, seed=7)
    assert hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest() == PINNED[pair]


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("kind", SURFACES)
def test_a_mask_holds_what_the_defect_changed_and_nothing_more(kind, defect):
    for seed in range(3):
        sound, none = surface(kind, None, 96, seed)
        harmed, mask = surface(kind, defect, 96, seed)
        assert sound.shape == harmed.shape == (96, 96, 3) and sound.dtype == np.uint8
        assert not none.any() and set(np.unique(mask)) == {0, 255}
        change = np.abs(sound.astype(int) - harmed)[..., 0]
        wide = smooth((mask // 255).astype(np.int64) * 1000, 3, 3, passes=1) > 0
        inside, outside = change[mask == 255], change[~wide]
        assert inside.mean() > 4, f"the defect of seed {seed} cannot be seen"
        assert outside.max() <= 6 and (outside > 2).mean() < 1e-3, f"the defect of seed {seed} reaches out of its mask"
        assert 0.0005 < (mask == 255).mean() < 0.35


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SURFACES)), st.sampled_from(sorted(DEFECTS)), st.integers(64, 130), st.integers(0, 2**40))
def test_any_size_and_seed_gives_a_defect_to_find(kind, defect, size, seed):
    image, mask = surface(kind, defect, size, seed)
    assert image.shape == (size, size, 3) and mask.shape == (size, size)
    assert mask.any()
    assert image.std() > 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 9), st.integers(0, 9))
def test_a_filter_keeps_the_mean_and_is_exact_under_a_shift(seed, radius_y, radius_x):
    field = noise(np.random.default_rng(seed), 32)
    smoothed = smooth(field, radius_y, radius_x)
    assert smoothed.dtype == np.int64 and abs(smoothed.mean() - field.mean()) <= 6  # each pass rounds down
    assert (smooth(np.roll(field, 5, axis=1), radius_y, radius_x) == np.roll(smoothed, 5, axis=1)).all()
    assert abs(unit(smoothed).std() - 1) < 1e-9


def test_a_set_is_a_plain_folder_with_a_grey_picture_and_mask_each(made):
    from PIL import Image

    images, masks = sorted(made.glob("images/*/*.png")), sorted(made.glob("masks/*/*.png"))
    assert [p.relative_to(made / "images") for p in images] == [p.relative_to(made / "masks") for p in masks]
    parts = [p.parent.name for p in images]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 12, "val": 3, "test": 5}
    for image, mask in zip(images, masks, strict=True):
        with Image.open(image) as opened:
            assert opened.mode == "L" and opened.size == (64, 64)
        values = read_mask(mask)
        assert values.dtype == np.uint8 and set(np.unique(values)) <= {0, 255}
        assert values.any() != image.stem.endswith("sound")
    assert sum(p.stem.endswith("sound") for p in images) == 4  # a fifth
    assert {p.name for p in made.iterdir()} == {"images", "masks", "synthetic.json"}


def test_the_json_says_how_to_make_each_picture_again(made):
    facts = json.loads((made / "synthetic.json").read_text())
    assert facts["seed"] == 3 and facts["version"] == 1 and len(facts["pictures"]) == 20
    for entry in facts["pictures"][:4]:
        image, mask = surface(entry["kind"], entry["defect"], facts["size"], entry["seed"])
        assert (read_image(made / "images" / entry["part"] / f"{entry['name']}.png") == image).all()
        assert (read_mask(made / "masks" / entry["part"] / f"{entry['name']}.png") == mask).all()


def test_no_two_pictures_share_a_seed(made):
    seeds = [entry["seed"] for entry in json.loads((made / "synthetic.json").read_text())["pictures"]]
    assert len(set(seeds)) == len(seeds)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_none_of_them(made, tmp_path):
    again = everything(synthesize(tmp_path / "again", pictures=20, size=64, seed=3))
    other = everything(synthesize(tmp_path / "other", pictures=20, size=64, seed=4))
    assert again == everything(made)
    images = {content for name, content in again.items() if name.startswith("images")}
    assert images.isdisjoint(other.values())


def test_an_existing_folder_is_not_written_into(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("keep")
    with pytest.raises(OutputError, match="exists already"):
        synthesize(tmp_path / "mine", pictures=3, size=64)
    assert everything(tmp_path) == {"mine/note": b"keep"}


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    synthesize(tmp_path / "empty", pictures=3, size=64)
    assert len(list(tmp_path.glob("empty/images/*/*.png"))) == 3


def test_a_set_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def full(array):
        calls.append(array)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        return b"png"

    monkeypatch.setattr("anet.data.synthetic.png_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        synthesize(tmp_path / "set", pictures=6, size=64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"pictures": 2}, {"size": 63}, {"size": 9999}, {"seed": -1}, {"sound": 1.0}, {"sound": -0.1}],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused_by_name(wrong, tmp_path):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        synthesize(tmp_path / "set", **wrong)


@pytest.mark.parametrize("arguments", [("wood", None, 64, 0), ("tile", "dent", 64, 0)], ids=str)
def test_an_unknown_kind_is_answered_with_those_there_are(arguments):
    with pytest.raises(OptionError, match="there are"):
        surface(*arguments)
