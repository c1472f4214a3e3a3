"""Inspect a stream of pictures and write what was found, in their order.

    OUT/masks/<name>.png       one class: 0 and 255, to be looked at; several: class ids
    OUT/overlays/<name>.png    the picture with what was found, where something was
    OUT/results.jsonl          one line a picture: its report, or `file` and `error`
    OUT/defects.csv            one row a defect; docs/deploy.md explains the fields of both

The two tables carry `.part` in their names until the run is complete, and are on the disk then. A picture's mask and
overlay are written before its line: whenever the process ends, what a line names is there. A power cut can lose the
last seconds of an unfinished run, and leave masks and overlays empty: they are not waited for, since that would take
longer than to make them again. Memory does not grow with the number of pictures.
"""

import functools
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anet.errors import AnetError, ImageError, OptionError, OutputError
from anet.files import Lines, atomic_write, check_writable, csv_text, printable
from anet.frame import bands
from anet.image import list_images, overlay, png_bytes, write_png
from anet.runtime.engines.native import cores
from anet.runtime.inspector import AHEAD_PX, Inspector, Report
from anet.runtime.settings import settings_for

LINES, ROWS, MASKS, OVERLAYS = "results.jsonl", "defects.csv", "masks", "overlays"
OUT = "inspected"  # where no folder is given
FOUND, ALL, NONE = "found", "all", "none"  # which pictures get an overlay
COLUMNS = (
    "file", "defect", "class_id", "class_name", "score", "mean_score", "area_px", "x0", "y0", "x1", "y1",
    "centroid_y", "centroid_x", "length_px", "width_px", "angle_deg", "touches_border", "model",
    "method", "contrast", "area_mm2", "length_mm", "width_mm",
)  # fmt: skip
ENDINGS, OTHERS = 4, "…"  # of files passed over: how many are told apart, and the rest
TOLD = 3  # errors that the end of a run spells out; all stand in results.jsonl
LONGEST = 255 - len(".png")  # bytes of a file's name


