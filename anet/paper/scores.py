"""Tables II to VII beside what is measured here: IoU with deviation and rank, the ablation, the channels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anet.nets import build
from anet.nets.anet import TABLE_II, ANet
from anet.nets.complexity import count
from anet.paper.grid import Grid
from anet.paper.measured import CHOICE, GIVE, HOURS, PROTOCOLS, UNKNOWN, Cell, Price, cells, read_ledger, stand_ins
from anet.paper.published_scores import ABLATION, CHANNELS, COLUMNS, ROMAN, TITLES, Column, columns_of, printed
from anet.results import how, percent

PUBLIC = {"sd900": "SD-saliency-900, the public twin of NEU-Seg, whose labels are private", "mt": "magnetic tile"}
GROUPED = "grouped: what the lists know to be of one strip or tile stays together"
UNFAIR = (
    "The paper's rows without Light or Wide blocks are bare convolutions, without normalisation or activation; "
    "anet-plain, not in the paper, has both."
)


KEYS = (
    "table", "column", "data", "task", "network", "printed_iou", "printed_rank", "protocol", "iou", "spread", "seeds",
    "off", "rank", "recipe", "epochs", "batch", "size", "missing", "hours",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One network of a table: its label, and what the paper prints (None: not converged, or no such row)."""

    label: str
    printed: float | None
    known: bool = True  # the paper has this row


def iou_grids(number: int, results: Path, data_root: Path) -> list[Grid]:
    """Give a grid a column of IoU of Table 3 to 7, and one of stand-ins where there are any. Raises DataError."""
    ledger = read_ledger(results)
    price = Price(ledger, data_root, COLUMNS)
    grids = [_column(number, column, _rows(number, column), ledger, price) for column in columns_of(number)]
    return [*grids, *_stand_in_grid(number, ledger)]


def _rows(number: int, column: Column) -> dict[str, Row]:
    if number != 3:
        return {network: Row(TITLES[network], value) for network, value in printed(column).items()}
    place = columns_of(3).index(column)
    rows = {network: Row(parts(network), iou[place]) for network, (_, iou, _, _) in ABLATION.items()}
    return rows | {"anet-plain": Row("anet-plain (not in the paper)", None, False)}


def parts(network: str) -> str:
    """Name what a row of Table III has."""
    has = [name for name, there in zip(("Light", "Wide", "jump", "head"), ABLATION[network][0], strict=True) if there]
    return " + ".join(has) or "none"


def _column(number: int, column: Column, rows: Mapping[str, Row], ledger: Sequence[dict], price: Price) -> Grid:
    both = {protocol: cells(ledger, column.data, column.task, protocol, rows) for protocol in PROTOCOLS}
    found = {protocol: shown for protocol, (shown, _) in both.items()}
    left = {protocol: [words for _, words in others] for protocol, (_, others) in both.items()}
    missing = _missing(column, rows, found, price)
    there = ranks({network: row.printed for network, row in rows.items()})
    here = {protocol: ranks({n: cell.iou for n, cell in found[protocol].items()}) for protocol in PROTOCOLS}
    lines, flat = [], []
    for network, row in rows.items():
        line = [row.label, "–" if row.printed is None else f"{row.printed:.2f}", there.get(network, "")]
        for protocol in PROTOCOLS:
            cell = found[protocol].get(network)
            off = None if cell is None or row.printed is None else cell.iou - row.printed
            line += [str(cell or missing[network, protocol][0]), "" if off is None else f"{off:+.2f}"]
            line += [here[protocol].get(network, "")]
            flat.append(_flat(number, column, network, row, protocol, cell, off, missing.get((network, protocol))))
            flat[-1] |= {"printed_rank": there.get(network), "rank": here[protocol].get(network)}
        lines.append(tuple(line))
    here_head = tuple(name for protocol in PROTOCOLS for name in (f"here:\n{protocol}", "off", "rank"))
    head = ("network", "printed", "rank", *here_head)
    title = f"Table {ROMAN[number]}, {column.title}: IoU in percent, printed and here"
    notes = tuple(_notes(number, column, found, left, missing))
    return Grid(title, head, tuple(lines), ("network",), notes, tuple(flat))


