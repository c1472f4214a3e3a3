import copy
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from anet import cli
from anet.bench import speed, whole
from anet.bench.folder import folder_apart
from anet.bench.picture import draw
from anet.bench.rounds import Spread, calls_within, interleaved, ratios
from anet.bench.show import compare, fell, markdown, print_bench, read_before, read_record, save, slug
from anet.bench.speed import MODES, Plan, bench
from anet.bench.subjects import FIGURE_9, bundle_subjects, names_of, precisions
from anet.bench.targets import targets
from anet.errors import AnetError, DataError, OptionError
from anet.export.deployable import export_bundle
from anet.provenance import machine
from anet.runtime.card import MODELS, Card, read_card
from anet.runtime.engine import Engine, why_not
from anet.runtime.verdicts.bundled_rules import add_rules
from anet.shipped import find
from tests.test_examples import load
from tests.test_export import Tiny, exported, facts, frames

POSITIVE = st.floats(1e-3, 1e6)
FACTS = {"mean": (0.5,) * 3, "std": (0.2,) * 3, "threshold": 0.5, "min_area_px": 0}
CARD = Card("anet", ("background", "defect"), 1, 32, 32, **FACTS)


def spread(middle: float, off: float = 0.1) -> dict:
    return {"median": middle, "low": middle * (1 - off), "high": middle * (1 + off)}


def row(name: str, mode: str, threads: int, took: float, plain: float = 10.0) -> dict:
    network = name.split()[0] if name != "plain" else "anet"
    return {
        "name": name, "network": network, "precision": "f32", "engine": "openvino", "trained": False,
        "mode": mode, "threads": threads, "ms": spread(took), "ratio": spread(plain / took),
    }  # fmt: skip


def record(**took: float) -> dict:
    """Give a made-up measurement: ms by name, `a_f32` for "a f32", the same in each mode."""
    times = {"plain": 10.0, **{name.replace("_", " "): value for name, value in took.items()}}
    rows = [row(name, mode, threads, value) for mode, threads in MODES for name, value in times.items()]
    facts = {"format": 1, "size": [32, 32], "rounds": 3, "turn_ms": 1.0, "commit": "none", "versions": {"anet": "0"}}
    result = {**facts, "machine": machine(), "rows": rows}
    return {**result, "targets": [one.to_dict() for one in targets(result)]}


