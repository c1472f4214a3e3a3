"""The same answers from every engine, and OpenVINO's Model API reads a bundle without glue."""

import atexit
import functools
import json
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from anet.errors import ModelError, OptionError
from anet.export import deployable
from anet.export.deployable import export_bundle
from anet.export.parity import lost_at_most
from anet.export.quantize import int8_graph
from anet.files import UNSEALED, seal, sha256
from anet.frame import decide
from anet.nets.deployable import Deployable
from anet.pipeline import read_size
from anet.provenance import machine
from anet.runtime.card import CARD, ONNX, Card, check_bundle, read_card
from anet.runtime.engine import Engine
from anet.runtime.engines.compiled import ov
from anet.runtime.model_api import threshold_text, with_threshold
from anet.runtime.settings import Settings
from tests.test_export import SIZE, facts, frames, network
from tests.test_runtime import reseal


class Small(nn.Module):
    """Two layers: enough to tell channels, colours and sides apart."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.PReLU(), nn.Conv2d(4, channels, 5, padding=2))

    def forward(self, x):
        return 3 * self.layers(x)


@functools.cache
def bundle_of(classes: int = 2, **changed) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="anet-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    card_facts = facts(classes, **changed)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # some weights mark all of a frame, or nothing
        small = Small(1 if classes == 2 else classes)
    return export_bundle(small, card_facts, folder / "model", frames(2), ("openvino", "f16", "onnx"))


def forked(works: Callable[[], bool]) -> bool:
    """Say whether something works in a process that is forked off; if it waits for ever there, it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads: that is what is tested
        child = os.fork()
    if not child:
        done = False
        try:  # whatever happens, the child must not go on as a second test process
            signal.alarm(30)
            done = works()
        finally:
            os._exit(0 if done else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def refuses(engine: Engine, frame: np.ndarray) -> bool:
    """Say whether an engine refuses to answer since its threads stayed in another process."""
    for ask in (engine.probs, lambda frame: next(engine.stream([frame]))):
        with pytest.raises(ModelError, match="start processes by 'spawn'"):
            ask(frame)
    return True


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_bundle_opened_before_a_fork_is_one_clear_line_and_never_waits(engine):
    one = Engine(bundle_of(), 1, engine=engine)
    assert forked(lambda: refuses(one, frames(1)[0]))


@pytest.mark.parametrize("classes", [2, 4])
def test_onnx_runtime_gives_the_answers_of_openvino(classes):
    one, other = Engine(bundle_of(classes), 1), Engine(bundle_of(classes), 1, engine="onnxruntime")
    for frame in frames(3):
        assert np.abs(one.probs(frame) - other.probs(frame)).max() <= 1e-5


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_stream_gives_the_same_bits_in_order_and_is_never_far_ahead(engine):
    one, taken, given = Engine(bundle_of(), 1, engine=engine, streams=2), [], 0
    pictures = frames(9)

    def source():
        for picture in pictures:
            taken.append(picture)
            yield picture.copy()

    for given, answer in enumerate(one.stream(source()), 1):
        assert np.array_equal(answer, one.probs(pictures[given - 1]))
        assert len(taken) - given < one._engine.depth
    assert given == 9 and list(one.stream([])) == []


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_stream_given_up_half_way_leaves_the_engine_whole(engine):
    one, pictures = Engine(bundle_of(), 1, engine=engine), frames(4)
    stream = one.stream(pictures)
    next(stream)
    stream.close()
    with pytest.raises(ValueError, match="a frame is"):
        list(one.stream([pictures[0], pictures[1][:32]]))
    assert [np.array_equal(a, one.probs(b)) for a, b in zip(one.stream(pictures), pictures, strict=True)] == [True] * 4


def test_a_dynamic_bundle_takes_frames_of_any_sides_that_fit():
    bundle = bundle_of(h=0, w=0, train_px=SIZE, picture_px=SIZE)
    for engine in ("openvino", "onnxruntime"):
        one = Engine(bundle, 1, engine=engine)
        assert [one.probs(np.zeros((h, w, 3), np.uint8)).shape for h, w in ((32, 96), (64, 64))] == [
            (32, 96, 1),
            (64, 64, 1),
        ]
        with pytest.raises(OptionError, match="multiple of 32"):
            one.probs(np.zeros((40, 64, 3), np.uint8))


def test_a_bundle_higher_than_wide_answers_in_its_shape():
    one = Engine(bundle_of(h=96, w=32), 1)
    assert one.probs(np.zeros((96, 32, 3), np.uint8)).shape == (96, 32, 1)
    assert one.card.frame(300, 50).inner(300, 50) == (96, 16)


def test_an_engine_that_was_tuned_gives_way_to_a_precision_that_it_does_not_hold():
    tuned = Settings("onnxruntime", "f32", 1, 1)
    one, half = (Engine(bundle_of(), precision=precision, settings=tuned) for precision in ("f32", "f16"))
    assert (one.name, half.name, half.precision, half.note) == ("onnxruntime", "openvino", "f16", "")
    with pytest.raises(OptionError, match="no precision 'f16' for onnxruntime"):
        Engine(bundle_of(), precision="f16", engine="onnxruntime", settings=tuned)  # asked for, it does not


def test_weights_in_half_precision_answer_nearly_the_same():
    one, half = Engine(bundle_of(), 1), Engine(bundle_of(), 1, "f16")
    frame = frames(1)[0]
    assert 0 < np.abs(one.probs(frame) - half.probs(frame)).max() < 5e-3
    assert (one.precision, half.precision) == ("f32", "f16")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"engine": "tensorrt"}, "openvino, onnxruntime"),
        ({"engine": "a\nb"}, "no engine"),
        ({"precision": "int8"}, "f32, f16 would work"),
        ({"precision": "int8", "engine": "onnxruntime"}, "f32 would work"),
        ({"precision": ""}, "f32, f16 would work"),
        ({"streams": -1}, "streams is -1"),
        ({"threads": 10**9}, "threads is"),
    ],
)
def test_what_an_engine_cannot_do_is_said_with_what_it_can(how, says):
    with pytest.raises(OptionError, match=says) as caught:
        Engine(bundle_of(), **how)
    assert "\n" not in str(caught.value)


