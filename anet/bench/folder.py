"""A folder from end to end beside the network alone, in a process of its own: `python -m anet.bench.folder`.

As `anet inspect` does it: without torch and the rest of the training, which the process of `anet bench` has loaded for
the networks it exports. What is loaded makes the Python between two pictures slower, and a line never has it.
"""

import json
import subprocess
import sys
import time
from itertools import count, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anet.bench.rounds import Spread, interleaved
from anet.bench.subjects import streams_of, surfaces
from anet.errors import AnetError
from anet.runtime.engine import Engine
from anet.runtime.inspector import Inspector
from anet.runtime.results import inspect_paths


def folder_apart(bundle: Path, pictures: Path, h: int, w: int, engine: str, rounds: int) -> dict[str, Any]:
    """Give what `folder` gives, found in a fresh process. Raises AnetError when that fails."""
    words = [str(one) for one in (bundle, pictures, h, w, engine, rounds)]
    done = subprocess.run([sys.executable, "-m", __name__, *words], capture_output=True, text=True)
    if done.returncode:
        raise AnetError(f"inspecting a folder failed in a fresh process: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def folder(bundle: Path, pictures: Path, h: int, w: int, engine: str, rounds: int) -> dict[str, Any]:
    """Set the ms a picture of a whole folder, masks and overlays written, beside those of the network alone.

    `pictures` is a folder of pictures of `h` x `w`; the network gets as many frames. `share` is raw over folder.
    """
    inspector = Inspector(bundle, engine=engine, streams=streams_of(0))
    raw = Engine(bundle, engine=engine, streams=streams_of(0))
    frames, numbers, many = surfaces(h, w), count(), sum(1 for _ in pictures.iterdir())
    rejected = []

    def alone() -> float:
        started = time.perf_counter()
        for _ in raw.stream(islice(cycle(frames), many)):
            pass
        return (time.perf_counter() - started) * 1000 / many

    with TemporaryDirectory(prefix="anet-bench-folder-") as out:

        def whole() -> float:
            summary = inspect_paths(inspector, [pictures], Path(out) / str(next(numbers)))
            rejected.append(summary.rejected)
            return summary.seconds * 1000 / many

        found = interleaved({"raw": alone, "folder": whole}, rounds)
    shares = [one / other for one, other in zip(found["raw"], found["folder"], strict=True)]
    values = {f"{name}_ms": Spread.of(times).to_dict() for name, times in found.items()}
    return {**values, "share": Spread.of(shares).to_dict()["median"], "rejected": rejected[-1]}


if __name__ == "__main__":
    bundle, pictures, h, w, engine, rounds = sys.argv[1:]
    print(json.dumps(folder(Path(bundle), Path(pictures), int(h), int(w), engine, int(rounds))))
