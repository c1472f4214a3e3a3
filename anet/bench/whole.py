"""The whole inspection of a bundle: time of each stage, a folder from end to end, a fresh start, memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from anet.bench.folder import folder_apart
from anet.bench.rounds import Spread
from anet.data.synthetic import surface
from anet.errors import AnetError
from anet.image import write_png
from anet.runtime.card import CARD, read_card, read_listed
from anet.runtime.inspector import STEPS, Inspector
from anet.runtime.verdicts.bundled_rules import own_files

PICTURES = 240  # of the folder; seeded, grey, as large as the network's input
EVERY = 12  # of them has a defect, the others are even grey with noise: as on a line in order
ROUNDS = 10
COLD, STARTS = 2, 5  # fresh processes without and with a kept network
CHILD = """
import sys
from anet.__main__ import main
try:
    main()
except SystemExit as end:
    if end.code not in (0, 1, 3):
        raise
for line in open('/proc/self/status') if sys.platform == 'linux' else ():
    if line.startswith('VmHWM'):
        print('peak', line.split()[1])
"""


def whole(bundle: Path, h: int, w: int, engine: str = "openvino") -> dict[str, Any]:
    """Measure a bundle on seeded pictures of `h` x `w` and give plain values. Raises AnetError when a start fails."""
    with TemporaryDirectory(prefix="anet-bench-") as scratch:
        place = Path(scratch)
        bundle = _bare(bundle, place / "bundle")
        pictures = _pictures(place / "pictures", h, w)
        return {
            "pictures": {"count": len(pictures), "h": h, "w": w, "format": "png"},
            "stages_ms": _stages(bundle, pictures, engine),
            "folder": folder_apart(bundle, place / "pictures", h, w, engine, ROUNDS),
            "start": _starts(bundle, pictures[0], place, engine),
        }


def _bare(bundle: Path, folder: Path) -> Path:
    """Copy a bundle without what fresh processes would take, too: settings of this machine, and rules.

    Rules may be about mm, which nobody gave, or zones of other pictures. Raises ModelError.
    """
    card = read_card(bundle)
    kept = {name: digest for name, digest in card.files.items() if name not in own_files(card)}
    folder.mkdir()
    for name in kept:
        (folder / name).write_bytes(read_listed(bundle, card, name))
    (folder / CARD).write_bytes(replace(card, files=kept).sealed())
    return folder


def _pictures(folder: Path, h: int, w: int) -> list[Path]:
    side, rng = max(h, w, 64), np.random.default_rng(0)  # 64: the least that is made
    folder.mkdir()
    for number in range(PICTURES):
        noise = rng.normal(140, 4, (h, w)).clip(0, 255).astype(np.uint8)
        image = noise if (number + 1) % EVERY else surface("rolled", "inclusion", side, number)[0][..., 0]
        write_png(folder / f"{number:03}.png", image[:h, :w])
    return sorted(folder.iterdir())


def _stages(bundle: Path, pictures: Sequence[Path], engine: str) -> dict[str, Any]:
    inspector = Inspector(bundle, engine=engine)
    inspector(pictures[0])
    timings = [inspector(path).timing_ms for path in pictures]
    return {step: Spread.of([one[step] for one in timings]).to_dict() for step in STEPS}


def _starts(bundle: Path, picture: Path, place: Path, engine: str) -> dict[str, Any]:
    """Time `anet inspect` on one picture in fresh processes: the first finds no kept network, the others do."""
    words = ["inspect", str(bundle), str(picture), "--engine", engine]
    cold = [_start(words, place, f"cold-{number}", f"cache-{number}") for number in range(COLD)]
    warm = [_start(words, place, f"warm-{number}", "cache-0") for number in range(STARTS)]
    return {
        "cold_ms": Spread.of([one for one, _ in cold]).to_dict(),
        "warm_ms": Spread.of([one for one, _ in warm]).to_dict(),
        "memory_mb": max((peak for _, peak in warm if peak), default=None),
    }


def _start(words: Sequence[str], place: Path, out: str, cache: str) -> tuple[float, float | None]:
    """Give the ms from the start of the process to its end, and its peak of resident memory in MB."""
    words = [*words, "--out", str(place / out)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(place / cache)}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CHILD, *words], env=environment, capture_output=True, text=True)
    took = (time.perf_counter() - started) * 1000
    if done.returncode:
        raise AnetError(f"`anet inspect` failed in a fresh process: {done.stderr.strip()[-300:]}")
    peak = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("peak ")]
    return took, round(int(peak[0]) * 1024 / 1e6, 1) if peak else None