@dataclass(frozen=True)
class Summary:
    """How a run over many pictures ended."""

    pictures: int
    accepted: int
    rejected: int
    errors: int
    seconds: float
    warned: int = 0
    fired: dict[str, int] = field(default_factory=dict)  # name of a rule -> pictures on which it fired
    first_errors: tuple[str, ...] = ()  # of at most TOLD pictures: why they could not be inspected
    passed: dict[str, int] = field(default_factory=dict)  # ending -> files of folders that were no pictures by it

    @property
    def exit_code(self) -> int:
        """0: all accepted, 3: warned of some, 1: some rejected, 2: some could not be inspected; the worst counts."""
        return 2 if self.errors else 1 if self.rejected else 3 if self.warned else 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def inspect_paths(
    inspector: Inspector,
    paths: Iterable[Path | str],
    out: Path | str,
    overlays: str = FOUND,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Inspect all pictures of `paths` (files, and folders with all below them) into the new folder `out`.

    `overlays` are drawn of pictures where something was "found" (a pixel, or a rule that fired), of "all", or "none":
    of a picture in order, the overlay is a copy, and on a line most are in order.

    A picture that cannot be read gets a line with its error, and the run goes on; what a folder holds under another
    ending than those of pictures is passed over and counted, see `list_images`. `progress` is called after each with
    the counts so far. Raises OutputError when `out` holds results already or cannot be written, OptionError when it
    lies inside a folder to be inspected or `overlays` is none of the three, ImageError when there is no picture at all.
    On Ctrl-C the lines written so far stay, complete, in the `.part` files, and the KeyboardInterrupt says so.
    """
    paths, out = [Path(path) for path in paths], Path(out)
    if overlays not in (FOUND, ALL, NONE):
        raise OptionError(f"no overlays {printable(str(overlays))!r:.80}: {FOUND}, {ALL} or {NONE} would work")
    _check_out(paths, out, inspector.bundle)
    passed = Counter()

    def pass_over(ending: str) -> None:
        passed[ending if ending in passed or len(passed) < ENDINGS else OTHERS] += 1

    pictures = _not_ours(list_images(paths, pass_over), out)
    first = next(pictures, None)
    if first is None:
        found = f"no picture found in {', '.join(printable(path) for path in paths)}"
        raise ImageError("; ".join(filter(None, (found, _passed_over(passed)))))
    started, counts, fired, why = time.perf_counter(), Counter(), Counter(), []

    def so_far() -> Summary:
        accepted, rejected, errors, warned = (counts[outcome] for outcome in ("accept", "reject", "error", "warn"))
        seconds = time.perf_counter() - started
        told = dict(fired), tuple(why), dict(passed)
        return Summary(counts.total(), accepted, rejected, errors, seconds, warned, *told)

    with Lines(out / LINES) as lines, Lines(out / ROWS) as rows:
        rows.write(csv_text([COLUMNS]))
        target = str(out)
        scaled = inspector.card.channels == 1
        looked = inspector.look_ahead(
            chain([first], pictures), lambda image, report: _draw(image, report, overlays, scaled)
        )
        try:
            for path, found in looked:
                outcome, rules = _write(path, found, target, lines, rows)
                counts[outcome] += 1
                fired.update(rules)
                if isinstance(found, AnetError) and len(why) < TOLD:
                    why.append(str(found))
                if progress:
                    progress(so_far())
        except KeyboardInterrupt:
            done = f"stopped: {counts.total()} pictures are complete in {printable(lines.part)}"
            raise KeyboardInterrupt(done) from None
        finally:
            looked.close()  # the threads that look ahead begin nothing new
        rows.finish()
        lines.finish()
    return so_far()


def streams_for(bundle: Path | str, paths: Sequence[Path], threads: int = 0) -> int:
    """Give how many pictures to work on at once: as `anet tune` found, else one a core; 0 (latency) for one picture.

    Raises ModelError when what was tuned is damaged.
    """
    many = len(paths) > 1 or any(os.path.isdir(path) for path in paths)
    return settings_for(bundle).streams or (threads or cores() if many else 0)


def print_summary(summary: Summary, console: Any) -> None:
    """Print how a run ended on a rich console: the counts in one line, each rule that fired, the first errors."""
    warned = f"{summary.warned} warned, " if summary.warned else ""
    counted = f"{summary.accepted} accepted, {warned}{summary.rejected} rejected, {summary.errors} errors"
    rate = summary.pictures / max(summary.seconds, 1e-9)
    console.print(f"{summary.pictures} pictures: {counted}; {rate:.1f} pictures/s", highlight=False)
    for name, pictures in sorted(summary.fired.items(), key=lambda one: (-one[1], one[0])):
        console.print(f"  {name}: {pictures} pictures", highlight=False, soft_wrap=True)
    for text in summary.first_errors:
        console.print(f"  error: {text}", highlight=False, markup=False, soft_wrap=True)
    if more := summary.errors - len(summary.first_errors):
        console.print(f"  and {more} errors more, each in {LINES}", highlight=False)
    if summary.passed:
        console.print(f"  {_passed_over(summary.passed)}", highlight=False, markup=False, soft_wrap=True)


def _passed_over(passed: dict[str, int]) -> str:
    files, endings = sum(passed.values()), [printable(ending) or "no ending" for ending in passed]
    what = f"{files} files passed over by their ending" if files > 1 else "1 file passed over by its ending"
    return f"{what} ({', '.join(endings)})" if files else ""


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A report, and the pictures to write with it: as PNG, or as pixels where both would stand in memory too large."""

    report: Report
    mask: bytes | np.ndarray
    overlay: bytes | np.ndarray | None


def _draw(image: np.ndarray, report: Report, overlays: str, scaled: bool) -> _Drawn:
    """Draw and pack what is written of a picture; `image` is drawn into. `scaled` makes 255 of a mask's 1."""
    keep = np.asarray if image.size > 3 * AHEAD_PX else png_bytes
    marked = report.mask.any()
    if marked or keep is np.asarray:
        mask = keep(report.mask * 255 if scaled else report.mask)
    else:
        mask = _blank(report.h, report.w)
    if overlays == NONE or (overlays == FOUND and not marked and report.verdict == "accept"):
        return _Drawn(report, mask, None)
    if marked:
        _lay_over(image, report.mask)
    elif (grey := _grey(image)) is not None:
        image = grey  # and nothing drawn into it: a third of the file and of the time
    return _Drawn(report, mask, keep(image))


@functools.lru_cache(4)
def _blank(h: int, w: int) -> bytes:
    """Give the PNG of a mask without a defect, which most pictures of a line get."""
    return png_bytes(np.zeros((h, w), np.uint8))


def _grey(image: np.ndarray) -> np.ndarray | None:
    """Give the one channel of a grey picture, None for one with colours."""
    red, green, blue = cv2.split(image)
    return red if np.array_equal(red, green) and np.array_equal(red, blue) else None


def _write(path: Path, found: _Drawn | AnetError, out: str, lines: Lines, rows: Lines) -> tuple[str, set[str]]:
    """Write all results of a picture, its line in results.jsonl last; give outcome and the rules that fired."""
    if isinstance(found, AnetError):
        lines.write(_line({"file": str(path), "error": str(found)}))
        return "error", set()
    report, name, drawn = found.report, _free_name(path, f"{out}/{MASKS}"), {}
    for key, folder, content in (("mask", MASKS, found.mask), ("overlay", OVERLAYS, found.overlay)):
        if content is not None:
            drawn[key] = f"{folder}/{name}"
            if isinstance(content, bytes):
                atomic_write(f"{out}/{folder}/{name}", content, False)
            else:
                write_png(f"{out}/{folder}/{name}", content, False)
    if report.defects:
        rows.write(csv_text(_rows(report)))
    facts = report.to_dict()
    del facts["name"]
    lines.write(_line({"file": str(path), **facts, **drawn}))
    return report.verdict, {reason.rule for reason in report.reasons}


def _lay_over(image: np.ndarray, mask: np.ndarray) -> None:
    """Draw `anet.image.overlay` into `image`, in bands: 100 megapixels at once would take 3 GB beside the picture."""
    h, w = mask.shape
    for top, bottom in bands(h, 3 * w):
        above, below = max(0, top - 1), min(h, bottom + 1)  # an outline looks one row further
        drawn = overlay(image[above:below], mask[above:below])
        image[top:bottom] = drawn[top - above : bottom - above]


def _rows(report: Report) -> Iterator[list[Any]]:
    for number, defect in enumerate(report.defects, 1):
        facts = defect.to_dict()
        facts |= dict(zip(("x0", "y0", "x1", "y1"), facts["box"], strict=True))
        facts |= dict(zip(("centroid_y", "centroid_x"), facts["centroid"], strict=True))
        facts |= {"file": report.name, "defect": number, "model": report.model}
        yield [facts[column] for column in COLUMNS]


PACK = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode  # ASCII: any file name comes back the same


def _line(content: dict[str, Any]) -> str:
    return PACK(content) + "\n"


def free_out() -> Path:
    """Give the first of `inspected`, `inspected-2`, … that holds no results, not even those of a run cut off."""
    return next(path for path in map(Path, chain([OUT], (f"{OUT}-{n}" for n in count(2)))) if not _taken(path))


def _taken(out: Path) -> list[str]:
    """Give the names of results that a folder holds."""
    ours = (LINES, LINES + ".part", ROWS, ROWS + ".part", MASKS, OVERLAYS)
    return [name for name in ours if os.path.lexists(out / name)]


def _check_out(paths: list[Path], out: Path, bundle: Path) -> None:
    """Refuse a folder that holds results, lies among the pictures or in the model. Raises OutputError, OptionError."""
    if taken := _taken(out):
        raise OutputError(f"{printable(out)} holds results already ({', '.join(taken)}): give another folder (--out)")
    target = out.resolve()
    for path, what in (*((path, "which is inspected") for path in paths), (bundle, "the model")):
        if os.path.isdir(path) and target.is_relative_to(path.resolve()):
            raise OptionError(f"{printable(out)} is inside {printable(path)}, {what}: give one outside (--out)")
    check_writable(out)


def _not_ours(pictures: Iterable[Path], out: Path) -> Iterator[Path]:
    """Leave out what this run itself writes, met through a link."""
    ours = [(out / name).resolve() for name in (MASKS, OVERLAYS)]
    real = functools.lru_cache(16)(lambda folder: Path(folder).resolve())  # once for all in it: a call for each part
    return (path for path in pictures if real(os.path.dirname(path)) not in ours)


def _free_name(path: Path, folder: str) -> str:
    """Give a file name that is still free in `folder`: the picture's own, else with a digest of its whole path.

    The folder is the memory of what is taken: it costs none, and counts upper and lower case as the disk does.
    """
    name = stem = printable(path.stem)
    digest, numbers = "", iter(range(2, 1_000_000))
    while len(name.encode()) > LONGEST or os.path.lexists(f"{folder}/{name}.png"):
        digest = digest or hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        room = stem.encode()[: LONGEST - 20].decode("utf-8", "ignore")
        name = f"{room}-{digest}" if name == stem else f"{room}-{digest}-{next(numbers)}"
    return f"{name}.png"