def _missing(column: Column, rows: Iterable[str], found: Mapping[str, Mapping[str, Cell]], price: Price) -> dict:
    """Give what stands in each empty cell, and the hours that would fill it; nothing is counted where none is empty."""
    empty = [(network, protocol) for network in rows for protocol in PROTOCOLS if network not in found[protocol]]
    if empty and column.data not in PUBLIC and not price.given(column):
        return dict.fromkeys(empty, ("give the data", None))
    trained = {cell.runs[0]["model"]["recipe"]["epochs"] for some in found.values() for cell in some.values()}
    hours = {each: price.hours(column, *each, max(trained, default=None)) for each in empty}
    return {each: ("(?)" if cost is None else f"({cost:.1f} h)", cost) for each, cost in hours.items()}


def _flat(
    number: int, column: Column, network: str, row: Row, protocol: str, cell: Cell | None, off: float | None,
    missing: tuple[str, float | None] | None,
) -> dict[str, Any]:  # fmt: skip
    recipe = cell.runs[0]["model"]["recipe"] if cell else {}
    return dict.fromkeys(KEYS) | {
        "table": number, "column": column.title, "data": column.data, "task": column.task, "network": network,
        "printed_iou": row.printed, "protocol": protocol, "iou": cell and cell.iou, "spread": cell and cell.spread,
        "seeds": len(cell.runs) if cell else 0, "off": off,
        "recipe": recipe.get("name"), "epochs": recipe.get("epochs"), "batch": recipe.get("batch"),
        "size": cell.runs[0]["model"]["size"] if cell else None,
        "missing": missing and ("the data" if missing[0] == "give the data" else "a training"),
        "hours": missing and missing[1],
    }  # fmt: skip


def ranks(values: Mapping[str, float | None]) -> dict[str, str]:
    """Give "place/of" for each known value, the highest first; equal values share the better place."""
    known = [value for value in values.values() if value is not None]
    return {
        name: f"{1 + sum(other > value for other in known)}/{len(known)}"
        for name, value in values.items()
        if value is not None
    }


def _notes(number: int, column: Column, found: Mapping, left: Mapping, missing: Mapping) -> Iterable[str]:
    yield f"here: {PUBLIC.get(column.data, column.data)}; paper: random parts of its sizes; {GROUPED}"
    if number == 3:
        yield UNFAIR
    elif None in printed(column).values():
        yield "–: did not converge, as the paper says"
    for protocol in PROTOCOLS:
        for network, cell in found[protocol].items():
            yield f"{TITLES.get(network, network)}, {protocol}: {cell.how}"
        if left[protocol]:
            yield f"{protocol}, trained otherwise and in no cell: {'; '.join(left[protocol])}"
    if any(found.values()):
        yield CHOICE
    marks = {text for text, _ in missing.values()}
    if any(text.endswith("h)") for text in marks):
        hours = sum(cost for _, cost in missing.values() if cost is not None)
        plans = "table-3" if number == 3 else "anet, baselines" if column.data in PUBLIC else "dagm-mcsd"
        yield f"{HOURS}: {hours:.0f} in all; `anet study run PLAN` trains, of plans/: {plans}"
    if "(?)" in marks:
        yield UNKNOWN
    if "give the data" in marks:
        yield GIVE.format(folder=column.folder)


def _stand_in_grid(number: int, ledger: Sequence[dict[str, Any]]) -> list[Grid]:
    found = stand_ins(ledger, number) if number != 3 else []
    if not found:
        return []
    head = ("data", "task", "protocol", "network", "recipe", "epochs", "seed", "IoU")
    lines = [
        (one["data"]["name"], one["data"]["task"], one["split"]["protocol"], one["model"]["network"],
         how(one), str(one["model"]["recipe"]["epochs"]), str(one["model"]["seed"]),
         "–" if (value := percent(one, "iou")) is None else f"{value:.2f}")
        for one in found
    ]  # fmt: skip
    title = f"Stand-ins for Table {ROMAN[number]}'s data: other pictures, not to be compared with print"
    flat = tuple(
        dict.fromkeys(KEYS) | {
            "table": number, "column": "stand-in", "data": one["data"]["name"], "task": one["data"]["task"],
            "network": one["model"]["network"], "protocol": one["split"]["protocol"], "iou": percent(one, "iou"),
            "seeds": 1, "recipe": how(one), "epochs": one["model"]["recipe"]["epochs"],
            "batch": one["model"]["recipe"]["batch"], "size": one["model"]["size"],
        }
        for one in found
    )  # fmt: skip
    return [Grid(title, head, tuple(lines), head[:5], (), flat)]


