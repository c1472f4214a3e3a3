"""What the project asks of its own speed, held against a measurement."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One aim; `found` None: this run measured nothing that could show it."""

    name: str
    wanted: str
    found: float | None
    passed: bool | None
    stretch: bool = False  # a hope, not a promise

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def ours_of(result: dict[str, Any]) -> str | None:
    """Give the name of the A-Net that aims are about: the first measured, in the precision its bundle recommends."""
    names = [row["name"] for row in result["rows"] if row["network"] == "anet" and row["name"] != "plain"]
    return names[0] if names else None


def targets(result: dict[str, Any]) -> list[Target]:
    """Give all aims in the order of the table."""
    return [*_against_plain(result), *_against_others(result), *_whole(result.get("whole"))]


def middle(result: dict[str, Any], name: str | None, mode: str, threads: int = 0) -> float | None:
    """Give the median ms of a row, None where there is none."""
    for row in result["rows"]:
        if (row["name"], row["mode"], row["threads"]) == (name, mode, threads):
            return row["ms"]["median"]
    return None


def _against_plain(result: dict[str, Any]) -> Iterator[Target]:
    ours = ours_of(result)
    for mode, least, stretch in (("latency", 2.0, False), ("latency", 3.0, True), ("throughput", 2.5, False)):
        found = [
            row["ratio"]["median"]
            for row in result["rows"]
            if (row["name"], row["mode"], row["threads"]) == (ours, mode, 0) and row["ratio"]
        ]
        yield _least(f"{mode}, against plain", "x", least, found[0] if found else None, stretch)


def _against_others(result: dict[str, Any]) -> Iterator[Target]:
    own = ours_of(result)
    for network, least in (("enet", 1.3), ("topformer", 1.0)):
        names = [row["name"] for row in result["rows"] if row["network"] == network and row["name"] != "plain"]
        for mode in ("latency", "throughput"):
            other, mine = middle(result, names[0] if names else None, mode), middle(result, own, mode)
            yield _least(f"{mode}, against {network}", "x", least, other / mine if other and mine else None)


def _whole(whole: dict[str, Any] | None) -> Iterator[Target]:
    found = whole or {}
    folder, start = found.get("folder", {}), found.get("start", {})
    yield _least("a folder from end to end, of raw inference", "", 0.7, folder.get("share"))
    yield _most("start to first verdict, warm cache", "ms", 1000, start.get("warm_ms", {}).get("median"))
    yield _most("memory of `anet inspect`", "MB", 300, start.get("memory_mb"))


def _least(name: str, unit: str, least: float, found: float | None, stretch: bool = False) -> Target:
    return Target(name, f">= {least:g}{unit}", found, None if found is None else found >= least, stretch)


def _most(name: str, unit: str, most: float, found: float | None) -> Target:
    return Target(name, f"< {most:g} {unit}", found, None if found is None else found < most)
