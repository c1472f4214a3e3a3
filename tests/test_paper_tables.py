"""The cost columns of Tables IV to VII: what is printed, reconciled and true, and how it is shown."""

import csv
import io
import json

import pytest
from rich.console import Console

from anet.errors import OptionError
from anet.paper.published import PRINTED
from anet.paper.tables import HEAD, SIDES, cost_table, print_cost_table


@pytest.fixture(scope="session")
def rows():  # 13 s of one core; what else counts in here is remembered
    return {row.name: row for row in cost_table()}


def shown(number, format, width=80):
    out = io.StringIO()
    print_cost_table(number, format, Console(file=out, width=width, markup=False))
    return out.getvalue()


# --- the figures ---


def test_the_rows_are_the_papers_in_its_order_at_both_sizes(rows):
    assert list(rows) == list(PRINTED)
    assert all(list(row.at) == [224, 512] for row in rows.values())
    assert json.loads(json.dumps([row.to_dict() for row in rows.values()]))[-1]["name"] == "anet"


@pytest.mark.parametrize("name", PRINTED)
def test_the_verdict_is_what_the_deviations_say(rows, name):
    off, digits = [], []
    for side, cost in rows[name].at.items():
        off += [abs(cost.params_off), abs(cost.count_off)]
        digits += [
            f"{cost.reconciled_params / 1e6:.2f}" == f"{PRINTED[name].params_m:.2f}",
            f"{cost.reconciled_count / 1e9:.2f}" == f"{PRINTED[name].flops_g[side]:.2f}",
        ]
    assert rows[name].verdict == ("exact" if all(digits) else "near" if max(off) < 0.01 else "nearest")


@pytest.mark.parametrize("name", [name for name in PRINTED if not PRINTED[name].artefacts])
def test_without_artefacts_the_reconciled_parameters_are_the_true_ones(rows, name):
    assert all(cost.reconciled_params == cost.true_params for cost in rows[name].at.values())


def test_the_two_counts_differ_most_where_the_paper_says_least(rows):
    refinenet, pganet, swin = rows["refinenet"].at[512], rows["pga-net"].at[512], rows["swin-unet"].at
    assert (refinenet.printed_params_m, f"{refinenet.true_params / 1e6:.2f}") == (80.22, "118.00")  # a frozen backbone
    assert (pganet.printed_flops_g, f"{pganet.true_macs / 1e9:.2f}") == (1649.33, "138.20")  # transposed convolutions
    assert swin[512].true_macs > swin[512].printed_flops_g * 1e9  # overflow
    assert swin[512].true_params > swin[512].reconciled_params == swin[224].true_params  # window 7's carried over


def test_topformers_distance_is_stated(rows):
    assert [f"{cost.count_off:.1%}" for cost in rows["topformer"].at.values()] == ["-13.0%", "-14.2%"]


@pytest.mark.parametrize("side", [224, 512])
def test_both_rankings_go_from_the_cheapest_to_the_dearest(rows, side):
    costs = {name: row.at[side] for name, row in rows.items()}
    by_macs = sorted(costs, key=lambda name: costs[name].rank_by_macs)
    by_flops = sorted(costs, key=lambda name: costs[name].rank_by_printed_flops)
    assert [costs[name].rank_by_macs for name in by_macs] == list(range(1, len(costs) + 1))
    assert [costs[name].true_macs for name in by_macs] == sorted(cost.true_macs for cost in costs.values())
    assert [costs[name].printed_flops_g for name in by_flops] == sorted(c.printed_flops_g for c in costs.values())
    assert (by_flops[-1], by_macs[-1]) == ("pga-net", "refinenet")


# --- how they are shown ---


@pytest.mark.parametrize("number", SIDES)
def test_each_table_shows_the_size_it_was_counted_at_and_no_number_cut(rows, number):
    text = shown(number, "table", width=60)
    side = SIDES[number]
    assert f"3x{side}x{side}" in text
    assert "…" not in text
    for name, row in rows.items():
        line = next(line for line in text.splitlines() if line.split()[:1] == [name])
        cost = row.at[side]
        assert {f"{cost.printed_flops_g:.2f}", f"{cost.true_macs / 1e9:.4f}", row.verdict} <= set(line.split())
        assert not row.notes or f"{name}: {'; '.join(row.notes)}\n" in text


def test_markdown_has_one_line_a_network_and_all_columns(rows):
    lines = [line for line in shown(5, "md").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(HEAD) + 1}
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == list(rows)


def test_csv_has_the_figures_unrounded(rows):
    read = {line["network"]: line for line in csv.DictReader(io.StringIO(shown(6, "csv")))}
    assert list(read) == list(rows)
    for name, row in rows.items():
        assert {key: type(value)(read[name][key]) for key, value in vars(row.at[512]).items()} == vars(row.at[512])
        assert read[name]["notes"] == "; ".join(row.notes)


@pytest.mark.parametrize(("number", "format", "hint"), [(3, "md", "4, 5, 6, 7 have"), (4, "html", "table, md, csv")])
def test_another_table_or_format_is_refused_and_those_that_exist_are_named(number, format, hint):
    with pytest.raises(OptionError, match=hint):
        shown(number, format)
