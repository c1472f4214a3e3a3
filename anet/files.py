"""Writing that is all or nothing, and files that carry their own checksum."""

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from anet.errors import AnetError, ModelError, OutputError

SEAL = re.compile(rb'"sha256\\?": ?\\?"([0-9a-f]{64})\\?"')  # also as JSON inside a JSON string
UNSEALED = "0" * 64
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")  # how files end that are read as pictures
# What lies beside pictures, and is passed over without a word.
BESIDE = (".csv", ".db", ".ini", ".json", ".jsonl", ".md", ".part", ".toml", ".txt", ".xml", ".yaml", ".yml")


@contextlib.contextmanager
def replacing(path: Path | str, flush: bool = True) -> Iterator[BinaryIO]:
    """Give a temporary file in the same folder to write to; on success it is fsynced and renamed `path`, else removed.

    A reader sees the old file or the new one, never half of one, and power loss after return loses nothing. Without
    `flush`, for what can be made again, a power cut may leave the file empty; the end of this process may not.
    Raises OutputError, naming path and reason, when the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        if is_special(path):
            raise OSError("it is no regular file")
        folder = os.path.dirname(path)
        handle, temporary = _fresh(folder)
        with open(handle, "wb") as stream:
            yield stream
            if flush:
                stream.flush()
                os.fsync(handle)
        os.replace(temporary, path)
        temporary = None
        if flush:
            sync_folder(Path(folder))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def is_special(path: Path | str) -> bool:
    """Say whether a device or a pipe is there, which a rename would replace by a file."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def atomic_write(path: Path | str, content: bytes | str, flush: bool = True) -> None:
    """Write `content` (text as UTF-8) to `path`, all or nothing; see `replacing`. Raises OutputError."""
    with replacing(path, flush) as stream:
        stream.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, all or nothing. Raises OutputError; NaN is refused with ValueError."""
    atomic_write(path, json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


class Lines:
    """A text file that grows by whole lines under `<path>.part` and gets its name when finished."""

    def __init__(self, path: Path):
        self.path, self.part = path, path.with_name(path.name + ".part")
        self.size = 0

    def __enter__(self) -> "Lines":
        try:
            self.handle = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write {printable(self.part)}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def write(self, text: str) -> None:
        """Append `text` whole, or nothing of it. Raises OutputError: full disk, or the file is gone."""
        self._check_place()
        content = text.encode("utf-8", "surrogateescape")
        try:
            written, reason = os.write(self.handle, content), "the disk is full"
        except OSError as error:
            written, reason = 0, error.strerror
        if written < len(content):
            os.ftruncate(self.handle, self.size)  # half a line would be read as a result
            raise OutputError(f"cannot write {printable(self.part)}: {reason}; {self.size} bytes of it are complete")
        self.size += written

    def finish(self) -> None:
        """Flush to disk and give the file its name. Raises OutputError."""
        self._check_place()
        try:
            os.fsync(self.handle)
            os.rename(self.part, self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise OutputError(f"cannot write {printable(self.path)}: {error.strerror}") from error

    def _check_place(self) -> None:
        """Refuse to go on where another file, or none, has the name by now: its folder was moved, or removed."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self.part), os.fstat(self.handle)):
                return
        raise OutputError(f"cannot write {printable(self.part)}: it was moved or removed while it was written")


