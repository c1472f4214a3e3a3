"""What `anet bench` says: tables for people, Markdown for docs/speed.md, and what fell since the last record."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from anet.bench.speed import FORMAT, MODES
from anet.errors import DataError
from anet.files import printable, read_plain, write_json
from anet.provenance import machine

LARGEST = 2**24  # bytes of a record
HEAD = ("network", "precision", "engine", "mode", "cores", "ms", "5–95 %", "against plain", "5–95 %")
AIMS = ("aim", "wanted", "found", "")


def read_record(path: Path) -> dict[str, Any]:
    """Read what `anet bench --out` wrote. Raises DataError when it is no such file."""
    try:
        content = json.loads(read_plain(path, LARGEST, DataError))
        if content["format"] != FORMAT:
            raise DataError(f"{printable(path)} has format {content['format']!r:.20}, this anet reads {FORMAT}")
        _ = [*rows(content), *aims(content), heading(content)]  # each raises where something is missing
        if not all(row["ms"]["median"] > 0 and row["network"] for row in content["rows"]):
            raise ValueError("a row without a rate")
        return content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{printable(path)} is no record of `anet bench`: {error!r:.80}") from error


def heading(result: dict[str, Any]) -> str:
    """Say where and how was measured."""
    where, known = result["machine"], result["versions"]
    packages = ", ".join(f"{name} {known[name]}" for name in ("anet", "openvino", "torch") if name in known)
    h, w = result["size"]
    return (
        f"{h} x {w}, batch 1, {result['rounds']} interleaved rounds of {result['turn_ms']:.0f} ms a network; "
        f"{where['cpu']}, {where['cores']} cores, {where['system']}; {packages}; commit {result['commit']}"
    )


def rows(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the cells of each measured row, mode by mode, fastest first."""
    for mode, threads in MODES:
        chosen = [row for row in result["rows"] if (row["mode"], row["threads"]) == (mode, threads)]
        for row in sorted(chosen, key=lambda one: one["ms"]["median"]):
            name = row["name"].removesuffix(f" {row['engine']}").removesuffix(f" {row['precision']}")
            against = row["ratio"]
            yield (
                name if row["trained"] or name == "plain" else f"{name}*", row["precision"], row["engine"], mode,
                str(threads or result["machine"]["cores"]), f"{row['ms']['median']:.2f}", _between(row["ms"]),
                f"{against['median']:.2f}x" if against else "–", _between(against) if against else "–",
            )  # fmt: skip


