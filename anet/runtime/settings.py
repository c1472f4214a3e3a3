"""What `anet tune` found to be best on this machine: `settings.json` in a bundle, sealed, an entry for each host.

The card does not list the file: it changes how a bundle is run on one machine, never what the bundle is.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from anet.errors import ModelError, OptionError, OutputError
from anet.files import UNSEALED, atomic_write, check_seal, printable, read_plain, seal
from anet.provenance import machine
from anet.runtime.tiling import Tiles

FILE = "settings.json"
FORMAT = 1
LARGEST = 2**20  # bytes
MOST = 4096  # threads or streams


@dataclass(frozen=True)
class Settings:
    """How to run a bundle on one machine; the defaults leave every choice to card and engine."""

    engine: str | None = None  # of `anet.runtime.engine.ENGINES`; None: openvino
    precision: str | None = None  # None: the one that the card recommends
    threads: int = 0
    streams: int = 0
    scale: float | None = (
        None  # network pixels for one of the picture, of tiles and dynamic sizes; None: as in training
    )
    overlap: float | None = None  # of tiles, share of a side; None: OVERLAP
    measured: dict[str, Any] = field(default_factory=dict, hash=False)  # budget, time, IoU found when this was chosen

    def __post_init__(self) -> None:
        for name in ("engine", "precision"):
            if not isinstance(getattr(self, name), str | None):
                raise OptionError(f"{name} must be a text: {getattr(self, name)!r:.80} found")
        for name in ("threads", "streams"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
                raise OptionError(f"{name} must be a whole number, 0 (automatic) to {MOST}: {value!r:.80} found")
        if not isinstance(self.measured, dict):
            raise OptionError(f"measured must be a table: {self.measured!r:.80} found")
        _ = self.tiles  # raises OptionError for a scale or an overlap that is none

    @property
    def tiles(self) -> Tiles:
        """How pictures are cut, where they are."""
        return Tiles(self.scale, self.overlap)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def host() -> str:
    """Name this machine by what decides which settings are fast: its processor and the cores that may be used."""
    found = machine()
    return f"{found['cpu']}, {found['cores']} cores, {found['system']}"


def settings_for(bundle: Path | str) -> Settings:
    """Give what was tuned for this machine, or the defaults. Raises ModelError when the file is damaged or foreign."""
    return settings_and_note(bundle)[0]


def settings_and_note(bundle: Path | str) -> tuple[Settings, str]:
    """Give `settings_for`, and a line where tiles were tuned, but for another machine or number of cores; else "".

    Tiles change answers, unlike all else that is tuned. Raises as `settings_for`.
    """
    hosts, here = _hosts(Path(bundle) / FILE), host()
    tuned = [printable(name) for name, one in hosts.items() if one.tiles != Tiles()]
    if not tuned or here in hosts:
        return hosts.get(here, Settings()), ""
    for_whom = f"tiles were tuned for {'; '.join(tuned)}, this is {here}"
    return Settings(), f"{for_whom}: they are as the model says; `anet tune` here"


def write_settings(bundle: Path | str, settings: Settings) -> Path:
    """Write `settings` for this machine into a bundle, other machines' entries kept; give the file.

    Two at once wait for each other. Raises OutputError, and ModelError when what is there is damaged.
    """
    path = Path(bundle) / FILE
    with _alone(path.parent):
        hosts = _hosts(path)
        content = {name: one.to_dict() for name, one in {**hosts, host(): settings}.items()}
        whole = {"format": FORMAT, "sha256": UNSEALED, "hosts": content}
        atomic_write(path, seal(json.dumps(whole, indent=2, allow_nan=False).encode() + b"\n"))
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder itself: no file is left behind, and it ends with the process. Raises OutputError."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OutputError(f"cannot open {printable(folder)}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _hosts(path: Path) -> dict[str, Settings]:
    """Give the settings of all machines that a file holds, none where there is no file."""
    return _read(path) if os.path.lexists(path) else {}


def _read(path: Path) -> dict[str, Settings]:
    name = printable(path)
    content = read_plain(path, LARGEST, ModelError)
    check_seal(content, name)
    try:
        whole = json.loads(content)
        if whole["format"] != FORMAT:
            raise ModelError(f"{name} has format {whole['format']!r:.20}, this anet reads {FORMAT}: update anet")
        known = {one.name for one in fields(Settings)}
        return {
            host: Settings(**{key: found[key] for key in known & found.keys()})
            for host, found in whole["hosts"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{name} is no file of settings: delete it, and `anet tune` again") from error
    except OptionError as error:
        raise ModelError(f"{name}: {error}") from error