@pytest.fixture(scope="module")
def short():
    """Make a measurement as short as it goes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "TURN_MS", 1.0)
        for name, value in {"PICTURES": 2, "COLD": 1, "STARTS": 1, "ROUNDS": 1}.items():
            patch.setattr(whole, name, value)
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """Export one layer, for OpenVINO alone, with rules in mm."""
    folder = tmp_path_factory.mktemp("made")
    rules, made = folder / "rules.toml", export_bundle(Tiny(), facts(h=32, w=32), folder / "b", frames(1, 32))
    rules.write_text('[[rules]]\nname = "long"\naction = "reject"\nmax_length_mm = 1\n')
    add_rules(made, rules)
    return made


@pytest.fixture(scope="module")
def measured(short):
    """Measure untrained networks once."""
    return bench(Plan(networks=("anet-none",), size=32, rounds=1))


# rounds


def test_rounds_are_interleaved_after_one_turn_each_to_warm_up():
    called = []
    turns = {name: lambda name=name: called.append(name) or float(len(called)) for name in "abc"}
    found = interleaved(turns, 2)
    assert "".join(called) == "abc" * 3 and found == {"a": [4, 7], "b": [5, 8], "c": [6, 9]}


@given(st.lists(POSITIVE, min_size=1, max_size=20))
def test_a_spread_holds_its_middle_and_lies_within_what_was_measured(values):
    found = Spread.of(values)
    assert min(values) * (1 - 1e-9) <= found.low <= found.median <= found.high <= max(values) * (1 + 1e-9)


@given(st.lists(POSITIVE, min_size=1, max_size=9), st.floats(0.1, 10))
def test_what_takes_half_the_time_in_every_round_is_twice_as_fast_however_the_rounds_vary(times, factor):
    found = ratios(times, [one / factor for one in times])
    assert found.low == pytest.approx(factor) == found.high


@given(POSITIVE, st.floats(1, 1000))
def test_a_turn_has_a_few_calls_at_least_and_an_end(took, turn):
    assert 3 <= calls_within(took, turn) <= 200


# what is measured


def test_every_subject_has_a_row_in_every_mode_and_plain_is_once_itself(measured):
    names = ["plain", "anet-none f32"]
    assert [(row["name"], row["mode"], row["threads"]) for row in measured["rows"]] == [
        (name, mode, threads) for mode, threads in MODES for name in names
    ]
    for one in measured["rows"]:
        assert 0 < one["ms"]["low"] <= one["ms"]["median"] <= one["ms"]["high"] and not one["trained"]
        assert one["name"] != "plain" or one["ratio"]["median"] == 1
    assert measured["machine"] == machine() and measured["versions"]["openvino"] and measured["size"] == [32, 32]


def test_the_whole_inspection_is_measured_in_stages_from_a_folder_and_from_a_fresh_start(measured):
    found = measured["whole"]
    assert list(found["stages_ms"]) == ["decode", "pre", "infer", "post"]
    assert found["folder"]["share"] > 0 and 0 <= found["folder"]["rejected"] <= found["pictures"]["count"] == 2
    assert found["start"]["warm_ms"]["median"] > 100 and found["start"]["memory_mb"] > 50


def test_a_bundle_with_rules_in_mm_is_measured_without_them_and_stays_as_it_is(short, bundle):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    found = whole.whole(bundle, 32, 32)
    assert found["folder"]["share"] > 0 and found["start"]["warm_ms"]["median"] > 0
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before and "rules.toml" in before


def test_the_whole_inspection_is_that_of_an_engine_which_the_bundle_holds(short, bundle, monkeypatch):
    asked = []
    monkeypatch.setattr(speed, "whole", lambda *words: asked.append(words) or {})
    monkeypatch.setattr(speed, "targets", lambda _: [])
    bench(Plan((bundle,), engines=("native", "openvino"), plain=False, rounds=1))
    assert asked == [(bundle, 32, 32, "openvino")]


def test_without_engines_named_all_that_run_here_are_measured_first_the_one_that_inspects(bundle):
    shipped = find("anet-neu")
    assert [one.engine for one in bundle_subjects(shipped, (), 224, 224)] == [Engine(shipped).name]
    card = read_card(bundle)
    here = {engine for engine in MODELS if not why_not(card, engine)}
    found = bundle_subjects(bundle, (), 32, 32)
    assert {one.engine for one in found} == here
    assert (found[0].engine, found[0].precision) == (Engine(bundle).name, Engine(bundle).precision)


def test_a_folder_is_measured_in_a_process_without_torch_which_says_why_it_fails(tmp_path):
    code = "import sys, anet.bench.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AnetError, match=r"failed in a fresh process(?s:.)*is no model bundle"):
        folder_apart(tmp_path / "nothing", tmp_path, 32, 32, "openvino", 1)


def test_a_measurement_is_json_and_comes_back_from_its_file(measured, tmp_path):
    json_, png, svg = save(measured, tmp_path)
    assert json_.name == f"{slug()}.json" and read_record(json_) == json.loads(json.dumps(measured))
    assert png.read_bytes().startswith(b"\x89PNG") and xml.parse(svg).getroot().tag.endswith("svg")


def test_a_measurement_is_printed_with_host_ratios_stages_and_aims(measured):
    stream = io.StringIO()
    print_bench(measured, Console(width=200, file=stream))
    said = stream.getvalue()
    for word in (machine()["cpu"], "anet-none*", "untrained", "against plain", "decode", "warm cache", "stretch"):
        assert str(word) in said


def test_bundles_of_different_sizes_or_of_one_name_are_not_compared(tmp_path, monkeypatch):
    sizes = {"a": 32, "b": 64}
    monkeypatch.setattr(
        speed, "read_card", lambda path: Card(*("anet", ("x", "y"), 1), *2 * (sizes[path.name],), **FACTS)
    )
    with pytest.raises(OptionError, match=r"32 x 32, 64 x 64"):
        bench(Plan((Path("a"), Path("b")), plain=False))
    with pytest.raises(OptionError, match="32 x 32"):
        bench(Plan((Path("a"),), size=64, plain=False))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(rounds=0), "0 rounds"),
        (Plan(networks=("nonsense",)), "no network"),
        (Plan(size=33), "multiple of 32"),
        (Plan(networks=("anet",), size=32, engines=("abacus",), plain=False), "no engine 'abacus'"),
    ],
)
def test_a_plan_that_cannot_be_is_one_clear_line(plan, said):
    with pytest.raises(OptionError, match=said):
        bench(plan)


def test_networks_are_named_by_the_figure_by_commas_or_all():
    assert names_of("fig9", False) == FIGURE_9 and len(FIGURE_9) == 8
    assert names_of("enet, anet,enet", False) == ("enet", "anet") and names_of("", False) == ()
    assert len(names_of("", True)) == 18
    with pytest.raises(OptionError, match="fig9"):
        names_of("anet,netz", False)


def test_the_recommended_precision_is_measured_first():
    files = dict.fromkeys(("model.xml", "model.bin", "model-int8.xml", "model-int8.bin"), "")
    card = Card("anet", ("background", "defect"), 1, 32, 32, files=files, precision="int8", **FACTS)
    assert precisions(card, "openvino") == ["int8", "f32"]
    with pytest.raises(OptionError, match="holds nothing"):
        precisions(CARD, "openvino")


# aims


def test_aims_are_met_missed_or_not_measured():
    result = record(anet_f32=4.0, enet_f32=5.0, topformer_f32=8.0)
    found = {one["name"]: (one["found"], one["passed"]) for one in result["targets"] if not one["stretch"]}
    assert found["latency, against plain"] == (2.5, True) and found["throughput, against plain"] == (2.5, True)
    assert found["latency, against enet"] == (1.25, False) and found["latency, against topformer"] == (2.0, True)
    assert found["start to first verdict, warm cache"] == (None, None)


def test_aims_are_about_the_first_a_net_and_never_about_plain():
    result = record(enet_f32=5.0)
    assert all(one["passed"] is None for one in result["targets"])


# records


def test_a_ratio_that_fell_by_more_than_the_spread_is_said():
    before = record(anet_f32=4.0)
    assert not fell(before, before) and not fell(record(anet_f32=3.0), before)
    assert not fell(record(anet_f32=4.5), before)  # within the spread
    lines = fell(record(anet_f32=8.0), before)
    assert len(lines) == len(MODES) and "anet f32, latency, 1 cores: 1.25x plain" in lines[0] and "2.50x" in lines[0]


def test_records_are_compared_on_the_same_machine_only(tmp_path, capsys):
    console = Console(width=200)
    before, now = record(anet_f32=4.0), record(anet_f32=8.0)
    assert not compare(now, read_before(tmp_path), tmp_path, console) and "no record" in capsys.readouterr().out
    path = tmp_path / f"{slug()}.json"
    path.write_text(json.dumps(before))
    assert compare(now, read_before(tmp_path), tmp_path, console) and "FELL: anet f32" in capsys.readouterr().out
    other = copy.deepcopy(before)
    other["size"] = [64, 64]
    path.write_text(json.dumps(other))
    assert not compare(now, read_before(tmp_path), tmp_path, console) and "not compared" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"nan", b'{"format": 9}', b'{"format": 1}', b"[" * 100000])
def test_what_is_no_record_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_record(tmp_path / "x.json")
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_there_takes_the_record_and_a_broken_one_is_said_before_any_measuring(tmp_path, monkeypatch):
    measured = []

    def bench(plan, say):
        measured.append(plan)
        return record(anet_f32=4.0)

    monkeypatch.setattr(speed, "bench", bench)
    done = CliRunner().invoke(cli.app, ["bench", "--out", str(tmp_path), "--against", str(tmp_path)])
    assert done.exit_code == 0 and "no record of this machine" in done.output
    path = tmp_path / f"{slug()}.json"
    assert {one.name for one in tmp_path.iterdir()} == {path.with_suffix(end).name for end in (".json", ".png", ".svg")}
    path.write_text("{}")
    done = CliRunner().invoke(cli.app, ["bench", "--out", str(tmp_path / "new.json"), "--against", str(tmp_path)])
    assert done.exit_code == 2 and "is no record of `anet bench`" in " ".join(done.output.split())
    assert len(measured) == 1 and not (tmp_path / "new.json").exists()


def test_a_machines_file_name_is_plain():
    assert slug({"cpu": "Intel(R) Core™ i7/2", "cores": 4}) == "intel-r-core-i7-2-4-cores"


def test_the_picture_says_which_extra_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"anet-inspect\[bench\]"):
        draw(record(anet_f32=4.0), tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


def test_markdown_has_a_line_for_each_row_and_no_hole():
    text = markdown(record(anet_f32=4.0))
    assert text.count("| anet* | f32 |") == len(MODES) and "nan" not in text and "None" not in text


def test_the_reference_is_the_network_itself():
    import torch

    from anet.bench.plain import Plain, converted, seeded

    frame = np.random.default_rng(0).random((3, 32, 32), np.float32)
    with torch.no_grad():
        wanted = seeded("anet-none")(torch.from_numpy(frame)[None])[0].numpy()
    model = converted("anet-none", 32, 32)
    one, many = Plain(model, 1), Plain(model, 1, many=True)
    answers = list(many.stream([frame, frame * 0, frame]))
    assert np.abs(one.probs(frame) - wanted).max() < 1e-3 * max(1, np.abs(wanted).max())
    assert np.array_equal(answers[0], answers[2]) and not np.array_equal(answers[0], answers[1])


def test_the_tables_of_docs_speed_are_those_of_the_records():
    module = load(Path(__file__).parent.parent / "docs" / "print_speed.py")
    page = module.PAGE.read_text()
    assert page == module.filled(page), "run: python docs/print_speed.py"
    assert len(module.BLOCK.findall(page)) == page.count("<!-- printed from") > 0


def test_a_record_never_takes_the_place_of_the_bundle_that_it_is_of():
    bundle = exported()
    before = {path.name: path.read_bytes() for path in bundle.iterdir() if path.is_file()}
    for name, said in (("card.json", "inputs are never changed"), ("model.bin", "no folder to write into")):
        ended = CliRunner().invoke(cli.app, ["bench", str(bundle), "--out", str(bundle / name)])
        assert ended.exit_code == 2 and said in " ".join(ended.output.split())
    assert {path.name: path.read_bytes() for path in bundle.iterdir() if path.is_file()} == before