def read_plain(path: Path, most: int, error: type[AnetError]) -> bytes:
    """Read a plain file of at most `most` bytes; a FIFO or device is refused without waiting on it. Raises `error`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > most:
                raise error(f"{printable(path)} is no plain file of at most {most} bytes")
            return stream.read()
    except (OSError, ValueError) as reason:
        raise error(f"cannot read {printable(path)}: {getattr(reason, 'strerror', None) or reason}") from reason


@contextlib.contextmanager
def appearing(out: Path, new: bool = False) -> Iterator[Path]:
    """Give an empty folder that becomes `out` at the end, flushed and at once; after an error nothing is left behind.

    A folder that is `out` already is replaced: a reader sees the old one or the new one, and for a moment none. With
    `new` it is refused unless it is empty. Raises OutputError.
    """
    if new:
        check_new(out)
    check_replaceable(out)
    shown, out = printable(out), Path(out).absolute()
    try:
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=out.parent) as parent:
            made, old = Path(parent) / "made", Path(parent) / "old"
            made.mkdir()
            yield made
            for path in made.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    with open(path, "rb") as stream:
                        os.fsync(stream.fileno())
            sync_folder(made)
            try:
                if out.exists() and not new:  # a new one takes the place of an empty folder only
                    out.rename(old)
                made.rename(out)
            except BaseException:  # Ctrl-C, too, would take `old` away with all that is temporary
                if old.exists() and not out.exists():  # else somebody was faster: theirs is whole, too
                    old.rename(out)
                raise
            sync_folder(out.parent)
    except OSError as error:
        raise OutputError(f"cannot write {shown}: {error.strerror or error}") from error


def check_new(out: Path | str, inputs: Iterable[Path | str] = ()) -> None:
    """Refuse a folder to make that lies inside one of `inputs`, or holds something already. Raises OutputError."""
    out = Path(out)
    for one in inputs:
        if out.resolve().is_relative_to(Path(one).resolve()):
            raise OutputError(
                f"{printable(out)} lies inside {printable(one)}: inputs are never changed, choose another folder"
            )
    try:
        if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
            raise OutputError(f"{printable(out)} exists already: give a folder that is new or empty")
    except OSError as error:
        raise OutputError(f"cannot write {printable(out)}: {error.strerror or error}") from error


def check_replaceable(out: Path | str) -> None:
    """Refuse, before minutes of work, a folder that no other could take the place of. Raises OutputError."""
    if os.path.ismount(out):
        raise OutputError(f"{printable(out)} is a mount point, which is never replaced: write beside it and copy")
    try:
        _write_into(Path(out).absolute().parent)
    except OSError as error:
        raise OutputError(f"cannot write {printable(out)}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entry, so that a rename inside it survives power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(folder: Path) -> Path:
    """Make `folder` and prove that a file can be written there, before hours of work. Raises OutputError."""
    folder = Path(folder)
    try:
        _write_into(folder)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error
    return folder


def _write_into(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".tmp-", dir=folder) as stream:
        stream.write(b"x")
        stream.flush()


def sha256(content: bytes) -> str:
    """Give the SHA-256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def check_same(file: Path, digest: str, meanwhile: str) -> None:
    """Refuse a file whose SHA-256 is no longer `digest`: what changed it would be lost. Raises ModelError."""
    try:
        same = sha256(file.read_bytes()) == digest
    except OSError as error:
        raise ModelError(f"cannot read {printable(file)}: {error.strerror}") from error
    if not same:
        raise ModelError(f"{printable(file)} changed while {meanwhile}: nothing was written, try again")


def seal(content: bytes) -> bytes:
    """Fill the first `"sha256": "000…"` of `content` with the SHA-256 of `content` as it stands before filling."""
    found = SEAL.search(content)
    if found is None or found.group(1) != UNSEALED.encode():
        raise ValueError("content to seal needs an empty sha256 field")
    start, end = found.span(1)
    return content[:start] + sha256(content).encode() + content[end:]


def check_seal(content: bytes, name: Path | str) -> None:
    """Check the SHA-256 that `content` carries of itself; any changed bit is noticed. Raises ModelError."""
    found = SEAL.search(content)
    if found is None:
        raise ModelError(f"{name} carries no checksum: it was not written by anet")
    start, end = found.span(1)
    if sha256(content[:start] + UNSEALED.encode() + content[end:]) != found.group(1).decode():
        raise ModelError(f"{name} is damaged: its content does not match its own checksum")


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Give rows as CSV text whose cells a spreadsheet will not run.

    Text starting with = + - @, a tab, a return or a quote gets a leading ': who strips one leading ' has the text back.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")  # as RFC 4180; Python 3.11 leaves a lone \r unquoted otherwise
    for row in rows:
        writer.writerow(
            ["'" + cell if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r'") else cell for cell in row]
        )
    return stream.getvalue()


def hidden(name: str) -> bool:
    """Say whether an entry of a folder is passed over: what archivers and file managers leave behind is no picture."""
    return name.startswith(".") or name == "__MACOSX"


def printable(name: Path | str) -> str:
    """Give a file name as one harmless line for a terminal or a log: control bytes and bad UTF-8 are escaped."""
    text = str(name)
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _fresh(folder: str) -> tuple[int, str]:
    """Open a new file in `folder`, which is made where it is missing: handle and path.

    Its name is short, since the one it will get may have 255 bytes. The system gives it the rights of any new file: to
    ask for the umask is to change it, for other threads, too.
    """
    path = os.path.join(folder, f".tmp-{secrets.token_hex(8)}")
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, new, 0o666), path
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        return os.open(path, new, 0o666), path
