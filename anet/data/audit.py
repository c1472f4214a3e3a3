"""Check a data set: every fault of its files, and every leak between its parts, in one run that names the files."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from anet import data
from anet.data import faults, folder, listing
from anet.data.dataset import Dataset, Sample
from anet.data.faults import Finding, Look
from anet.data.few import lacking
from anet.data.leaks import leaks
from anet.errors import AnetError, DataError
from anet.files import printable

SHOWN = 5  # files named under each kind of fault
TRAINED = "of the split that `anet train` makes"


@dataclass(frozen=True)
class AuditReport:
    """What `check` found in `path`; `protocol` is None where no parts were given or asked for."""

    path: Path
    layout: str
    pictures: int
    protocol: str | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not any(one.level == "error" for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Give everything, all files included, as JSON knows it; names that are not UTF-8 keep surrogate escapes."""
        return {
            "path": str(self.path),
            "layout": self.layout,
            "pictures": self.pictures,
            "protocol": self.protocol,
            "ok": self.ok,
            "findings": [one.to_dict() for one in self.findings],
        }


def check(
    path: Path | str, task: str | None = None, protocol: str | None = None, seed: int = 0, free: bool = False
) -> AuditReport:
    """Check the data set in `path`: files, masks, and leaks under `protocol`, or else under the parts it gives itself.

    Where it gives none, the parts that `anet train` makes are held against the least number of defects, too.
    Every fault is a finding, none stops the check. Raises DataError only when `path` holds no data set at all,
    OptionError for an unknown protocol.
    """
    layout, root = _find(Path(path))
    found: list[Finding] = []
    dataset = _load(layout, root, task, free, found)
    looks = list(faults.look(dataset.samples, root))
    named = _names(dataset, layout)
    found += [*(fault for one in looks for fault in one.faults), *faults.values(looks, named, root)]
    looks = faults.settle(looks, named)
    found += [*faults.marks(looks, root), *faults.twice(looks, root)]
    if not dataset.samples and not any(one.kind == "layout" for one in found):
        found.append(Finding("error", "no pictures", (), f"no pictures in {printable(root)}"))
    whole = [one for one in looks if one.image is not None]
    dataset = replace(dataset, samples=tuple(one.sample for one in whole))
    parts, protocol = _parts(dataset, protocol, seed, found)
    found += (few := list(_few(whole, parts)))
    if not (parts or few or any(one.level == "error" for one in found)):  # with errors, nothing can be trained
        found += _few_when_trained(dataset, whole, seed)
    found += leaks(dataset, parts)
    order = sorted(set(found), key=lambda one: (one.level, one.kind, one.message, one.files))
    return AuditReport(root, layout, len(looks), protocol, tuple(order))


def _find(path: Path) -> tuple[str, Path]:
    try:
        return data.find(path)
    except DataError:  # a link out of the set hides the layout, and must not hide the other faults
        if path.is_dir() and all(_side(path, name) for name in folder.SIDES):
            return "folder", path
        raise


def _load(layout: str, root: Path, task: str | None, free: bool, found: list[Finding]) -> Dataset:
    """Read the data set; where its reader stops at a fault, pair the files here and go on with what there is."""
    samples, own = _scan(layout, root)
    found += own
    tasks = getattr(data.LAYOUTS[layout], "TASKS", ())
    try:
        return data.load(root, task or ("all" if layout == "sd900" else None), free)
    except AnetError as error:
        if not any(one.level == "error" for one in own) and not _told_later(error, samples):
            found.append(Finding("error", "layout", (), str(error)))
    names = getattr(data.LAYOUTS[layout], "NAMES", ("background", "defect"))
    given = {s.name: part for s in samples for part in [_part(s.name)] if part}
    name = root.name if layout == "folder" else layout
    binary = None if layout in ("folder", "mcsd", "neu_seg") else 1
    samples = tuple(replace(sample, class_id=binary) for sample in samples)
    return Dataset(name, task or (tasks[0] if tasks else "defect"), root, names, samples, given)


def _told_later(error: AnetError, samples: Sequence[Sample]) -> bool:
    """Say whether the message is of one file, which decoding and checking all of them will name again."""
    return any(sample.mask and printable(sample.mask) in str(error) for sample in samples)


