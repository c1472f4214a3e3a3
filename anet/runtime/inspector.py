"""One picture in, one verdict out."""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from anet.errors import AnetError, ImageError, ModelError, OptionError
from anet.frame import decide
from anet.image import LIMITS, Limits, decode_image, read_image
from anet.runtime.ahead import ahead
from anet.runtime.cutting import grid_for, grid_of, probs_later, probs_of
from anet.runtime.engine import Engine
from anet.runtime.engines.native import cores
from anet.runtime.measuring.calibrate import scale_of
from anet.runtime.measuring.measure import find_defects, measure
from anet.runtime.measuring.runs import regions, runs_of, together
from anet.runtime.report import Report, View
from anet.runtime.settings import Settings
from anet.runtime.tiling import Grid, Tiles, blended
from anet.runtime.verdicts.bundled_rules import bundled_rules
from anet.runtime.verdicts.light import odd_light
from anet.runtime.verdicts.rules import VERDICTS, Rules, any_defect
from anet.runtime.verdicts.rules_file import read_rules
from anet.runtime.web import Stretch, inspect_web

STEPS: tuple[str, ...] = ("decode", "pre", "infer", "post")
PRE, NET = STEPS[1:3]
Picture = np.ndarray | Path | str | bytes
Given = TypeVar("Given", bound=Picture)
AHEAD_PX = 8_000_000  # larger pictures are not read ahead: a few of them would be a gigabyte
AHEAD = replace(LIMITS, pixels=AHEAD_PX)


