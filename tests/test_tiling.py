"""Pictures of any size: tiles cover all of it once, and no seam, strip or thread changes an answer."""

import contextlib
import io
import itertools
import re
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.errors import ImageError, ModelError, OptionError
from anet.export.deployable import export_bundle
from anet.frame import Frame
from anet.image import write_png
from anet.runtime import ahead as ahead_room
from anet.runtime import inspector as inspector_room
from anet.runtime import web
from anet.runtime.engines import native
from anet.runtime.inspector import Inspector
from anet.runtime.measuring.calibrate import read_scale
from anet.runtime.measuring.contrast import REACH
from anet.runtime.settings import Settings
from anet.runtime.tiling import Tiles, blended, blocks, shares, starts, tiles_of
from anet.runtime.verdicts.rules import Rule, Rules
from anet.runtime.verdicts.zones import Zone
from anet.runtime.web import Stretch
from tests.test_export import SIZE, exported, facts, frames, network

SIDES = st.integers(1, 3000)
OVERLAPS = st.sampled_from([0.0, 0.1, 0.25, 0.5])
FRAME = Frame(32)


def noise(seed: int, h: int, w: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def blobs(seed: int, h: int, w: int) -> np.ndarray:
    """Give a picture of dark and light blobs, whose red is what `Echo` takes for a probability."""
    rough = np.random.default_rng(seed).random((h, w, 3), np.float32)
    soft = cv2.GaussianBlur(rough, (0, 0), 3).reshape(h, w, 3)
    return ((soft - soft.min()) / max(1e-6, float(np.ptp(soft))) * 255).astype(np.uint8)


class Echo:
    """An engine whose network gives back its input's first channels."""

    name, precision = "echo", "f32"

    def __init__(self, channels: int = 1, at_once: int = 1):
        self.channels, self.at_once = channels, at_once

    def probs(self, frame):
        return frame[..., : self.channels].astype(np.float32) / 255

    def stream(self, frames):
        frames = iter(frames)
        while chunk := list(itertools.islice(frames, self.at_once)):
            yield from map(self.probs, chunk)


def strips_of(image: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return [part for part in np.split(image, sorted({cut % len(image) for cut in cuts} - {0})) if len(part)]


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    """One that cuts tiles of 32 x 32 pixels and takes red for probability, so that only the geometry is tried."""
    made = Inspector(exported(), threshold=0.5, threads=1, tiles=Tiles(1.0))
    made.engine, made.card = Echo(), replace(made.card, h=32, w=32)
    return made


# geometry


@settings(deadline=None)
@given(SIDES, st.integers(1, 700), OVERLAPS)
def test_every_place_is_covered_and_its_shares_sum_to_one(length, side, overlap):
    total = np.zeros(length)
    for begin, share in shares(length, side, round(side * overlap)):
        assert begin >= 0 and begin + len(share) <= length and len(share) == min(side, length) and share.min() > 0
        total[begin : begin + len(share)] += share
    assert np.abs(total - 1).max() < 1e-6


@given(SIDES, st.integers(1, 700), OVERLAPS)
def test_tiles_lie_a_step_apart_and_the_last_one_ends_with_the_picture(length, side, overlap):
    step = side - round(side * overlap)
    begins = starts(length, side, step)
    assert begins[0] == 0 and begins[-1] == max(0, length - side)
    assert begins[:-1] == list(range(0, step * (len(begins) - 1), step))
    assert len(begins) == 1 or 0 < begins[-1] - begins[-2] <= step


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 90), OVERLAPS, st.lists(st.integers(0, 399), max_size=12))
def test_blocks_are_those_of_the_whole_however_rows_come_in(h, side, overlap, cuts):
    step, image = side - round(side * overlap), noise(h, h, 3)
    found = list(blocks(strips_of(image, cuts), side, step))
    assert [top for top, _ in found] == starts(h, side, step)
    for top, rows in found:
        assert np.array_equal(rows, image[top : top + side])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 150), st.integers(1, 150), OVERLAPS, st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 7))
def test_a_network_that_changes_nothing_gives_back_the_picture(h, w, overlap, scale, at_once):
    grid, image = Tiles(scale, overlap).grid(FRAME, 1.0), blobs(h, h, w)
    bands = list(blended([image], grid, Echo(3, at_once).stream))
    assert [band.top for band in bands] == [0, *(band.bottom for band in bands[:-1])] and bands[-1].bottom == h
    assert np.array_equal(np.concatenate([band.image for band in bands]), image)
    probs = np.concatenate([band.probs for band in bands])
    assert probs.shape == (h, w, 3) and probs.dtype == np.float32
    if scale == 1:
        assert np.abs(probs - image / np.float32(255)).max() < 1e-6
    one_by_one = np.concatenate([band.probs for band in blended([image], grid, Echo(3).stream)])
    assert np.array_equal(probs, one_by_one)


