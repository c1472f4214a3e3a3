"""Time a bundle under settings of OpenVINO, interleaved: `python docs/try_settings.py BUNDLE OUT.json`."""

import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from anet.bench.rounds import Spread, calls_within, interleaved, ms, ratios
from anet.bench.subjects import surfaces
from anet.files import write_json
from anet.provenance import commit, machine, versions
from anet.runtime.card import read_bundle
from anet.runtime.engines.compiled import core, ov

import numpy as np  # isort: skip

FORMAT, ROUNDS, TURN_MS = 1, 8, 120.0
F32 = {"INFERENCE_PRECISION_HINT": "f32"}
ONE, MANY = {**F32, "PERFORMANCE_HINT": "LATENCY"}, {**F32, "PERFORMANCE_HINT": "THROUGHPUT"}
WAYS = {  # what is tried -> settings, pictures in a batch, requests at work at once
    "latency": {
        "LATENCY hint (as the engine does)": (ONE, 1, 1),
        "no hint": (F32, 1, 1),
        "1 stream, 1 thread": ({**F32, "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"}, 1, 1),
        "1 stream, 2 threads": ({**F32, "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "2"}, 1, 1),
        "no pinning of threads": ({**ONE, "ENABLE_CPU_PINNING": "NO"}, 1, 1),
        "denormals as zero": ({**ONE, "CPU_DENORMALS_OPTIMIZATION": "YES"}, 1, 1),
        "bfloat16": ({**ONE, "INFERENCE_PRECISION_HINT": "bf16"}, 1, 1),
    },
    "throughput": {
        "LATENCY hint, one after the other": (ONE, 1, 1),
        "LATENCY hint, 2 requests": (ONE, 1, 2),
        "THROUGHPUT hint": (MANY, 1, 2),
        "THROUGHPUT hint, 4 requests": (MANY, 1, 4),
        "2 streams, 2 threads": ({**F32, "NUM_STREAMS": "2", "INFERENCE_NUM_THREADS": "2"}, 1, 2),
        "THROUGHPUT hint, batch 2": (MANY, 2, 2),
        "THROUGHPUT hint, batch 4": (MANY, 4, 2),
        "THROUGHPUT hint, batch 8": (MANY, 8, 2),
        "no pinning of threads": ({**MANY, "ENABLE_CPU_PINNING": "NO"}, 1, 2),
        "bfloat16": ({**MANY, "INFERENCE_PRECISION_HINT": "bf16"}, 1, 2),
    },
}


def turn(model: ov.Model, settings: dict, batch: int, requests: int) -> Callable[[], float]:
    """Give a function that runs for a while and gives ms a picture."""
    shape = [batch, *list(model.inputs[0].shape)[1:]]
    model.reshape(shape)
    compiled = core().compile_model(model, "CPU", settings)
    waiting = [compiled.create_infer_request() for _ in range(requests)]
    frame = np.ascontiguousarray(np.stack(surfaces(shape[1], shape[2], batch)))

    def run(count: int) -> float:
        started, idle, busy = time.perf_counter(), deque(waiting), deque()
        for _ in range(count):
            if not idle:
                busy[0].wait()
                idle.append(busy.popleft())
            busy.append(idle.popleft())
            busy[-1].start_async({0: frame})
        while busy:
            busy.popleft().wait()
        return (time.perf_counter() - started) * 1000 / (count * batch)

    run(3)
    calls = calls_within(ms(lambda: run(1)), TURN_MS)
    return lambda: run(calls)


def main(bundle: Path, out: Path) -> None:
    """Measure all ways and write them."""
    _, xml, weights = read_bundle(bundle)
    found = {}
    for mode, ways in WAYS.items():
        models = {name: core().read_model(model=xml, weights=weights) for name in ways}
        times = interleaved({name: turn(models[name], *way) for name, way in ways.items()}, ROUNDS)
        first = times[next(iter(ways))]
        found[mode] = {
            name: {"ms": Spread.of(own).to_dict(), "ratio": ratios(first, own).to_dict()} for name, own in times.items()
        }
    facts = {"format": FORMAT, "machine": machine(), "versions": versions(), "commit": commit(), "rounds": ROUNDS}
    write_json(out, {**facts, "settings": found})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