def test_a_bundle_without_onnx_names_the_engine_that_works(tmp_path):
    bundle = export_bundle(Small(1), facts(), tmp_path / "model", frames(1))
    with pytest.raises(ModelError, match="--engine openvino would work"):
        Engine(bundle, engine="onnxruntime")


# ONNX files that are not ours


def outside(model: onnx.ModelProto) -> None:
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "../../../etc/passwd")
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def nan(model: onnx.ModelProto) -> None:
    for one in model.graph.initializer:
        if one.data_type == onnx.TensorProto.FLOAT and one.raw_data:
            one.raw_data = np.full(len(one.raw_data) // 4, np.nan, np.float32).tobytes()


HALF_OF_ALL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 // 4  # of all memory, in float32


def large(model: onnx.ModelProto, amount: int = HALF_OF_ALL) -> None:
    """Ask for half of the memory inside a small file: there it is, and it is refused."""
    fill = onnx.helper.make_node("ConstantOfShape", ["far"], ["filled"])
    total = onnx.helper.make_node("ReduceSum", ["filled", "axis"], ["nothing"], keepdims=1)
    for name, values in (("far", [amount]), ("axis", [0])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
    name = model.graph.output[0].name
    last = next(one for one in model.graph.node if name in one.output)
    last.output[list(last.output).index(name)] = "before"
    model.graph.node.extend([fill, total, onnx.helper.make_node("Add", ["before", "nothing"], [name])])


def huge(model: onnx.ModelProto) -> None:
    """Ask for 160 GB."""
    large(model, 40_000_000_000)


def endless(model: onnx.ModelProto) -> None:
    """Count to 2**40 on the way."""
    kinds = {"count": onnx.TensorProto.INT64, "on": onnx.TensorProto.BOOL}
    values = [onnx.helper.make_tensor_value_info(name, kind, []) for name, kind in kinds.items()]
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["on"], ["still"])], "body", values,
        [onnx.helper.make_tensor_value_info("still", onnx.TensorProto.BOOL, [])],
    )  # fmt: skip
    for name, value in (("times", 2**40), ("yes", True)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    model.graph.node.append(onnx.helper.make_node("Loop", ["times", "yes"], [], body=body))


def dimensions(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**31, 2**31]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (outside, "other files"),
        (large, "cannot run"),
        (huge, "cannot (load|run)"),
        (endless, "loops"),
        (dimensions, "cannot load"),
        (nan, "NaN or infinity"),
        (lambda model: setattr(model, "ir_version", 99), "cannot load"),
        (lambda model: setattr(model.opset_import[0], "version", 999), "cannot load"),
        (lambda model: setattr(model.graph.node[3], "op_type", "Nonsense"), "cannot load"),
        (lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 96), "ONNX"),
        (lambda model: model.graph.ClearField("node"), "cannot load"),
    ],
)
def test_an_onnx_file_of_another_kind_is_one_clear_line(tmp_path, spoil, says):
    bundle = Path(shutil.copytree(bundle_of(), tmp_path / "model"))
    model = onnx.load(bundle / ONNX)
    spoil(model)
    refused(bundle, model.SerializeToString(), says)


