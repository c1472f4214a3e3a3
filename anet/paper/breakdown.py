"""How one network's printed cost comes about, line by line: the answer of `anet complexity NETWORK --as-paper`."""

from rich import box
from rich.console import Console
from rich.table import Table

from anet.paper.published import PRINTED

VERDICTS = {
    "exact": "exact: every printed digit at 224 and 512",
    "near": "near: within 1 % of print",
    "nearest": "the nearest known reading; no public variant was found that fits better",
}


def print_breakdown(name: str, size: int, console: Console) -> None:
    """Print clean count, each artefact, their sum and the printed figures of `name`; nothing for an unprinted one."""
    if name not in PRINTED:
        return
    printed = PRINTED[name]
    cost = printed.clean(size)
    params, paper_count = printed.reconciled(cost)
    table = Table(title=f"from {name} to print, at {size}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold", max_width=70)
    for heading in ('"Parameters" / M', '"FLOPs" / G'):
        table.add_column(heading, justify="right", no_wrap=True)
    clean = "built as print has it" if printed.trained else "as written here"
    clean += f", counted as {printed.counted_as} does"
    table.add_row(clean, millions(cost.params_as_paper), giga(cost.as_paper))
    for each in printed.artefacts:
        table.add_row("+ " + each.what, millions(each.params(cost), "+"), giga(each.count(cost), "+"))
    table.add_section()
    table.add_row("reconciled", millions(params), giga(paper_count))
    known = printed.flops_g.get(size)
    table.add_row("printed", f"{printed.params_m:.2f}", "" if known is None else f"{known:.2f}")
    off = "" if known is None else f"{(paper_count / 1e9 / known - 1) * 100:+.2f} %"
    table.add_row("reconciled beside print", f"{(params / 1e6 / printed.params_m - 1) * 100:+.2f} %", off)
    Console(width=max(console.width, 100), file=console.file).print(table)
    console.print(f"{VERDICTS[printed.verdict]}.", soft_wrap=True, highlight=False)


def millions(value: int, sign: str = "") -> str:
    return f"{value / 1e6:{sign}.4f}" if value else ""


def giga(value: int, sign: str = "") -> str:
    return f"{value / 1e9:{sign}.4f}" if value else ""
