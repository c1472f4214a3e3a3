"""The cost columns of Tables IV to VII beside the true cost: what `anet paper table NUMBER --columns cost` prints."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch

from anet.errors import OptionError
from anet.paper.grid import Grid
from anet.paper.published import PRINTED
from anet.paper.published_scores import ROMAN
from anet.paper.reconcile import Printed

SIDES = {4: 224, 5: 512, 6: 512, 7: 512}  # by table: the side of the input that its FLOPs were counted at
HEAD = (
    "network", "params / M\nprinted", "params / M\nreconciled", "off", "params / M\ntrue",
    "FLOPs / G\nprinted", "FLOPs / G\nreconciled", "off", "MACs / G\ntrue", "verdict",
    "rank by\nMACs", "rank by\nFLOPs",
)  # fmt: skip
WORDS = ("network", "verdict")  # all other columns are numbers


@dataclass(frozen=True)
class Cost:
    """One network at one size of its input. Ratios are reconciled / printed - 1. Rank 1 is the cheapest."""

    printed_params_m: float
    reconciled_params: int
    params_off: float
    true_params: int
    printed_flops_g: float
    reconciled_count: int
    count_off: float
    true_macs: int
    rank_by_macs: int
    rank_by_printed_flops: int


@dataclass(frozen=True)
class CostRow:
    """One network: its cost by side of the input, and how the printed figures come about."""

    name: str
    verdict: str  # as `anet.paper.reconcile.Printed` has it
    notes: tuple[str, ...]
    at: dict[int, Cost]

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def cost_table(sides: tuple[int, ...] = (224, 512)) -> tuple[CostRow, ...]:
    """Count every printed network at the `sides` that the paper counts at, in its order. Takes seconds, on shapes."""
    at = {side: costs(side) for side in sides}
    return tuple(
        CostRow(name, printed.verdict, notes(printed), {side: at[side][name] for side in sides})
        for name, printed in PRINTED.items()
    )


@cache
def costs(side: int) -> dict[str, Cost]:
    """Count every printed network at one side."""
    with torch.device("meta"):  # no weight is drawn
        clean = {name: printed.clean(side) for name, printed in PRINTED.items()}
        reconciled = {name: printed.reconciled(clean[name]) for name, printed in PRINTED.items()}
        true = {name: printed.true(clean[name]) for name, printed in PRINTED.items()}
    by_macs = sorted(true, key=lambda name: true[name].macs)
    by_flops = sorted(PRINTED, key=lambda name: PRINTED[name].flops_g[side])
    found = {}
    for name, printed in PRINTED.items():
        (params, paper_count), printed_flops = reconciled[name], printed.flops_g[side]
        found[name] = Cost(
            printed.params_m, params, params / 1e6 / printed.params_m - 1, true[name].params,
            printed_flops, paper_count, paper_count / 1e9 / printed_flops - 1, true[name].macs,
            by_macs.index(name) + 1, by_flops.index(name) + 1,
        )  # fmt: skip
    return found


def notes(printed: Printed) -> tuple[str, ...]:
    """Say in a line each what lies between the clean network and its printed figures."""
    counter = () if printed.counted_as == "ptflops 0.7.0" else (f"counted as {printed.counted_as} does",)
    return (*counter, *(each.what for each in printed.artefacts))


def cost_grid(number: int) -> Grid:
    """Give the cost columns of Table `number` (4 to 7). Raises OptionError for any other."""
    if number not in SIDES:
        raise OptionError(f"table {number} has no such cost columns: {', '.join(map(str, SIDES))} have")
    side = SIDES[number]
    rows = cost_table((side,))
    title = f"Table {ROMAN[number]}, the networks' cost at 3x{side}x{side}"
    notes = tuple(f"{row.name}: {'; '.join(row.notes)}" for row in rows if row.notes)
    flat = (
        {
            "network": row.name,
            "side": side,
            **asdict(row.at[side]),
            "verdict": row.verdict,
            "notes": "; ".join(row.notes),
        }
        for row in rows
    )
    return Grid(title, HEAD, tuple(cells(row, side) for row in rows), WORDS, notes, tuple(flat))


def cells(row: CostRow, side: int) -> tuple[str, ...]:
    """Give one row in the order of HEAD: millions, billions, percent."""
    cost = row.at[side]
    return (
        row.name,
        f"{cost.printed_params_m:.2f}", f"{cost.reconciled_params / 1e6:.4f}", f"{cost.params_off:+z.2%}",
        f"{cost.true_params / 1e6:.4f}",
        f"{cost.printed_flops_g:.2f}", f"{cost.reconciled_count / 1e9:.4f}", f"{cost.count_off:+z.2%}",
        f"{cost.true_macs / 1e9:.4f}",
        row.verdict, str(cost.rank_by_macs), str(cost.rank_by_printed_flops),
    )  # fmt: skip