def _scan(layout: str, root: Path) -> tuple[list[Sample], list[Finding]]:
    module = data.LAYOUTS[layout]
    if module.SIDES:
        sides = [side for side in (_side(root, name) for name in module.SIDES) if side]
        return faults.scan(root, (sides[0], sides[-1]))
    walk = faults.Walk(root, root)
    samples, found = [], walk.findings
    if hasattr(module, "BESIDE"):
        ending, suffix = module.BESIDE
        masks = {p.with_suffix(""): p for p in walk.pictures if p.suffix.lower() == suffix or p.stem.endswith("_label")}
        for path in walk.pictures:
            if path not in masks.values():
                mask = masks.get(path.with_name(path.stem + ending))
                samples.append(Sample(listing.name_of(path, root), path, mask))
                if mask is None and "MT_Free" not in path.parts:
                    found.append(faults.finding("error", "missing mask", root, [path], "has no mask"))
    return samples, found


def _side(root: Path, name: str) -> Path | None:
    return next((path for path in sorted(root.iterdir()) if path.name.lower() == name.lower() and path.is_dir()), None)


def _part(name: str) -> str | None:
    folders = name.split("/")[1:-1]
    return folder.PARTS.get(folders[0].lower()) if folders else None


def _names(dataset: Dataset, layout: str) -> tuple[str, ...]:
    """Give the class names where something fixes them; () where only the masks' values tell."""
    if layout not in ("folder", "mcsd"):
        return dataset.class_names
    try:
        return folder.class_names(dataset.root)
    except DataError:
        return ()  # its reader said so already


def _parts(
    dataset: Dataset, protocol: str | None, seed: int, found: list[Finding]
) -> tuple[dict[str, str], str | None]:
    """Give sample name -> part, and the protocol that made them."""
    if protocol is None:
        return {s.name: dataset.given[s.name] for s in dataset.samples if s.name in dataset.given}, (
            "given" if dataset.given else None
        )
    try:
        made = data.split(dataset, protocol, seed)
    except DataError as error:
        found.append(Finding("error", "no split", (), str(error)))
        return {}, protocol
    return {sample.name: part for part in data.PARTS for sample in made.part(part)}, protocol


def _few(looks: Sequence[Look], parts: dict[str, str]) -> Iterator[Finding]:
    """Find parts, or the whole set, with too few defects to learn or to judge."""
    defects: dict[str, int] = {part: 0 for part in parts.values()} or {"the data set": 0}
    for one in looks:
        place = parts.get(one.sample.name) if parts else "the data set"
        if place and one.defect:
            defects[place] += 1
    for number, text in lacking(defects) if looks else ():
        yield Finding("warning" if number else "error", "few defects", (), text)


def _few_when_trained(dataset: Dataset, looks: Sequence[Look], seed: int) -> Iterator[Finding]:
    """Find the same in the parts that a training makes of a set without parts: one of them chooses the threshold."""
    try:
        made = data.split(dataset, None, seed)
    except DataError as error:
        yield Finding("warning", "no split", (), str(error))
        return
    parts = {sample.name: f"{part} {TRAINED}" for part in data.PARTS for sample in made.part(part)}
    yield from (replace(one, level="warning") for one in _few(looks, parts))


def print_report(report: AuditReport, console: Console) -> None:
    """Print a table by kind of fault with counts, then the first messages of each; names cannot act as markup."""
    kinds: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for one in report.findings:
        kinds[one.level, one.kind].append(one)
    table = Table("level", "kind", "findings", "files")
    for (level, kind), found in kinds.items():
        files = {name for one in found for name in one.files}
        table.add_row(Text(level), Text(kind), str(len(found)), str(len(files)))
    if kinds:
        console.print(table)
    for (level, kind), found in kinds.items():
        console.print(Text(f"{level}: {kind}", style="bold red" if level == "error" else "bold yellow"))
        for one in found[:SHOWN]:
            console.print(Text("  " + printable(one.message)), soft_wrap=True)
            for file, partner, how in one.pairs[:SHOWN]:
                console.print(Text(f"    {printable(file)} and {printable(partner)} ({how})"), soft_wrap=True)
            if len(one.pairs) > SHOWN:
                console.print(Text(f"    and {len(one.pairs) - SHOWN} more pairs"))
            unnamed = len(one.files) > 1 or any(printable(name) not in one.message for name in one.files)
            if unnamed and not one.pairs:
                console.print(Text(f"    {_some(one.files)}"), soft_wrap=True)
        if len(found) > SHOWN:
            console.print(Text(f"  and {len(found) - SHOWN} more"))
    errors = sum(one.level == "error" for one in report.findings)
    parts = f", parts by protocol {report.protocol}" if report.protocol else ""
    text = f"{report.pictures} pictures{parts}: {errors} errors, {len(report.findings) - errors} warnings"
    console.print(Text(text), soft_wrap=True)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name) for name in names[:SHOWN]) + rest
