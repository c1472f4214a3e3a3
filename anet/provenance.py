"""Where a result comes from: commit, versions and machine, as every run and every result file states them."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import anet

PACKAGES = (
    "torch",
    "lightning-fabric",
    "kornia",
    "safetensors",
    "openvino",
    "nncf",
    "opencv-python-headless",
    "numpy",
    "pillow",
)


def commit() -> str:
    """Give the commit of the source tree that runs, "+" added when it was changed, or "release" outside of one."""
    root = Path(anet.__file__).parent.parent
    if not (root / ".git").exists():
        return f"release {anet.__version__}"
    try:
        git = ["git", "-C", str(root)]
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Give the versions of anet, Python and the packages that can change a result."""
    found = {"anet": anet.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Give processor, usable cores and system."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": cpu, "cores": cores, "system": f"{platform.system()} {platform.machine()}"}
