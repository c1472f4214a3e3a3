"""The data sets of section IV-A.1: the printed counts beside those of the pictures at hand."""

from pathlib import Path

from anet.data import load, split
from anet.errors import AnetError
from anet.files import printable
from anet.paper.grid import Grid
from anet.paper.measured import PROTOCOLS
from anet.paper.published_scores import COLUMNS, Column

HEAD = (
    "column", "data here", "printed\ntrain / test", "pictures\nhere", *(f"{one}\ntrain / test" for one in PROTOCOLS)
)  # fmt: skip
HOW = "train: with the 15 % held out for validation; grouped: what is known to be of one strip or tile stays together"


def data_grid(data_root: Path) -> Grid:
    """Count each column's pictures below `data_root` and part them as both protocols do.

    No picture of a published set is decoded. A set that cannot be read is named in the notes, with the reason.
    """
    lines, flat, notes = [], [], [HOW]
    for column in COLUMNS:
        try:
            found = counts(column, Path(data_root))
        except AnetError as error:
            found = {}
            notes.append(f"{column.title}: {printable(str(error))}")
        cells = (f"{found[f'{one}_train']} / {found[f'{one}_test']}" if found else "–" for one in PROTOCOLS)
        lines.append(
            (column.title, column.data, f"{column.train} / {column.test}", str(found.get("pictures", "–")), *cells)
        )
        keys = ("pictures", *(f"{one}_{part}" for one in PROTOCOLS for part in ("train", "test")))
        printed = {"column": column.title, "printed_train": column.train, "printed_test": column.test}
        flat.append({**printed, **{key: found.get(key) for key in keys}})
    return Grid("Section IV-A.1: pictures of each data set", HEAD, tuple(lines), HEAD[:2], tuple(notes), tuple(flat))


def counts(column: Column, data_root: Path) -> dict[str, int]:
    """Give the number of pictures of a set, and of those that train and test under each protocol. Raises DataError."""
    dataset = load(data_root / column.folder, column.task)
    found = {"pictures": len(dataset.samples)}
    for protocol in PROTOCOLS:
        parts = split(dataset, protocol)
        found |= {f"{protocol}_train": len(parts.train) + len(parts.val), f"{protocol}_test": len(parts.test)}
    return found
