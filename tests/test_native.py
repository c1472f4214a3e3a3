"""The compiled kernel answers as torch does, to the same bits however it is run, and stands back where it cannot."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.__main__ import main
from anet.errors import ModelError, OptionError
from anet.export.deployable import export_bundle
from anet.export.native import is_printed, native_weights
from anet.files import sha256
from anet.image import write_png
from anet.nets import ANet, build
from anet.nets.ablation import ABLATIONS
from anet.nets.anet import TABLE_II
from anet.nets.deployable import Deployable
from anet.runtime.card import CARD, Card, read_card
from anet.runtime.engine import Engine
from anet.runtime.engines import native
from anet.runtime.engines.native import HEAD, Native, Network, read_weights
from tests.test_engines import forked, refuses
from tests.test_export import MEAN, STD, Tiny, exported, facts, frames, network

pytestmark = pytest.mark.skipif(native.library() is None, reason="the kernel is not built: no C++ compiler at install")


def weights(classes: int = 2) -> bytes:
    return native_weights(network(classes).eval(), MEAN, STD)


def engine(h: int, w: int, classes: int = 2, threads: int = 1, streams: int = 0) -> Native:
    card = Card(**facts(classes, h=h, w=w), channels=1 if classes == 2 else classes)
    return Native(card, [weights(classes)], threads, streams, "a bundle")


def picture(h: int, w: int, seed: int = 0) -> np.ndarray:
    """Give `(1, h, w, 3) uint8`: noise beside flat grey, so that answers lie on both sides."""
    image = np.random.default_rng(seed).integers(0, 256, (1, h, w, 3)).astype(np.uint8)
    image[:, :, w // 2 :] //= 8
    return image


def torch_answer(image: np.ndarray, classes: int = 2) -> np.ndarray:
    with torch.inference_mode():
        return Deployable(network(classes), MEAN, STD).eval()(torch.from_numpy(image)).numpy()


@pytest.fixture
def bundle(tmp_path) -> Path:
    return with_native(tmp_path / "bundle", weights())


def with_native(folder: Path, content: bytes) -> Path:
    """Give a copy of the exported bundle that holds `content` as the kernel's weights."""
    shutil.copytree(exported(), folder, dirs_exist_ok=True)
    (folder / "model.native").write_bytes(content)
    card = read_card(folder)
    (folder / CARD).write_bytes(replace(card, files={**card.files, "model.native": sha256(content)}).sealed())
    return folder


# answers


@pytest.mark.parametrize(("h", "w"), [(32, 32), (32, 352), (224, 224), (256, 320), (512, 512)])
def test_it_answers_as_torch_does(h, w):
    image = picture(h, w)
    wanted = torch_answer(image)
    assert np.abs(engine(h, w).run(image) - wanted).max() < 1e-4
    assert wanted.std() > 0.05  # or nothing was shown


@pytest.mark.parametrize("classes", [3, 4])
def test_it_answers_as_torch_does_with_several_classes(classes):
    image = picture(64, 96)
    answer = engine(64, 96, classes).run(image)
    assert answer.shape == (1, 64, 96, classes)
    assert np.abs(answer - torch_answer(image, classes)).max() < 1e-4
    assert np.allclose(answer.sum(-1), 1, atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(h=st.integers(1, 6), w=st.integers(1, 6), seed=st.integers(0, 99), value=st.sampled_from([None, 0, 255]))
def test_it_answers_as_torch_does_for_any_multiple_of_32(h, w, seed, value):
    image = picture(32 * h, 32 * w, seed)
    if value is not None:
        image[:] = value
    assert np.abs(engine(32 * h, 32 * w).run(image) - torch_answer(image)).max() < 1e-4


@pytest.mark.parametrize("kind", native.KINDS["f32"])
def test_each_kernel_that_was_built_answers_as_torch_does(kind, monkeypatch):
    monkeypatch.setattr(native, "KINDS", {"f32": (kind,)})
    found = native.library.__wrapped__()
    if found is None:
        pytest.skip(f"{kind} is not for this machine")
    monkeypatch.setattr(native, "library", lambda precision: found)
    image = picture(64, 96)
    for classes in (2, 4):
        assert np.abs(engine(64, 96, classes, 2).run(image) - torch_answer(image, classes)).max() < 1e-4


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize(("h", "w"), [(32, 32), (96, 64)])
def test_any_number_of_threads_gives_the_same_bits(threads, h, w):
    image = picture(h, w)
    alone, together = engine(h, w), engine(h, w, threads=threads)
    for _ in range(5):
        assert np.array_equal(together.run(image), alone.run(image))


def test_asked_from_several_threads_at_once_it_gives_each_its_own_answer():
    images = [picture(64, 64, seed) for seed in range(6)]
    shared = engine(64, 64, threads=2)
    wanted = [shared.run(image) for image in images]
    with ThreadPoolExecutor(3) as pool:
        given_ = list(pool.map(shared.run, images * 5))
    assert all(np.array_equal(one, wanted[number % 6]) for number, one in enumerate(given_))
    assert len(shared.idle) <= native.MOST_IDLE


def test_networks_of_sizes_long_unused_are_let_go():
    shared = engine(32, 32)
    for number in range(1, 14):
        shared.run(picture(32, 32 * number))
    assert len(shared.idle) == native.MOST_IDLE
    assert np.array_equal(shared.run(picture(32, 32)), engine(32, 32).run(picture(32, 32)))


def test_a_process_forked_off_makes_networks_of_its_own():
    shared, image = engine(32, 32, threads=2), picture(32, 32)
    wanted = shared.run(image)

    def works() -> bool:
        same = np.array_equal(shared.run(image), wanted)
        shared.idle.clear()
        return same

    assert forked(works)


def test_a_bundle_works_on_in_a_forked_process_unless_streams_wait_there(bundle):
    image = frames(1)[0]
    alone, many = (Engine(bundle, engine="native", threads=1, streams=streams) for streams in (0, 2))
    wanted = alone.probs(image)
    assert forked(lambda: np.array_equal(next(alone.stream([image])), wanted)) and forked(lambda: refuses(many, image))


# as an engine of a bundle


@pytest.mark.parametrize("streams", [0, 1, 3])
def test_a_stream_has_the_order_and_the_bits_of_single_answers(bundle, streams):
    alone = Engine(bundle, engine="native", threads=1)
    many = Engine(bundle, engine="native", threads=2, streams=streams)
    pictures = frames(9)
    for one, other in zip(many.stream(pictures), pictures, strict=True):
        assert np.array_equal(one, alone.probs(other))
    assert alone.note == many.note == ""


def test_it_and_openvino_agree(bundle):
    ours, theirs = Engine(bundle, engine="native"), Engine(bundle)
    assert max(np.abs(ours.probs(one) - theirs.probs(one)).max() for one in frames(4)) < 1e-4


def test_each_changed_bit_of_its_weights_is_noticed(bundle):
    content = bytearray((bundle / "model.native").read_bytes())
    for place in (0, 20, len(content) - 1):
        content[place] ^= 4
        (bundle / "model.native").write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            Engine(bundle, engine="native")
        content[place] ^= 4


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, wrong):
    content = bytearray(weights())
    content[-4:] = np.float32(wrong).tobytes()
    with pytest.raises(ModelError, match="NaN or infinite"):
        Engine(with_native(tmp_path / "b", bytes(content)), engine="native")