def test_a_frame_that_is_no_square_cuts_tiles_of_its_shape():
    grid = Tiles(0.5).grid(Frame(32, 96), 1.0)
    assert (grid.h, grid.w, grid.over_h, grid.over_w) == (64, 192, 16, 48)
    image = blobs(0, 150, 400)
    assert sum(len(band.probs) for band in blended([image], grid, Echo().stream)) == 150
    assert grid.count(150, 400) == 3 * 3 and grid.count(1, 1) == 1


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"scale": -1.0}, {"scale": float("nan")}, {"scale": "1"},
                                   {"scale": 1e9}, {"overlap": 0.6}, {"overlap": -0.1}, {"overlap": float("nan")},
                                   {"overlap": True}, {"scale": True}])  # fmt: skip
def test_tiles_that_make_no_sense_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Tiles(**wrong)


# inspector


def test_a_scale_and_an_overlap_that_were_tuned_each_count_where_only_the_other_is_asked_for():
    def grid(tiles: Tiles | bool, **tuned: float) -> tuple[float, int]:
        made = Inspector(exported(), threads=1, tiles=tiles, settings=Settings(**tuned)).grid()
        return made.scale, made.over_h

    tuned = {"scale": 0.5, "overlap": 0.125}
    assert grid(True, **tuned) == grid(Tiles(), **tuned) == (0.5, SIZE // 4)
    assert grid(Tiles(overlap=0.5), **tuned) == (0.5, SIZE)
    assert grid(Tiles(scale=1.0), **tuned) == (1.0, SIZE // 8)
    assert grid(Tiles(1.0, 0), **tuned) == (1.0, 0)
    assert grid(Tiles(overlap=0.5), scale=0.5) == (0.5, SIZE) and grid(Tiles(1.0)) == (1.0, SIZE // 4)


def test_a_picture_no_larger_than_a_tile_has_the_bits_of_the_whole():
    whole, cut = (Inspector(exported(), threads=1, tiles=tiles) for tiles in (False, Tiles(1.0)))
    for h, w in ((SIZE, SIZE), (40, 56), (1, SIZE)):
        image = noise(h, h, w)
        one, two = whole(image), cut(image)
        assert np.array_equal(one.mask, two.mask) and one.defects == two.defects
        assert np.array_equal(one.probs(), two.probs()) and two.view == one.view and one.view.tiles == 1


@pytest.fixture(scope="module")
def of_all_formats(tmp_path_factory) -> Path:
    folder, formats = tmp_path_factory.mktemp("all") / "model", ("openvino", "onnx", "native")
    return export_bundle(network(4), facts(4), folder, frames(), formats)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "native"])
def test_a_picture_gives_the_same_bits_whatever_the_threads_and_streams(of_all_formats, engine):
    if engine == "native" and native.library() is None:
        pytest.skip("the kernel is not built: no C++ compiler at install")
    image, tiles, numbers = noise(0, 150, 170), Tiles(1.0), ((1, 1), (3, 1), (2, 2))
    made = [Inspector(of_all_formats, threads=n, streams=m, tiles=tiles, engine=engine) for n, m in numbers]
    small = [one(image[:SIZE, :SIZE]) for one in made]  # as a whole
    assert all(np.array_equal(one.probs(), small[0].probs()) and one.defects == small[0].defects for one in small)
    reports = [one(image) for one in made]
    for one in reports:
        assert one.engine == engine and np.array_equal(one.mask, reports[0].mask) and one.defects == reports[0].defects
        assert one.view.to_dict() == {"tiles": 12, "tile_px": [SIZE, SIZE], "scale": 1.0}
        assert one.probs().shape == (150, 170, 4) and np.array_equal(one.probs(), reports[0].probs())
        assert set(one.timing_ms) == {"decode", "pre", "infer", "post"} and min(one.timing_ms.values()) >= 0


@pytest.mark.parametrize("view", [np.s_[:], np.s_[:, ::-1]], ids=["array", "view"])
def test_probabilities_of_an_array_that_was_filled_again_are_refused(tmp_path, inspector, view):
    buffer = blobs(0, 150, 170)
    write_png(tmp_path / "a.png", buffer)
    report, of_file = inspector(buffer[view]), inspector(tmp_path / "a.png")
    probs = report.probs()
    assert report.view.tiles > 1 and np.array_equal(report.probs(), probs)
    buffer[149, 3, 2] += 1
    with pytest.raises(ValueError, match="holds other pixels by now"):
        report.probs()
    buffer[149, 3, 2] -= 1
    assert np.array_equal(report.probs(), probs) and np.array_equal(of_file.probs(), inspector.probs(buffer))


def test_a_small_defect_on_a_large_picture_is_found_in_tiles_and_lost_without(inspector, monkeypatch):
    image = np.zeros((600, 600, 3), np.uint8)
    image[300:305, 401:406] = 255
    monkeypatch.setattr(inspector, "tiles", Tiles(1.0))
    (one,) = inspector(image).defects
    assert one.box == (401, 300, 406, 305) and one.area_px == 25
    monkeypatch.setattr(inspector, "tiles", False)
    assert inspector(image).verdict == "accept"


def test_pictures_much_larger_than_those_of_the_training_are_cut_where_nothing_is_said(inspector, monkeypatch):
    monkeypatch.setattr(inspector, "tiles", None)
    assert inspector(noise(0, 200, 200)).view.tiles == 1  # not known how large they were
    monkeypatch.setattr(inspector, "card", replace(inspector.card, picture_px=64))
    for side, tiles in ((64, 1), (96, 1), (97, 4)):
        view = inspector(noise(0, side, side)).view
        assert view.tiles == tiles and (tiles == 1 or (view.tile_px, view.scale) == ((64, 64), 0.5))
    monkeypatch.setattr(inspector, "card", replace(inspector.card, large_px=100))  # of many sizes, each learnt whole
    assert [inspector(noise(0, 64, side)).view.tiles for side in (97, 150, 151)] == [1, 1, 3]
    monkeypatch.setattr(inspector, "tiles", False)
    assert inspector(noise(0, 200, 200)).view.tiles == 1


@pytest.mark.parametrize("tiles", ["yes", 3, (1.0, 0.25)])
def test_other_tiles_are_refused(tiles):
    with pytest.raises(OptionError, match="tiles is"):
        Inspector(exported(), tiles=tiles)


def test_tiles_without_a_known_scale_are_refused():
    with pytest.raises(OptionError, match="need a scale"):
        Inspector(exported(), tiles=True)
    with pytest.raises(OptionError, match="need a scale"):
        list(Inspector(exported()).inspect_stream([noise(0, 9, 9)]))


def test_many_pictures_come_back_in_order_with_their_reports_or_errors(tmp_path, monkeypatch):
    inspector = Inspector(exported(), threads=2)
    pictures = [noise(number, 40, 50) for number in range(12)]
    for number, image in enumerate(pictures):
        write_png(tmp_path / f"{number:02}.png", image)
    paths = [*sorted(tmp_path.glob("*.png")), tmp_path / "absent.png", pictures[0]]
    monkeypatch.setattr(inspector_room, "AHEAD", replace(inspector_room.AHEAD, pixels=40 * 50 - 1))  # all too large
    for limit in (False, True):
        if limit:
            monkeypatch.undo()
        found = list(inspector.many(iter(paths)))
        assert [picture for picture, _ in found[:-1]] == paths[:-1]
        for (_, report), image in zip(found[:12], pictures, strict=True):
            alone = inspector(image)
            assert np.array_equal(report.mask, alone.mask) and report.defects == alone.defects
        assert isinstance(found[12][1], ImageError) and "absent.png" in str(found[12][1])
        assert found[13][1].name == "picture"


def test_many_reads_only_a_few_pictures_ahead():
    inspector, asked = Inspector(exported(), threads=2), []

    def pictures():
        for number in range(50):
            asked.append(number)
            yield noise(number, 8, 8)

    found = inspector.many(pictures())
    next(found)
    assert len(asked) <= 4 + ahead_room.WAITING
    found.close()
    assert len(asked) <= 4 + ahead_room.WAITING


def test_a_camera_that_is_gone_takes_no_verdict_with_it():
    inspector, pictures = Inspector(exported(), threads=3), [noise(number, 8, 8) for number in range(3)]

    def camera():
        yield from pictures
        raise OSError("the camera is gone")

    found = []
    with pytest.raises(OSError, match="is gone"):
        found.extend(inspector.many(camera()))  # extended up to what is raised
    assert [id(picture) for picture, _ in found] == [id(picture) for picture in pictures]
    assert [np.array_equal(report.mask, inspector(picture).mask) for picture, report in found] == [True] * 3


def test_what_is_finished_is_given_before_another_picture_is_taken(monkeypatch):
    class AtOnce:
        """A pool whose work is finished when it is begun, but for the second."""

        def __init__(self, *_, **__):
            self.futures = []

        def submit(self, work, item):
            self.futures.append(Future())
            if len(self.futures) == 3:
                self.futures[1].set_result(1)
            if len(self.futures) != 2:
                self.futures[-1].set_result(work(item))
            return self.futures[-1]

        def shutdown(self, **_):
            pass

    def source():
        for number in range(5):
            events.append(("taken", number))
            yield number

    events = []
    monkeypatch.setattr(ahead_room, "ThreadPoolExecutor", AtOnce)
    for item, result in ahead_room.ahead(lambda number: number, source(), 4):
        assert item == result
        events.append(("given", item))
    order = [("taken", 0), ("given", 0), ("taken", 1), ("taken", 2), ("given", 1), ("given", 2)]
    assert events == [*order, ("taken", 3), ("given", 3), ("taken", 4), ("given", 4)]


# webs


def defects_of(stretches: list[Stretch]) -> list:
    return sorted((one for stretch in stretches for one in stretch.defects), key=web.by_size)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 260), st.integers(1, 90), st.lists(st.integers(0, 259), max_size=12), st.integers(1, 300))
