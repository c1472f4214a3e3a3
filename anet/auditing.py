"""`anet data audit`: which labels to look at again, by what a model says against them and by twins labelled apart."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from anet.data import PARTS, Dataset, Sample, load
from anet.data.few import parts_as
from anet.data.similar import near_duplicates
from anet.data.twins import Twins, lay_over
from anet.errors import OptionError, OutputError
from anet.files import atomic_write, csv_text, printable, read_plain
from anet.frame import IGNORE
from anet.models import OpenModel, open_model
from anet.scoring.audit_page import Section, Shown, write_audit
from anet.scoring.conflicts import KINDS, Conflict, box_of, by_area, conflicts, far
from anet.scoring.report import Table
from anet.seen import all_seen, fingerprint, known_seen
from anet.targets import check_target

COLUMNS = (
    "rank", "file", "twin", "kind", "what", "weight", "certainty", "area_px", "x0", "y0", "x1", "y1", "labelled",
    "found", "part",
)  # fmt: skip
TWIN = "twin labelled apart"
ROLE = {"train": "trained on", "val": "validated on", "test": "held out"}
NOTES = 4  # conflicts told in words under a picture
FEW = 0.2  # least weight of what is listed: below lie specks and doubts


@dataclass(frozen=True)
class Audited:
    """A picture with what speaks against its label, the heaviest first."""

    sample: Sample
    part: str  # of the model's own split; "" where it was trained on other pictures
    found: tuple[Conflict, ...]

    @property
    def weight(self) -> float:
        """What the picture is ranked by: its heaviest conflict, 0..1."""
        return self.found[0].weight if self.found else 0.0


@dataclass(frozen=True)
class Apart:
    """Two pictures of one thing whose labels differ: pixels further from the outline than outlines can be told."""

    twins: Twins
    iou: float | None  # of both labels where both pictures show; None without a defect
    area_px: int
    box: tuple[int, int, int, int]  # in what both show
    weight: float


@dataclass(frozen=True)
class Audit:
    """All that was found; `page` is to be looked at, `list` says what to relabel."""

    pictures: int
    audited: tuple[Audited, ...]  # those in conflict, the worst first
    pairs: int  # of pictures that show the same thing
    apart: tuple[Apart, ...]  # those that differ, the worst first
    parts: dict[str, int]  # role -> pictures; empty where the model was trained on others
    page: Path
    list: Path


def audit(
    model: Path, data: Path, task: str | None = None, free: bool = False, out: Path = Path("audit.html"),
    limit: int = 100, twins: bool = True, threads: int = 0,
) -> Audit:  # fmt: skip
    """Rank a data set's pictures by conflict between a model and their labels; write a page and a CSV beside it.

    All parts are looked at; the page says on which pictures the model was trained, since it may know a wrong label by
    heart. `limit` is how many pictures, and how many twins, the page shows; the list has all. Raises ModelError,
    DataError, ImageError, OptionError, OutputError.
    """
    out = Path(out)
    if limit < 1 or out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"--limit {limit}, --out {printable(out)}: a picture or more and a name ending in .html work")
    opened = open_model(model, threads)
    dataset = load(data, task, free, opened.task)
    dataset.check_fit(opened.class_names, model)
    check_target(out, model, dataset.root)
    _check_list(out.with_suffix(".csv"))
    parts = own_parts(opened, dataset)
    looked = [look(opened, sample, dataset.classes, parts) for sample in dataset.samples]
    found = sorted((one for one in looked if one.weight >= FEW), key=lambda one: (-one.weight, one.sample.name))
    pairs = near_duplicates(dataset.samples) if twins else []
    apart = sorted(labelled_apart(lay_over(pairs, dataset.samples, dataset.classes)), key=lambda one: -one.weight)
    roles = Counter(ROLE.get(parts.get(sample.name, ""), "in no part") for sample in dataset.samples) if parts else {}
    result = Audit(
        len(looked), tuple(found), len(pairs), tuple(apart), dict(roles), out, out.with_suffix(".csv")
    )  # fmt: skip
    atomic_write(result.list, csv_text(rows(result, dataset)))
    _write_page(result, opened, dataset, limit, twins)
    return result


def _check_list(path: Path) -> None:
    """Refuse to write the list over a table that is none: nobody named it, the page's name did. Raises OutputError."""
    if path.exists() and not read_plain(path, 2**30, OutputError).startswith(csv_text([COLUMNS]).encode()):
        raise OutputError(f"{printable(path)} is there already and is no list of this verb: choose another --out")


def own_parts(opened: OpenModel, dataset: Dataset) -> dict[str, str]:
    """Give sample name -> part of the split that the model was trained with; empty where these are other pictures.

    A picture by which neither it nor what it started from was trained or validated is of its test part, whenever it
    came.
    """
    known = opened.provenance
    if known_seen(known):
        part_of = {one: part for part in ("val", "train") for seen in all_seen(known) for one in seen[part]}
        parts = {sample.name: part_of.get(fingerprint(sample), "test") for sample in dataset.samples}
        return parts if set(parts.values()) != {"test"} else {}
    if known["data"].get("digest") != dataset.digest():
        return {}
    parts = parts_as(dataset, known["split"], known.get("seed", 0))
    return {sample.name: part for part in PARTS for sample in parts.part(part)}


def look(opened: OpenModel, sample: Sample, classes: int, parts: dict[str, str]) -> Audited:
    """Hold one picture's label against the model."""
    image, target = sample.read(classes)
    found = conflicts(opened.probs(image), target, opened.threshold)
    return Audited(sample, parts.get(sample.name, ""), tuple(found))


