"""Print the tables of README and of docs/results.md from results/: `python docs/print_results.py`."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from anet.comparing import against
from anet.files import atomic_write
from anet.tables import by_class, by_task, table

ROOT = Path(__file__).parent.parent
PAGES, RESULTS = (ROOT / "README.md", ROOT / "docs" / "results.md"), ROOT / "results"
BLOCK = re.compile(r"(<!-- printed by `(anet results.*?)` -->\n).*?(<!-- end of print -->)", re.S)
TABLES: dict[str, Callable[[Path], str]] = {
    "anet results": table,
    "anet results --by-task": by_task,
    "anet results --by-class": by_class,
    "anet results --against anet": partial(against, network="anet"),
}


def filled(page: str) -> str:
    """Give the page with its tables made anew."""
    return BLOCK.sub(lambda block: f"{block.group(1)}{TABLES[block.group(2)](RESULTS)}{block.group(3)}", page)


if __name__ == "__main__":
    for path in PAGES:
        atomic_write(path, filled(path.read_text()))