def test_a_web_gives_the_same_bits_however_it_is_cut_into_strips(inspector, h, w, cuts, every):
    image = blobs(h * w, h, w)
    whole = list(inspector.inspect_stream([image], every))
    again = list(inspector.inspect_stream(iter(strips_of(image, cuts)), every))
    assert again == whole
    assert [one.top for one in whole] == list(range(0, h, every)) and whole[-1].bottom == h
    rows = sorted(row for defect in defects_of(whole) for row in defect.runs[:, 0])
    for one in whole:
        assert all(one.top < defect.box[3] <= one.bottom for defect in one.defects)
        lying = [row for row in rows if one.top <= row < one.bottom]
        assert one.verdict == ("reject" if lying else "accept")  # no stretch is good that a defect lies in
        assert (
            sorted(row for each in (*one.defects, *one.going_on) for row in each.runs[:, 0] if row >= one.top) == lying
        )


def test_a_camera_may_fill_the_same_buffer_again_and_again(inspector):
    image, buffer = blobs(0, 300, 60), np.empty((16, 60, 3), np.uint8)

    def refilled():
        for top in range(0, 300, 16):
            rows = image[top : top + 16]
            buffer[: len(rows)] = rows
            yield buffer[: len(rows)]

    found = list(inspector.inspect_stream(refilled(), 50))
    assert found == list(inspector.inspect_stream([image], 50)) and defects_of(found)