def labelled_apart(found: Iterator[Twins]) -> Iterator[Apart]:
    """Keep the twins whose labels differ by more than outlines can be told."""
    for one in found:
        scored = one.label_a != IGNORE
        mine, other = (np.where(scored, label, 0) for label in (one.label_a, one.label_b))
        differs = scored & (mine != other) & far(mine, scored) & far(other, scored)
        area = int(differs.sum())
        if (weight := by_area(area, differs.shape)) >= FEW:
            both, any_ = int(((mine == other) & (mine != 0)).sum()), int(((mine != 0) | (other != 0)).sum())
            yield Apart(one, both / any_ if any_ else None, area, box_of(differs), weight)


def rows(result: Audit, dataset: Dataset) -> Iterator[Sequence[Any]]:
    """Give the list to relabel as rows of cells, its head first: pictures in conflict, then twins labelled apart."""
    files = {sample.name: str(sample.image.relative_to(dataset.root)) for sample in dataset.samples}
    names = dataset.class_names
    yield COLUMNS
    for rank, one in enumerate(result.audited, 1):
        for each in one.found:
            if each.weight >= FEW:
                yield (
                    rank, files[one.sample.name], "", each.kind, each.words(names), each.weight, each.certainty,
                    each.area_px, *each.box, names[each.labelled], names[each.found], ROLE.get(one.part, ""),
                )  # fmt: skip
    for rank, one in enumerate(result.apart, 1):
        a, b = one.twins.a, one.twins.b
        known = (rank, files[a], files[b], TWIN, words(one), round(one.weight, 4), "", one.area_px)
        yield (*known, *("",) * (len(COLUMNS) - len(known)))


def words(one: Apart) -> str:
    """Say in one line how two labels of one thing differ."""
    iou = "" if one.iou is None else f", IoU of the labels {one.iou:.2f}"
    return f"{one.twins.kind}: the labels differ by {one.area_px} px where both show the same{iou}"


def _write_page(result: Audit, opened: OpenModel, dataset: Dataset, limit: int, twins: bool) -> None:
    predict = opened.at(opened.threshold)
    conflict = Section(
        "Model against label",
        f"{len(result.audited)} of {result.pictures} pictures are in conflict, the worst first.",
        ("Picture", "Label", "Model", "Conflict"),
        ("labelled and found", "labelled alone", "found alone"),
        [partial(_shown, one, dataset, predict) for one in result.audited[:limit]],
    )
    same = Section(
        "Twins labelled apart",
        f"{len(result.apart)} of {result.pairs} pairs that show the same thing differ in their labels; what both show "
        "is cut out and laid over one another."
        if twins
        else "Not looked for.",
        ("Picture", "Label of the first", "Label of the second", "Difference"),
        ("both labels", "the first alone", "the second alone"),
        [partial(_twins, one) for one in result.apart[:limit]],
    )
    title = f"Labels of {dataset.name} ({dataset.task}) to look at again"
    write_audit(result.page, title, _facts(result, opened), _table(result), (conflict, same))


def _shown(one: Audited, dataset: Dataset, predict: Callable[[np.ndarray], np.ndarray]) -> Shown:
    image, target = one.sample.read(dataset.classes)
    notes = [each.words(dataset.class_names) for each in one.found if each.weight >= FEW][:NOTES]
    role = f" · {ROLE[one.part]}" if one.part in ROLE else ""
    return Shown(one.sample.name, f"{one.weight:.2f}{role}", one.weight, tuple(notes), image, target, predict(image))


def _twins(one: Apart) -> Shown:
    twins = one.twins
    title = f"{twins.a} and {twins.b}"
    return Shown(title, f"{one.weight:.2f}", one.weight, (words(one),), twins.image, twins.label_a, twins.label_b)


def _facts(result: Audit, opened: OpenModel) -> dict[str, str]:
    trained = ", ".join(f"{number} {role}" for role, number in result.parts.items())
    if trained:
        trained += ": of pictures that it was trained on a model may know a wrong label by heart"
    return {
        "model": f"{opened.network} by {opened.engine} (sha256 {opened.sha256[:12]}), threshold {opened.threshold:.3f}",
        "pictures": trained or "not those of the model's training, as far as it says",
        "rank": "how sure the model is against the label, times a share that grows with the region's area",
        "list": f"{result.list.name}: one row for each conflict",
    }


def _table(result: Audit) -> Table:
    kinds = Counter(each.kind for one in result.audited for each in one.found if each.weight >= FEW)
    heads = Counter(one.found[0].kind for one in result.audited)
    lines = tuple((kind, kinds[kind], heads[kind]) for kind in KINDS)
    note = "A model's doubt is no proof: look, then decide. What both miss is not found this way."
    return Table("What disagrees", ("kind", "regions", "pictures where it is the worst"), lines, note)


def print_audit(result: Audit, console: Console) -> None:
    """Print what was found in a few lines, and where to look."""
    kinds = Counter(one.found[0].kind for one in result.audited)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    trained = ", ".join(f"{number} {role}" for role, number in result.parts.items())
    lines = [f"{result.pictures} pictures ({trained or 'not those of the model' + chr(39) + 's training'})"]
    lines += [f"in conflict: {len(result.audited)}{f' (worst: {told})' if told else ''}"]
    lines += [f"  {one.weight:.2f}  {printable(one.sample.name)}: {one.found[0].kind}" for one in result.audited[:5]]
    lines += [f"pairs that show the same: {result.pairs}, labelled apart: {len(result.apart)}"]
    lines += [f"look at: {printable(result.page)}", f"relabel: {printable(result.list)}"]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