def stages(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the lines on the whole inspection: what, and its figure."""
    found = result.get("whole")
    if not found:
        return
    for step, spread in found["stages_ms"].items():
        yield f"{step}, ms a picture", f"{spread['median']:.2f} ({_between(spread)})"
    folder, start = found["folder"], found["start"]
    yield (
        "network alone, many at once, ms a picture",
        f"{folder['raw_ms']['median']:.2f} ({_between(folder['raw_ms'])})",
    )
    if "rejected" in folder:
        yield "pictures, of them rejected", f"{found['pictures']['count']}, {folder['rejected']}"
    yield (
        "folder from end to end, ms a picture",
        f"{folder['folder_ms']['median']:.2f} ({_between(folder['folder_ms'])})",
    )
    yield "start to first verdict, cold cache, ms", f"{start['cold_ms']['median']:.0f} ({_between(start['cold_ms'])})"
    yield "start to first verdict, warm cache, ms", f"{start['warm_ms']['median']:.0f} ({_between(start['warm_ms'])})"
    yield "peak of resident memory, MB", "–" if start["memory_mb"] is None else f"{start['memory_mb']:.0f}"


def aims(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Give the cells of each target."""
    for one in result["targets"]:
        outcome = "not measured" if one["passed"] is None else "pass" if one["passed"] else "FAIL"
        hope = " (stretch)" if one["stretch"] else ""
        found = "–" if one["found"] is None else f"{one['found']:.2f}" if one["found"] < 100 else f"{one['found']:.0f}"
        yield one["name"] + hope, one["wanted"], found, outcome


def print_bench(result: dict[str, Any], console: Console) -> None:
    """Print all of a measurement on a rich console."""
    console.print(heading(result), highlight=False, soft_wrap=True)
    wide = Console(width=max(console.width, 110), file=console.file)
    _print(wide, HEAD, rows(result))
    if any(not row["trained"] for row in result["rows"]):
        console.print("* untrained, seeded weights: the time is the same", highlight=False, soft_wrap=True)
    _print(wide, ("the whole inspection", ""), stages(result))
    if len({row["network"] for row in result["rows"]}) > 1:  # the project's own aims, which are beside other networks
        _print(wide, AIMS, aims(result))


def markdown(result: dict[str, Any]) -> str:
    """Give all of a measurement as Markdown."""
    parts = [heading(result) + ".\n", _lines(HEAD, rows(result))]
    if any(not row["trained"] for row in result["rows"]):
        parts.append("\\* untrained, seeded weights: the time is the same.\n")
    for head, cells in ((("the whole inspection", "figure"), list(stages(result))), ((*AIMS[:3], "?"), aims(result))):
        parts.append(_lines(head, cells))
    return "\n".join(part for part in parts if part)


def slug(machine_: dict[str, Any] | None = None) -> str:
    """Name the record of a machine as a file: processor and cores."""
    found = machine_ or machine()
    text = f"{found['cpu']}-{found['cores']}-cores".lower()
    return "-".join("".join(sign if sign.isascii() and sign.isalnum() else " " for sign in text).split())


def fell(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Say which ratios to `plain` fell since a record of the same machine, by more than both spreads."""
    known = {(row["name"], row["mode"], row["threads"]): row["ratio"] for row in before["rows"]}
    said = []
    for row in now["rows"]:
        ratio, old = row["ratio"], known.get((row["name"], row["mode"], row["threads"]))
        if ratio and old and ratio["high"] < old["low"]:
            cores = f"{row['threads'] or now['machine']['cores']} cores"
            said.append(
                f"{row['name']}, {row['mode']}, {cores}: {ratio['median']:.2f}x plain ({_between(ratio)}), "
                f"was {old['median']:.2f}x ({_between(old)})"
            )
    return said


def record_path(out: Path) -> Path:
    """Give the file of a record: `out` where it ends so, else by the name of this machine in the folder `out`."""
    return Path(out) if Path(out).suffix == ".json" else Path(out) / f"{slug()}.json"


def read_before(folder: Path) -> dict[str, Any] | None:
    """Read this machine's record in `folder`, None where there is none. Raises DataError for a broken one."""
    path = Path(folder) / f"{slug()}.json"
    return read_record(path) if path.exists() else None


def compare(result: dict[str, Any], before: dict[str, Any] | None, folder: Path, console: Console) -> bool:
    """Compare with `read_before` of `folder` and say how; give whether something fell."""
    path = Path(folder) / f"{slug()}.json"
    if before is None:
        console.print(f"no record of this machine: --out {printable(path)} makes one", highlight=False, soft_wrap=True)
        return False
    if before["machine"] != result["machine"] or before["size"] != result["size"]:
        console.print(f"{printable(path)} is of another machine or size: not compared", highlight=False, soft_wrap=True)
        return False
    lines = fell(result, before)
    for line in lines:
        console.print(f"FELL: {line}", highlight=False, soft_wrap=True)
    if not lines:
        console.print(f"no ratio fell below {printable(path)} by more than the spread", highlight=False, soft_wrap=True)
    return bool(lines)


def _between(spread: dict[str, float]) -> str:
    return f"{spread['low']:.3g}–{spread['high']:.3g}"


def _print(console: Console, head: Sequence[str], cells: Iterator[tuple[str, ...]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in head:
        table.add_column(name, no_wrap=True)
    for row in cells:
        table.add_row(*row)
    if table.row_count:
        console.print(table)


def _lines(head: Sequence[str], cells: Iterator[tuple[str, ...]] | list) -> str:
    lines = [" | ".join(row) for row in (head, ("---",) * len(head), *cells)]
    return "".join(f"| {line} |\n" for line in lines) if len(lines) > 2 else ""


def save(result: dict[str, Any], out: Path) -> list[Path]:
    """Write a measurement as JSON to `record_path`, with a PNG and an SVG beside where matplotlib is.

    Raises OutputError.
    """
    from anet.bench.picture import draw

    path = record_path(out)
    write_json(path, result)
    return [path, *draw(result, path)]