@settings(deadline=None, max_examples=40)
@given(st.integers(33, 260), st.integers(1, 90), st.integers(0, 9))
def test_a_web_gives_the_defects_of_the_picture_to_the_bit(inspector, h, w, seed):
    image = blobs(seed, h, w)
    assert defects_of(list(inspector.inspect_stream([image]))) == list(inspector(image).defects)


def test_a_scratch_across_many_strips_is_one_defect_and_comes_when_it_ends(inspector):
    image = np.zeros((900, 40, 3), np.uint8)
    image[100:700, 20:23] = 255
    given_rows = []

    def rows():
        for top in range(0, 900, 10):
            given_rows.append(top)
            yield image[top : top + 10]

    for stretch in inspector.inspect_stream(rows()):
        if stretch.defects:
            break
    (one,) = stretch.defects
    assert one.box == (20, 100, 23, 700) and one.length_px == 600 and not one.touches_border
    assert 700 <= given_rows[-1] < 800


def test_no_stretch_is_good_that_a_scratch_runs_through(inspector):
    image = np.zeros((900, 40, 3), np.uint8)
    image[100:700, 20:23] = 255
    image[650:655, 5:9] = 255
    found = list(inspector.inspect_stream(strips_of(image, list(range(0, 900, 10))), 200))
    assert [one.verdict for one in found] == ["reject"] * 4 + ["accept"]
    pieces = [[(each.box, each.touches_border) for each in one.going_on] for one in found]
    assert pieces == [[((20, 100, 23, 200), True)], [((20, 200, 23, 400), True)], [((20, 400, 23, 600), True)], [], []]
    assert [[each.box for each in one.defects] for one in found][3] == [(20, 100, 23, 700), (5, 650, 9, 655)]
    assert found[0].to_dict()["going_on"][0]["length_px"] == 100
    (reason,) = found[1].reasons
    assert reason.to_dict()["defects"] == [1]