def ablation_cost() -> Grid:
    """Give Table III's parameters and "FLOPs" at 224: printed, counted as the paper counts, and true."""
    lines, flat = [], []
    with torch.device("meta"):
        costs = {network: count(build(network, 1), 224, 224) for network in (*ABLATION, "anet-plain")}
    for network, cost in costs.items():
        _, _, params, flops = ABLATION.get(network, (None, None, None, None))
        values = (params, cost.params, flops, cost.as_paper, cost.macs)
        flat.append(
            dict(zip(("printed_params_m", "params", "printed_flops_g", "as_paper", "macs"), values, strict=True))
        )
        flat[-1] = {"network": network, **flat[-1]}
        shown = ("–" if params is None else f"{params:.2f}", f"{cost.params / 1e6:.4f}")
        shown += ("–" if flops is None else f"{flops:.2f}", f"{cost.as_paper / 1e9:.4f}", f"{cost.macs / 1e9:.4f}")
        lines.append((parts(network) if network in ABLATION else network, *shown))
    head = (
        "network", "params / M\nprinted", "params / M\nhere", "FLOPs / G\nprinted", "as the paper\ncounts / G",
        "MACs / G\ntrue",
    )  # fmt: skip
    return Grid("Table III: cost at 3x224x224", head, tuple(lines), ("network",), (UNFAIR,), tuple(flat))


def channel_grid() -> Grid:
    """Give Table II: printed channels and sizes beside those of the network as it is built, from a 224 input."""
    sizes = _sizes(224)
    lines, flat = [], []
    for stage, side, op, ci, cm, co, size in CHANNELS:
        ours = [row for row in _rows_of(stage, side) if (row[0] in ("light", "wide", "cat")) == (op == "LFEM")]
        channels = sorted({(row[1], row[2], row[3] or 1) for row in ours})
        here = "; ".join("/".join(map(str, each)) for each in channels)
        side_here = {sizes[row[4]] for row in ours}
        same = channels == [(ci, cm, co)] and side_here == {size}
        names = " ".join(row[4] for row in ours)
        printed_text = f"{ci}/{cm}/{co}"
        size_here = ", ".join(f"{each}" for each in sorted(side_here))
        lines.append((stage, op, printed_text, here, str(size), size_here, "" if same else "differs", names))
        flat.append({"stage": stage, "side": side, "operation": op, "printed": printed_text, "here": here,
                     "printed_size": size, "size": size_here, "same": same, "rows": names})  # fmt: skip
    head = (
        "stage", "operation", "printed\nCin/Cm/Cout", "here\nCin/Cm/Cout", "printed\nsize", "here\nsize", "",
        "rows of TABLE_II",
    )  # fmt: skip
    notes = ("printed sizes 64 to 8 belong to a 256 input, 112 and 224 to a 224 one; all channels are as printed",)
    return Grid("Table II: channels and sizes at 224", head, tuple(lines), (*head[:2], *head[6:]), notes, tuple(flat))


def _rows_of(stage: str, side: str) -> list[tuple]:
    """Give the rows of TABLE_II that one stage and side of the printed table stand for.

    Down-sampling stages begin with a Down row; on the way up a stage's LFEM follow its Up row, and S0 is the head.
    """
    stages: dict[tuple[str, str], list[tuple]] = {}
    for row in TABLE_II:
        if row[0] in ("down", "up", "head"):
            key = ("S0" if row[0] == "head" else f"S{row[4][-1]}", "down" if row[0] == "down" else "up")
        stages.setdefault(key, []).append(row)
    return stages[stage, side]


def _sizes(side: int) -> dict[str, int]:
    """Give the height of each row's output, by name, for a square input."""
    found = {}
    with torch.device("meta"):
        network = ANet().eval()
        for name, stage in network.stages.items():

            def note(module: nn.Module, args: Any, out: torch.Tensor, name: str = name) -> None:
                found[name] = out.shape[-2]

            stage.register_forward_hook(note)
        network(torch.zeros(1, 3, side, side))
    return found
