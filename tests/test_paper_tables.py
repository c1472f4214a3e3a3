"""The cost columns of Tables IV to VII: what is printed, reconciled and true, and how it is shown."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch

from anet.errors import OptionError
from anet.nets import build
from anet.nets.complexity import count
from anet.paper.grid import check_form, render, tex
from anet.paper.published import PRINTED
from anet.paper.tables import HEAD, SIDES, cost_grid, cost_table

TRUE = {  # parameters, then G true multiply-accumulates at 224 and at 512
    "fcn": (43_420_737, "8.0948", "42.2912"),
    "segnet": (29_443_585, "30.6355", "160.0546"),
    "pspnet": (53_316_868, "38.6092", "200.8275"),
    "deeplabv3plus": (59_339_169, "16.9464", "88.5339"),
    "refinenet": (118_004_289, "161.1629", "841.9939"),
    "unet": (31_392_641, "37.7002", "196.9645"),
    "swin-unet": (27_168_132, "5.8573", "32.6154"),  # at 512 padded to window 7, as it is trained
    "ccnet": (66_425_026, "14.6716", "76.6514"),
    "pga-net": (51_429_963, "26.4528", "138.2022"),
    "lsa-net": (21_600_705, "23.4358", "122.4401"),
    "bisenet": (11_885_448, "2.3053", "12.0424"),
    "bisenetv2": (4_921_201, "1.7614", "9.2023"),
    "stdc": (8_270_496, "1.6104", "8.4128"),
    "erfnet": (2_063_021, "2.5317", "13.2267"),
    "esnet": (1_657_901, "2.2876", "11.9516"),
    "enet": (335_902, "0.3476", "1.8161"),
    "topformer": (3_005_905, "0.1979", "0.9904"),
    "anet": (389_768, "0.3262", "1.7042"),
}


@pytest.fixture(scope="session")
def rows():  # 13 s of one core; what else counts in here is remembered
    return {row.name: row for row in cost_table()}


def shown(number, format, width=80):
    return render([cost_grid(number)], format, width)


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


@pytest.mark.parametrize("name", PRINTED)
def test_the_true_cost_is_what_the_specification_measured(rows, name):
    """Of another implementation each; STDC's and LSA-Net's are without heads that only training needs."""
    params, *macs = TRUE[name]
    assert rows[name].at[224].true_params == params
    assert [f"{cost.true_macs / 1e9:.4f}" for cost in rows[name].at.values()] == macs


@pytest.mark.parametrize("side", [224, 512])
def test_the_true_cost_is_that_of_the_network_that_is_built_to_be_trained(rows, side):
    with torch.device("meta"):
        networks = {name: build(name, 1) for name in PRINTED}
        swin = count(networks["swin-unet"], side, side)
    for name, network in networks.items():
        assert rows[name].at[side].true_params == sum(each.numel() for each in network.parameters())
    assert (rows["swin-unet"].at[side].true_params, rows["swin-unet"].at[side].true_macs) == (swin.params, swin.macs)
    assert "the network here, as it is trained, pads them to window 7" in rows["swin-unet"].notes[0]


def test_the_two_counts_differ_most_where_the_paper_says_least(rows):
    refinenet, pganet, swin = rows["refinenet"].at[512], rows["pga-net"].at[512], rows["swin-unet"].at
    assert (refinenet.printed_params_m, f"{refinenet.true_params / 1e6:.2f}") == (80.22, "118.00")  # a frozen backbone
    assert (pganet.printed_flops_g, f"{pganet.true_macs / 1e9:.2f}") == (1649.33, "138.20")  # transposed convolutions
    assert swin[512].true_macs > swin[512].printed_flops_g * 1e9  # overflow
    assert swin[512].true_params == swin[512].reconciled_params == swin[224].true_params  # window 7's


@pytest.mark.parametrize(
    ("name", "params", "counts"),
    [
        ("ccnet", "-1.87%", ["-1.04%", "-1.04%"]),
        ("bisenetv2", "-0.58%", ["-7.06%", "-6.88%"]),
        ("topformer", "0.20%", ["-13.03%", "-14.19%"]),
        ("pga-net", "0.04%", ["-0.13%", "-0.13%"]),
        ("erfnet", "-0.81%", ["-0.06%", "-0.11%"]),
    ],
)
def test_the_distance_of_a_reading_that_does_not_fit_is_stated(rows, name, params, counts):
    at = rows[name].at
    assert {f"{cost.params_off:.2%}" for cost in at.values()} == {params}
    assert [f"{cost.count_off:.2%}" for cost in at.values()] == counts


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


@pytest.mark.parametrize(
    ("number", "format", "hint"), [(3, "md", "4, 5, 6, 7 have"), (4, "html", "table, md, markdown, csv, latex")]
)
def test_another_table_or_format_is_refused_and_those_that_exist_are_named(number, format, hint):
    with pytest.raises(OptionError, match=hint):
        shown(number, format)


@pytest.mark.parametrize(("form", "name", "fits"), [
    ("csv", "t.tex", False), ("md", "t.csv", False), ("table", "t.md", False), ("markdown", "t.md", True),
    ("csv", "t.CSV", True), ("csv", "t", True), ("latex", "t.anything", True), ("table", "t.txt", True),
])  # fmt: skip
def test_a_form_that_is_not_that_of_the_file_s_name_is_refused(form, name, fits):
    if fits:
        check_form(form, Path(name))
    else:
        with pytest.raises(OptionError, match="is the name of a table as"):
            check_form(form, Path(name))


def test_two_hyphens_stay_two_in_latex():
    assert tex("--data-root 5–6 a---b") == "-{}-data-root 5--6 a-{}-{}-b"