@pytest.mark.parametrize("cut", [0, 1, 100, 1000, -1])
def test_an_onnx_file_cut_short_is_one_clear_line(tmp_path, cut):
    bundle = Path(shutil.copytree(bundle_of(), tmp_path / "model"))
    refused(bundle, (bundle / ONNX).read_bytes()[:cut], "cannot load")


def refused(bundle: Path, content: bytes, says: str) -> None:
    """Seal foreign bytes into a bundle and hold that the engine refuses them."""
    (bundle / ONNX).write_bytes(content)
    reseal(bundle, files={**read_card(bundle).files, ONNX: sha256(content)})
    with pytest.raises(ModelError, match=says) as caught:
        Engine(bundle, 1, engine="onnxruntime").probs(frames(1)[0])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


# int8


@dataclass(frozen=True)
class Bright:
    """A picture with a bright square, and its mask."""

    name: str

    def read(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[10:40, 20:50] = 1
        return np.repeat(60 + 120 * mask[..., None], 3, 2), mask


class Brightness(nn.Module):
    """A network that finds what is bright."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)
        nn.init.constant_(self.layer.weight, 0.5)
        nn.init.constant_(self.layer.bias, -2.0)

    def forward(self, x):
        return self.layer(x)


@functools.cache
def bright_int8() -> ov.Model:
    """Quantise once: what is kept or left out is decided later."""
    card = Card(**facts(), channels=1)
    shown = card.frame(SIZE, SIZE).image(Bright("a").read(2)[0])
    return int8_graph(Deployable(Brightness(), card.mean, card.std).eval(), card, [shown])


@pytest.mark.parametrize(("faster", "max_drop", "why"), [(True, 5, None), (False, 5, "not faster"), (True, -1, "IoU")])
def test_int8_is_kept_where_it_is_faster_and_loses_little(tmp_path, monkeypatch, faster, max_drop, why):
    def timed(engines, frame):
        each = {name: {"median_ms": 1.0 + (name.endswith("int8") != faster), "p95_ms": 3.0} for name in engines}
        return {"machine": machine(), **each}

    monkeypatch.setattr(deployable, "speed", timed)
    monkeypatch.setattr(deployable, "int8_graph", lambda *_: bright_int8())
    formats = ("openvino", "int8")
    bundle = export_bundle(Brightness(), facts(), tmp_path / "model", [Bright("a")], formats, max_drop=max_drop)
    card, page = check_bundle(bundle), (bundle / "CARD.md").read_text()
    assert 0.8 < card.parity["torch"]["iou"] <= 1 and "openvino int8" in card.parity and "openvino int8" in page
    if why is None:
        assert card.precision == Engine(bundle, 1).precision == "int8" and not card.left_out
        assert Engine(bundle, 1, "f32").precision == "f32"
    else:
        assert why in card.left_out["int8"] and card.left_out["int8"] in page and card.precision == "f32"
        assert not list(bundle.glob("*int8*"))
        with pytest.raises(OptionError, match=why):
            Engine(bundle, 1, "int8")


def test_int8_is_left_out_when_the_pictures_of_training_show_a_loss_that_validation_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(deployable, "int8_graph", lambda *_: bright_int8())
    shown = []
    monkeypatch.setattr(deployable, "loss_bound", lambda exact, rounded, samples, card: shown.append(samples) or 0.4)
    proof, seen = [Bright("a")], [Bright("b"), Bright("c")]
    bundle = export_bundle(
        Brightness(), facts(), tmp_path / "model", proof, ("openvino", "int8"), max_drop=0.3, seen=seen
    )
    card, page = check_bundle(bundle), (bundle / "CARD.md").read_text()
    assert shown == [[*proof, *seen]] and card.parity["torch"]["iou"] == card.parity["openvino int8"]["iou"]
    assert card.left_out["int8"].startswith("it may lose 0.40 points of IoU (95% bound on 3 labelled pictures)")
    assert "| 0.40 |" in page and not list(bundle.glob("*int8*"))


def answered(truth: int, hit: int, false: int = 0) -> np.ndarray:
    """Give the confusion of a picture of 1000 pixels."""
    return np.array([[1000 - truth - false, false], [truth - hit, hit]])


def test_the_bound_on_a_loss_is_the_loss_where_pictures_agree_and_wider_where_few_carry_it():
    good, worse, bad = answered(100, 90), answered(100, 80), answered(100, 10)
    assert lost_at_most(np.array([[good, good]] * 5)) == 0
    assert lost_at_most(np.array([[good, worse]] * 5)) == pytest.approx(10)
    assert lost_at_most(np.array([[worse, good]] * 5)) == pytest.approx(-10), "what gains may stay"
    one_of = {n: lost_at_most(np.array([[good, bad]] + [[good, good]] * (n - 1))) for n in (10, 40, 160)}
    for n, bound in one_of.items():
        loss = 80 / n
        assert loss < bound < 4 * loss
    assert one_of[160] - 80 / 160 < one_of[40] - 80 / 40 < one_of[10] - 80 / 10
    sound = answered(0, 0)
    assert lost_at_most(np.array([[sound, sound]] * 3)) is None
    assert lost_at_most(np.array([[good, worse]] + [[sound, sound]] * 3)) == pytest.approx(10)


def test_the_bound_of_several_classes_is_that_of_their_mean():
    exact = np.diag([800, 100, 100])
    lost = exact.copy()
    lost[1] = [50, 50, 0]
    assert lost_at_most(np.array([[exact, lost]] * 4)) == pytest.approx(25)


def test_a_package_that_is_missing_leaves_its_format_out_and_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(deployable.NEEDS, "int8", ("no_such_package",))
    bundle = export_bundle(Brightness(), facts(), tmp_path / "model", [Bright("a")], ("openvino", "int8"))
    assert "pip install 'anet-inspect[export]'" in read_card(bundle).left_out["int8"]


@pytest.mark.parametrize(("formats", "says"), [((), "no format"), (("ncnn",), "ncnn"), (("int8",), "add openvino")])
def test_formats_that_cannot_be_are_refused(tmp_path, formats, says):
    with pytest.raises(OptionError, match=says):
        export_bundle(Brightness(), facts(), tmp_path / "model", frames(1), formats)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "x", "224x", "-32", "224x320x3", "33", "0", "²", "9" * 30, "dynamisch"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(OptionError):
        read_size(text)
    assert read_size("224x320") == (224, 320) and read_size("64") == (64, 64) and read_size("dynamic") == (0, 0)


# every file


def test_a_changed_bit_in_any_file_is_found_by_the_check(tmp_path):
    bundle = Path(shutil.copytree(bundle_of(), tmp_path / "model"))
    rng = np.random.default_rng(0)
    names = [*check_bundle(bundle).files, CARD]
    assert len(names) == 7
    for name in names:
        whole = (bundle / name).read_bytes()
        for _ in range(20):
            broken = bytearray(whole)
            broken[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
            (bundle / name).write_bytes(broken)
            with pytest.raises(ModelError):
                check_bundle(bundle)
        (bundle / name).unlink()
        with pytest.raises(ModelError):
            check_bundle(bundle)
        (bundle / name).write_bytes(whole)
    check_bundle(bundle)


def test_a_card_that_lists_a_file_elsewhere_is_refused(tmp_path):
    bundle = Path(shutil.copytree(bundle_of(), tmp_path / "model"))
    reseal(bundle, files={**read_card(bundle).files, "../" + os.path.basename(tmp_path): "0" * 64})
    with pytest.raises(ModelError, match="no file beside it"):
        check_bundle(bundle)


def test_a_card_of_the_first_format_is_still_read(tmp_path):
    bundle = Path(shutil.copytree(bundle_of(), tmp_path / "model"))
    whole = json.loads((bundle / CARD).read_bytes())
    old = {key: value for key, value in whole.items() if key not in ("h", "w", "left_out", "speed", "precision")}
    (bundle / CARD).write_bytes(seal(json.dumps({**old, "size": SIZE, "format": 1, "sha256": UNSEALED}).encode()))
    card = read_card(bundle)
    assert (card.h, card.w, card.format) == (SIZE, SIZE, 2) and Engine(bundle, 1).probs(frames(1)[0]).any()


# Model API


@pytest.mark.parametrize("file", ["model.xml", "model.onnx"])
@pytest.mark.parametrize(("classes", "threshold"), [(2, 0.5), (2, 0.3), (2, 0.8), (4, 0.5), (4, 0.7), (4, 0.35)])
def test_model_api_loads_a_bundle_without_glue_and_decides_as_we_do(file, classes, threshold):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from model_api.adapters import OpenvinoAdapter
        from model_api.models import Model

        bundle = bundle_of(classes, threshold=threshold)
        plain = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16 where there is any: other bits, a few other pixels
        adapter = OpenvinoAdapter(ov.Core(), str(bundle / file), device="CPU", plugin_config=plain)
        foreign, engine = Model.create_model(adapter), Engine(bundle, 1)
        for frame in frames(3):
            wanted = decide(engine.probs(frame), threshold)
            assert 0 < (wanted > 0).mean() < 1
            assert np.array_equal(foreign(frame).resultImage, wanted)
        assert Model.create_model(str(bundle / file)).params.soft_threshold == float(threshold_text(threshold))
    assert foreign.params.labels == ["inclusion", "big_scratch", "patch"][: classes - 1]


@pytest.mark.parametrize("name", ["model.xml", "model-f16.xml", "model.onnx"])
def test_the_threshold_of_model_api_can_be_changed_in_a_file(name):
    content = (bundle_of() / name).read_bytes()
    changed = with_threshold(content, 0.125)
    assert len(changed) == len(content) and threshold_text(0.125).encode() in changed
    assert threshold_text(0.5).encode() not in changed and with_threshold(changed, 0.5) == content


def test_a_threshold_that_is_chosen_later_reaches_model_api_and_the_page(tmp_path):
    from anet.operating import write_point
    from anet.runtime.card import PAGE
    from anet.scoring.bounds import measured
    from anet.scoring.risk import Point

    bundle = Path(shutil.copytree(bundle_of(), tmp_path / "model"))
    (bundle / "notes.txt").write_text("keep")
    none = measured(0, 0, 0.95)
    point = Point(0.125, 7, none, none, none, None)
    write_point(bundle, point, {"by": "test"}, sha256((bundle / CARD).read_bytes()))
    card = check_bundle(bundle)
    assert (card.threshold, card.min_area_px) == (0.125, 7) and "above 0.125" in (bundle / PAGE).read_text()
    graph = ov.Core().read_model(bundle / "model.xml")
    assert graph.get_rt_info(["model_info", "soft_threshold"]).astype(str) == threshold_text(0.125)
    assert (bundle / "notes.txt").read_text() == "keep" and [one.name for one in tmp_path.iterdir()] == ["model"]


def test_the_network_itself_is_exported_for_both_engines(tmp_path):
    bundle = export_bundle(network(2), facts(h=32, w=32), tmp_path / "model", frames(2, 32), ("openvino", "onnx"))
    figures = read_card(bundle).parity
    assert figures["onnxruntime f32"]["max_difference"] < 1e-5


def test_frames_that_need_more_memory_together_than_there_is_are_answered_one_after_another(monkeypatch):
    """A run that finds no room waits until it is alone; another fault is no reason to try again."""
    pytest.importorskip("onnxruntime")
    engine = Engine(bundle_of(), threads=1, engine="onnxruntime", streams=4, settings=Settings())
    session, entered, lock, alone = engine._engine.session, [0], threading.Lock(), []

    class Crowded:
        def run(self, asked, given, options=None):
            with lock:
                entered[0] += 1
                inside = entered[0]
            try:
                time.sleep(0.05)
                alone.append(options is not None and inside == 1)
                if options is None:
                    raise RuntimeError("Failed to allocate memory for requested buffer of size 1")
                return session.run(asked, given, options)
            finally:
                with lock:
                    entered[0] -= 1

    wanted = [engine.probs(frame) for frame in frames(6)]
    monkeypatch.setattr(engine._engine, "session", Crowded())
    found = list(engine.stream(frames(6)))
    assert all(np.array_equal(one, two) for one, two in zip(found, wanted, strict=True))
    assert sum(alone) == 6 and len(alone) == 12

    class Broken:
        runs = 0

        def run(self, *_):
            Broken.runs += 1
            raise RuntimeError("a node is broken")

    monkeypatch.setattr(engine._engine, "session", Broken())
    with pytest.raises(ModelError, match="a node is broken"):
        engine.probs(frames(1)[0])
    assert Broken.runs == 1
