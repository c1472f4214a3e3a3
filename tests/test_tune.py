import pytest

from anet.bench import tune as module
from anet.bench.rounds import Spread
from anet.bench.tune import Tried, Tuned, none_meets, tune
from anet.errors import DataError, OptionError
from anet.provenance import machine
from anet.runtime.card import read_card
from anet.runtime.engine import Engine
from anet.runtime.settings import FILE, settings_for
from tests.test_export import exported, frames


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "TURN_MS", 1.0)
    return shutil.copytree(exported(), tmp_path / "bundle")


def times(monkeypatch, table: dict[str, tuple[float, float]]) -> None:
    """Make ms and IoU up: by precision."""
    tried = [Tried(one, 1, 1, Spread(took, took, took), iou) for one, (took, iou) in table.items()]
    monkeypatch.setattr(module, "precisions", lambda card, engine: list(table))
    monkeypatch.setattr(module, "_validation", lambda *_: ((), ""))
    monkeypatch.setattr(module, "_iou", lambda bundle, card, one, *_: table[one][1])
    monkeypatch.setattr(module, "_timed", lambda *_: tried)


def test_what_meets_the_budget_is_written_and_the_engine_takes_it(bundle):
    tuned = tune(bundle, 60_000)
    chosen = tuned.chosen
    assert chosen and settings_for(bundle).threads == chosen.threads and "pictures" in tuned.left_out
    assert len(tuned.tried) == len({(1, 1), (machine()["cores"], 1), (machine()["cores"],) * 2})
    assert chosen.ms.median == min(one.ms.median for one in tuned.tried)
    assert (Engine(bundle).probs(frames()[0]) == Engine(exported()).probs(frames()[0])).all()


def test_a_budget_that_nothing_meets_writes_nothing_and_says_the_best(bundle):
    tuned = tune(bundle, 1e-6)
    assert tuned.chosen is None and not (bundle / FILE).exists()
    assert "the best found is f32" in none_meets(tuned) and "\n" not in none_meets(tuned)


@pytest.mark.parametrize(("budget", "wanted"), [(20, "f32"), (10, "f32"), (9, "int8"), (3, "int4"), (1, None)])
def test_the_best_iou_within_the_budget_wins(bundle, monkeypatch, budget, wanted):
    times(monkeypatch, {"f32": (10.0, 0.70), "int8": (5.0, 0.69), "int4": (2.0, 0.5)})
    chosen = tune(bundle, budget).chosen
    assert (chosen and chosen.precision) == wanted
    assert settings_for(bundle).precision == wanted


def test_of_two_that_answer_alike_the_faster_wins(bundle, monkeypatch):
    times(monkeypatch, {"f32": (10.0, 0.70), "f16": (5.0, 0.70)})
    assert tune(bundle, 20).chosen.precision == "f16"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"budget_ms": 0}, "budget"), ({"budget_ms": float("nan")}, "budget"), ({"threads": 9999}, "cores")],
)
def test_what_makes_no_sense_is_one_clear_line(bundle, options, said):
    with pytest.raises(OptionError, match=said):
        tune(bundle, **{"budget_ms": 5, **options})


def test_data_that_is_asked_for_and_missing_is_an_error(bundle, tmp_path):
    with pytest.raises(DataError):
        tune(bundle, 100, data=tmp_path / "nothere")


def test_the_line_about_the_best_found_holds_a_budget_that_works():
    tried = Tried("f32", 2, 1, Spread(10.0, 9.0, 12.0), None)
    assert "95 % within 12.00 ms; --budget-ms 13.2" in none_meets(Tuned(5, (tried,), None))
    assert read_card(exported()).precision == "f32"
