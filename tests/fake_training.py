"""Stands for a training in tests of `anet study run`: starts in an instant, keeps the lock, obeys, fails when told to.

What it does is told by the seed of its run: 0 to 6 finish at once, 7 fails with a reason, 8 is killed, 9 works until
its standard input closes and then says so, 10 finds another process at work, 11 does so once and then fails.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

from anet.results import place

job = json.loads(sys.argv[1])
run, seed = job["run"], job["run"]["seed"]
base = Path(job["runs"]) / place(**run)
base.mkdir(parents=True, exist_ok=True)
diary, result = Path(f"{base}.diary"), Path(job["results"]) / f"{place(**run)}.json"


def write(outcome, reason=""):
    diary.write_text(json.dumps([{"began": 1.0, "ended": 2.0, "outcome": outcome, "reason": reason}]))


with open(f"{base}.lock", "a") as stream:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(75)
    if result.exists():
        sys.exit(0)
    with open(base / "began", "a") as began:
        began.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']} {sorted(os.sched_getaffinity(0))}\n")
    if seed == 7:
        write("failed", "loss is nan")
        sys.exit(2)
    if seed == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 9:
        sys.stdin.buffer.read()
        (base / "stopped").touch()
        sys.exit(130)
    if seed == 11 and (base / "began").read_text().count("\n") > 1:
        write("failed", "loss is nan")
        sys.exit(2)
    if seed in (10, 11):
        sys.exit(75)
    time.sleep(0.2)  # so that two starters meet
    content = json.loads(Path(os.environ["RESULT"]).read_text())
    content["model"]["recipe"]["epochs"] = run["epochs"] or 100
    content["model"]["seed"] = seed
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(content))