def test_a_web_whose_camera_fails_has_a_verdict_to_its_last_row(inspector):
    image = blobs(0, 300, 60)

    def camera():
        yield from (image[top : top + 20] for top in range(0, 300, 20))
        raise RuntimeError("no more rows")

    found = []
    with pytest.raises(RuntimeError, match="no more rows"):
        for stretch in inspector.inspect_stream(camera(), 77):
            found.append(stretch)  # `extend` would lose them
    assert found == list(inspector.inspect_stream([image], 77)) and found[-1].bottom == 300


@pytest.mark.parametrize("width", [20, 32, 200])
def test_a_verdict_comes_two_tiles_less_their_overlap_and_a_few_rows_after_its_rows(inspector, monkeypatch, width):
    monkeypatch.setattr(inspector, "engine", Echo(at_once=5))
    image, grid, pulled = blobs(0, 600, width), inspector.grid(), 0

    def camera():
        nonlocal pulled
        for pulled in range(4, 601, 4):
            yield image[pulled - 4 : pulled]

    late = [pulled - one.bottom for one in inspector.inspect_stream(camera(), 7)]
    assert max(late) <= 2 * grid.h - grid.over_h + REACH + 3 and len(late) == 86


def test_a_defect_without_end_is_cut_so_that_memory_stays_flat(inspector, monkeypatch):
    monkeypatch.setattr(web, "MOST_RUNS", 100)
    image = np.zeros((1000, 40, 3), np.uint8)
    image[:, 20:23] = 255
    found = defects_of(list(inspector.inspect_stream([image])))
    assert len(found) > 5 and sum(one.area_px for one in found) == 3000 and all(one.touches_border for one in found)


def test_places_far_down_a_web_are_exact(inspector):
    image = np.zeros((128, 40, 3), np.uint8)
    image[50:90, 10:14] = 255
    image[60:64, 10:14] = 0
    near = defects_of(list(inspector.inspect_stream([image])))
    far = 3_000_000_000
    bands = (replace(band, top=band.top + far) for band in blended([image], inspector.grid(), Echo().stream))
    tracker = web._Tracker(inspector)
    tracker.border = tracker.measured = tracker.origin = far
    moved = [one for band in bands for *_, found in tracker.take(band) for one in found]
    moved += [one for *_, found in tracker.finish() for one in found]
    moved.sort(key=web.by_size)
    assert [(one.box[1] - far, one.length_px, one.angle_deg, one.contrast) for one in moved] == [
        (one.box[1], one.length_px, one.angle_deg, one.contrast) for one in near
    ]
    assert len(moved) == 2 and moved[0].runs[0, 0] == int(near[0].runs[0, 0]) + far


def test_rules_are_asked_for_each_stretch(inspector, monkeypatch):
    image = np.zeros((300, 60, 3), np.uint8)
    image[20:24, 10:14] = image[20:24, 30:34] = image[220:224, 10:14] = 255
    rules = Rules((Rule("crowd", "reject", {"max_count": 1}), Rule("near", "warn", {"min_distance_px": 20})))
    monkeypatch.setattr(inspector, "rules", rules)
    found = list(inspector.inspect_stream([image], 100))
    assert [one.verdict for one in found] == ["reject", "accept", "accept"]
    assert [reason.limit for reason in found[0].reasons] == ["max_count", "min_distance_px"]
    assert found[0].reasons[1].found == 16 and found[0].to_dict()["reasons"][0]["defects"] == [1, 2]


def test_rules_with_zones_and_strange_strips_are_refused(inspector, monkeypatch):
    good = noise(0, 20, 30)
    for bad in (good[..., 0], good.astype(float), good[:0], [[1]], None):
        with pytest.raises(ImageError, match="a strip is"):
            list(inspector.inspect_stream([good, bad]))
    with pytest.raises(ImageError, match="is 31 pixels wide, the one before 30"):
        list(inspector.inspect_stream([noise(0, 20, 30), noise(0, 20, 31)]))
    for every in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="every"):
            inspector.inspect_stream([good], every)
    assert list(inspector.inspect_stream([])) == []
    zone = Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0)), True)
    monkeypatch.setattr(inspector, "rules", Rules((Rule("z", "warn", {"max_count": 0}, zone=zone),)))
    with pytest.raises(OptionError, match="has a zone"):
        inspector.inspect_stream([good])