def test_an_answer_of_nan_is_an_error(tmp_path):
    values = read_weights(weights(), "it").copy()
    values[::7] *= 1e30  # finite, but what they give is not
    content = HEAD + values.astype("<f4").tobytes()
    with pytest.raises(ModelError, match="NaN or infinity"):
        Engine(with_native(tmp_path / "b", content), engine="native").probs(frames(1)[0])


@pytest.mark.parametrize("content", [b"", HEAD, HEAD + b"abc", b"x" * 100, weights()[:-4], weights() + b"\0" * 4])
def test_weights_of_something_else_are_refused(tmp_path, content):
    with pytest.raises(ModelError, match=r"model\.native|weights"):
        Engine(with_native(tmp_path / "b", content), engine="native")


def test_weights_for_another_number_of_classes_are_refused():
    with pytest.raises(ModelError, match="channels"):
        Network(read_weights(weights(), "it"), 32, 32, 3, 1)


def test_a_precision_that_it_does_not_have_is_refused(bundle):
    with pytest.raises(OptionError, match="f32 would work"):
        Engine(bundle, engine="native", precision="int8")


def test_an_export_proves_it_beside_torch(tmp_path):
    made = export_bundle(network(), facts(), tmp_path / "b", frames(2), ("native",))
    card = read_card(made)
    assert card.parity["native f32"]["max_difference"] < 1e-4
    assert Engine(made, engine="native").probs(frames(1)[0]).shape == (64, 64, 1)


# where it stands back


def test_an_export_of_another_network_says_why_it_has_no_weights_for_it(tmp_path):
    card = read_card(export_bundle(Tiny(), facts(), tmp_path / "b", frames(1), ("openvino", "native")))
    assert "model.native" not in card.files and "A-Net only" in card.left_out["native"]


def test_inspect_says_in_one_line_that_openvino_answers(tmp_path, capsys, monkeypatch):
    write_png(tmp_path / "a.png", frames(1)[0])
    command = ["anet", "inspect", str(exported()), str(tmp_path / "a.png"), "--out", str(tmp_path / "o")]
    monkeypatch.setattr("sys.argv", [*command, "--engine", "native"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err.strip().splitlines()
    assert [line for line in said if "openvino is used" in line] == said[:1]


def test_networks_that_it_does_not_know_are_told():
    assert is_printed(network()) and not is_printed(build("enet", 1))
    others = [rows for rows in ABLATIONS.values() if rows != TABLE_II]
    assert len(others) > 3 and not any(is_printed(ANet(1, rows)) for rows in others)


def test_without_its_weights_openvino_answers_and_it_is_said(tmp_path):
    card = read_card(exported())
    assert "model.native" not in card.files
    engine = Engine(exported(), engine="native")
    assert "openvino is used" in engine.note and "\n" not in engine.note
    assert np.array_equal(engine.probs(frames(1)[0]), Engine(exported()).probs(frames(1)[0]))


def test_where_it_is_not_built_openvino_answers_and_it_is_said(bundle, monkeypatch):
    monkeypatch.setattr(native, "library", lambda precision: None)
    engine = Engine(bundle, engine="native")
    assert "not built" in engine.note
    assert engine.probs(frames(1)[0]).shape == (64, 64, 1)


def test_a_file_that_is_no_library_is_passed_over(tmp_path, monkeypatch):
    for suffix in native.EXTENSION_SUFFIXES:
        (tmp_path / f"_kernel_v4{suffix}").write_bytes(b"not a library")
    monkeypatch.setattr(native, "__file__", os.fspath(tmp_path / "native.py"))
    assert native.library.__wrapped__() is None