class Inspector:
    """Inspect pictures with a model bundle. Safe to call from several threads; no call remembers another.

    `rules`, read or a TOML file, replace those of the bundle; where there are none, any defect rejects. `threshold`
    (0..1) and `min_area_px` replace those of the card. With `mm_per_px`, one number or (y, x), defects are measured in
    mm, too. `tiles`: False never cuts a picture, True cuts at the scale of the training, `Tiles` says how, and None
    cuts those whose longer side is more than LARGER times that of the large training pictures, if the card knows it.
    `calibrated_px` (h, w): refuse pictures of another size, and webs of another width: `mm_per_px` would be wrong.
    A picture that is far darker or brighter than all of the training is at least warned of, see `odd_light`, but where
    it is cut into tiles, or with `any_light`.
    `threads`, `precision`, `engine`, `streams` and `settings` are those of `Engine`; scale and overlap of `settings`
    count, each by itself, where `tiles` has none. Raises ModelError, OptionError.
    """

    def __init__(
        self,
        bundle: Path | str,
        rules: Rules | Path | str | None = None,
        threshold: float | None = None,
        min_area_px: int | None = None,
        threads: int = 0,
        mm_per_px: float | tuple[float, float] | None = None,
        tiles: bool | Tiles | None = None,
        precision: str | None = None,
        engine: str | None = None,
        streams: int = 0,
        calibrated_px: tuple[int, int] | None = None,
        settings: Settings | None = None,
        any_light: bool = False,
    ):
        if threshold is not None and not 0 < threshold < 1:
            raise OptionError(f"threshold is {threshold}: more than 0 and less than 1 would work")
        if min_area_px is not None and min_area_px < 0:
            raise OptionError(f"min_area_px is {min_area_px}: 0 or more would work")
        if not (tiles is None or isinstance(tiles, (bool, Tiles))):
            raise OptionError(f"tiles is {tiles!r:.60}: None, True, False or Tiles(scale, overlap) would work")
        self.bundle = Path(bundle)
        self.engine = Engine(bundle, threads, precision, engine, streams, settings)
        self.card, self.settings = self.engine.card, self.engine.settings
        # Where threads of the engine work and streams bound how many, two pictures more than cores are begun: while one
        # waits for the disk, or for Python's lock, another goes on. Where they work themselves, more would only crowd.
        spare = 2 if self.engine.waits and (streams or self.settings.streams) > 1 else 0
        self.threads = threads or cores() + spare
        self.threshold = self.card.threshold if threshold is None else threshold
        self.min_area_px = self.card.min_area_px if min_area_px is None else min_area_px
        self.rules = self._rules(bundle, rules)
        self.rules.check_classes(self.card.class_names)
        self.mm_per_px = scale_of(mm_per_px)
        self.rules.check_units(self.mm_per_px)
        self.calibrated_px = calibrated_px
        self.tiles, self.any_light = tiles, any_light
        if tiles:
            self.grid()

    def _rules(self, bundle: Path | str, given: Rules | Path | str | None) -> Rules:
        if given is None:
            return bundled_rules(bundle, self.card) or any_defect(self.min_area_px)
        return given if isinstance(given, Rules) else read_rules(given)

    def __call__(self, picture: Picture, name: str | None = None) -> Report:
        """Inspect a file, the bytes of one, or an `(H, W, 3) uint8` RGB array; see `look`."""
        return self.look(picture, name)[1]

    def look(self, picture: Picture, name: str | None = None, limits: Limits = LIMITS) -> tuple[np.ndarray, Report]:
        """Inspect a picture and give it, `(H, W, 3) uint8` RGB, with its report.

        Raises ImageError for what cannot be read and ModelError for NaN: neither gets a verdict.
        """
        started = time.perf_counter()
        image, called = _decoded(picture, limits)
        decode = (time.perf_counter() - started) * 1000
        h, w = image.shape[:2]
        if self.calibrated_px not in (None, (h, w)):
            made_for = "{}x{}".format(*reversed(self.calibrated_px))
            raise ImageError(
                f"{called}: {w}x{h} pixels, calibrated was with {made_for}: mm would be wrong; calibrate anew"
            )
        grid = self.grid_for(h, w)
        mask, defects, view, times, make_probs = (
            self._whole(image) if grid is None else self._cut(image, grid, image is picture)
        )
        started = time.perf_counter()
        try:
            verdict, reasons = self.rules.decide(defects, mask, self.mm_per_px)
        except ImageError as error:
            raise ImageError(f"{called}: {error}") from error
        if not self.any_light and (odd := odd_light(self.card.mean_grey, view.mean_grey)):
            verdict, reasons = max(verdict, odd.action, key=VERDICTS.index), (*reasons, odd)
        times = dict(zip(STEPS, (decode, *times), strict=True))
        times["post"] += (time.perf_counter() - started) * 1000
        by = (self.card.id, self.engine.name, self.engine.precision)
        settings = (self.mm_per_px, self.threshold, self.min_area_px, self.rules.id)
        return image, Report(
            name or called, h, w, verdict, defects, times, mask, *by, reasons, view, *settings, make_probs
        )

    def many(self, pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Report | AnetError]]:
        """Inspect many pictures, in order; reading and measuring go on beside the network, in threads.

        Gives each picture with its report, or with the ImageError or ModelError that there is instead. Memory does not
        grow with their number, and pictures of more than AHEAD_PX pixels are read one at a time. A few are taken ahead:
        an array must stay as it is until its report comes. What `pictures` raises comes after the reports of all taken.
        """
        return self.look_ahead(pictures, lambda _, report: report)

    def look_ahead(
        self, pictures: Iterable[Given], finish: Callable[[np.ndarray, Report], Any]
    ) -> Generator[tuple[Given, Any], None, None]:
        """Do as `many`, giving what `finish` makes of picture and report, in the same thread, instead of the report."""

        def work(picture: Picture, limits: Limits = AHEAD) -> Any:
            try:
                return finish(*self.look(picture, limits=limits))
            except (ImageError, ModelError) as error:
                return error

        for picture, found in ahead(work, pictures, self.threads):
            # perhaps it was only too large for now: if it is broken, too, this is the right line about it
            yield picture, work(picture, LIMITS) if isinstance(found, ImageError) else found

    def inspect_stream(self, rows: Iterable[np.ndarray], every: int | None = None) -> Iterator[Stretch]:
        """Inspect a web without end, from strips `(n, w, 3) uint8` RGB of any heights, in tiles.

        Gives a verdict for each stretch of `every` rows (None: the height of a tile) with the defects that end there,
        as soon as they are measured. A defect across strips or tiles is one defect; the same web gives the same, to the
        bit, however it was cut into strips. Memory is that of a row of tiles, the defects that have not ended, and the
        stretch; regions of more than `web.MOST_RUNS` runs together are cut. Raises ImageError for wrong strips,
        ModelError for NaN, and OptionError where rules have zones or no scale is known.
        """
        return inspect_web(self, rows, every)

    def grid(self) -> Grid:
        """Give the tiles that this inspector cuts. Raises OptionError where no scale is known."""
        return grid_of(self.card, self.tiles, self.settings.tiles)

    def grid_for(self, h: int, w: int) -> Grid | None:
        """Give the tiles for a picture, None where it is looked at as a whole."""
        return grid_for(self.card, h, w, self.tiles, self.settings.tiles)

    def probs(self, image: np.ndarray) -> np.ndarray:
        """Give the probabilities, `(H, W, channels) float32`, by which `(H, W, 3) uint8` RGB is judged."""
        h, w = image.shape[:2]
        grid = self.grid_for(h, w)
        if grid is not None:
            return probs_of(image, grid, self.engine.stream)
        frame = self.card.frame(h, w, self.settings.scale)
        return frame.answer(self.engine.probs(frame.image(image)), h, w).probs()

    def _whole(self, image: np.ndarray) -> tuple:
        """Look at a picture at once: mask, defects, view, ms of pre, infer and post, and what makes probabilities."""
        h, w = image.shape[:2]
        times = [time.perf_counter()]
        frame = self.card.frame(h, w, self.settings.scale)
        framed = frame.image(image)
        times.append(time.perf_counter())
        probs = self.engine.probs(framed)
        times.append(time.perf_counter())
        answer = frame.answer(probs, h, w)
        mask = answer.mask(self.threshold)
        defects = find_defects(mask, answer, self.min_area_px, self.card.class_names, image, self.mm_per_px)
        times.append(time.perf_counter())
        inner = frame.inner(h, w)
        grey = float(np.mean(cv2.mean(framed[: inner[0], : inner[1]])[:3]))
        view = View(1, (h, w), min(frame.h / h, frame.w / w), grey)
        return mask, defects, view, [1000 * (end - start) for start, end in pairwise(times)], answer.probs

    def _cut(self, image: np.ndarray, grid: Grid, lent: bool) -> tuple:
        """Look at a picture in tiles; gives as `_whole`. The array of a `lent` one may be filled again by its owner."""
        h, w = image.shape[:2]
        mask, parts, clock = np.empty((h, w), np.uint8), [], _Clock()
        started = time.perf_counter()
        for band in blended([image], grid, lambda frames: clock.over(NET, self.engine.stream(clock.over(PRE, frames)))):
            mask[band.top : band.bottom] = decide(band.probs, self.threshold)
            parts.append(runs_of(mask[band.top : band.bottom], band.probs, band.top))
        runs = together(parts).with_greys(image, mask)
        defects = measure(*regions(runs, w), w, (0, h), self.min_area_px, self.card.class_names, self.mm_per_px)
        make_probs = probs_later(image, grid, self.engine.stream, lent)
        framing, inferring = clock.spent[PRE], clock.spent[NET]  # the network's wait holds that for its frames
        post = time.perf_counter() - started - inferring
        times = [1000 * one for one in (framing, inferring - framing, post)]
        view = View(grid.count(h, w), (grid.h, grid.w), grid.scale)
        return mask, defects, view, times, make_probs


class _Clock:
    """Seconds that were waited for the items of streams, by the stream's name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    def over(self, name: str, items: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Give `items`, and count what each of them took to come."""
        started = time.perf_counter()
        for item in items:
            self.spent[name] += time.perf_counter() - started
            yield item
            started = time.perf_counter()


def _decoded(picture: Picture, limits: Limits) -> tuple[np.ndarray, str]:
    """Give the picture as `(H, W, 3) uint8` RGB, and what to call it. Raises ImageError."""
    if isinstance(picture, bytes):
        return decode_image(picture, limits=limits), "picture"
    if isinstance(picture, (Path, str)):
        return read_image(Path(picture), limits), str(picture)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        found = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise ImageError(f"a picture is a file, bytes, or an (H, W, 3) uint8 RGB array: {found} given")
    if not picture.size:
        raise ImageError(f"the picture has no pixels: its shape is {picture.shape}")
    return picture, "picture"