def test_a_tile_without_an_answer_gives_no_verdict(inspector, monkeypatch):
    def broken(frames):
        next(frames)
        yield np.zeros((32, 32, 1), np.float32)
        raise ModelError("NaN")

    monkeypatch.setattr(inspector.engine, "stream", broken, raising=False)
    with pytest.raises(ModelError):
        inspector(noise(0, 90, 90))


# memory, in a process of its own

ALONE = """
import resource, sys
import numpy as np
from anet.runtime.inspector import Inspector
from anet.runtime.tiling import Tiles
inspector = Inspector(sys.argv[1], threads=1, tiles=Tiles(1.0))
class Quiet:  # what is measured is ours, and takes no minutes
    def stream(self, frames):
        return (frame[..., :1] / np.float32(256) for frame in frames)
inspector.engine = Quiet()
row = np.zeros((64, {w}, 3), np.uint8)
row[10:12, 20:400] = 255
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def web(strips):
    found = sum(len(one.defects) for one in inspector.inspect_stream(row for _ in range(strips)))
    assert found == strips, found
    return peak()
web(40)
before = peak()
print(web(40 * {more}) - before)
"""


def test_a_long_web_takes_no_more_memory_than_a_short_one():
    code = ALONE.format(w=1500, more=6)
    done = subprocess.run([sys.executable, "-c", code, str(exported())], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20  # MiB


# the command line


def test_options_of_tiles_are_tiles_and_contradictions_are_refused():
    assert tiles_of(None, None, None) is None and tiles_of(True, None, None) is True
    assert tiles_of(False, None, None) is False and tiles_of(None, 0.5, None) == Tiles(0.5)
    assert tiles_of(True, None, 0.1) == Tiles(None, 0.1)
    with pytest.raises(OptionError, match="not wanted"):
        tiles_of(False, 0.5, None)


def test_a_picture_of_another_size_than_the_calibration_gets_no_millimetres(tmp_path):
    file = tmp_path / "calibration.json"
    file.write_text('{"mm_per_px": [0.1, 0.2], "h": 40, "w": 50}')
    scale, size, _ = read_scale(str(file))
    assert size == (40, 50) and read_scale("0.05")[1] is None
    inspector = Inspector(exported(), threads=1, mm_per_px=scale, calibrated_px=size)
    report = inspector(noise(0, 40, 50))
    assert report.to_dict()["mm_per_px"] == [0.1, 0.2] and report.defects[0].area_mm2 is not None
    with pytest.raises(ImageError, match="50x41 pixels, calibrated was with 50x40"):
        inspector(noise(0, 41, 50))


def test_a_web_of_another_width_than_the_calibration_gets_no_millimetres(inspector, monkeypatch):
    monkeypatch.setattr(inspector, "mm_per_px", (0.1, 0.2))
    monkeypatch.setattr(inspector, "calibrated_px", (40, 50))
    stretches = list(inspector.inspect_stream([blobs(0, 300, 50)]))
    assert stretches[-1].bottom == 300 and defects_of(stretches)[0].area_mm2 is not None
    with pytest.raises(ImageError, match="a strip is 51 pixels wide, calibrated was with 50: mm would be wrong"):
        list(inspector.inspect_stream([blobs(0, 40, 50), blobs(0, 40, 51)]))
    with pytest.raises(ImageError, match=r"a strip is \(rows, w, 3\)"):
        list(inspector.inspect_stream([blobs(0, 40, 51)[..., 0]]))


def test_the_page_on_sizes_runs(tmp_path):
    text = (Path(__file__).parent.parent / "docs" / "sizes.md").read_text()
    blocks_of_code = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks_of_code) == 3
    names = {"bundle": exported(), "picture": noise(0, 90, 80), "web": noise(1, 300, 70)}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec_blocks(blocks_of_code, names)
    assert "'tiles': 4" in said.getvalue() and "reject" in said.getvalue()


def exec_blocks(parts: list[str], names: dict) -> None:
    for part in parts:
        exec(compile(part, "docs/sizes.md", "exec"), names)
