"""Print the tables of docs/speed.md into it, from results/speed/: `python docs/print_speed.py`."""

import json
import re
from pathlib import Path

from anet.bench.show import markdown, read_record
from anet.files import atomic_write

ROOT = Path(__file__).parent.parent
PAGE, RECORDS = ROOT / "docs" / "speed.md", ROOT / "results" / "speed"
BLOCK = re.compile(r"(<!-- printed from (\S+) -->\n).*?(<!-- end of print -->)", re.S)


def settings(path: Path) -> str:
    """Give the record of docs/try_settings.py as Markdown."""
    content = json.loads(path.read_text())
    where = content["machine"]
    lines = [f"{where['cpu']}, {where['cores']} cores, OpenVINO {content['versions']['openvino']}, "
             f"{content['rounds']} interleaved rounds.\n"]  # fmt: skip
    for mode, ways in content["settings"].items():
        lines += [f"| {mode} | ms a picture | 5–95 % | against the first | 5–95 % |", "| --- | --- | --- | --- | --- |"]
        for name, one in ways.items():
            took, ratio = one["ms"], one["ratio"]
            cells = [f"{one['median']:.2f} | {one['low']:.2f}–{one['high']:.2f}" for one in (took, ratio)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def filled(page: str) -> str:
    """Give the page with every printed block made anew."""

    def fill(block: re.Match) -> str:
        path = RECORDS / block.group(2)
        text = settings(path) if path.name.startswith("settings-") else markdown(read_record(path))
        return f"{block.group(1)}{text.rstrip()}\n{block.group(3)}"

    return BLOCK.sub(fill, page)


if __name__ == "__main__":
    atomic_write(PAGE, filled(PAGE.read_text()))
