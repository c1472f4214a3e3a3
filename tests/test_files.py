"""Writing is all or nothing; a sealed file notices every changed bit; names and cells do no harm."""

import csv
import errno
import io
import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anet import files
from anet.errors import ModelError, OutputError
from anet.files import (
    UNSEALED,
    atomic_write,
    check_seal,
    check_writable,
    csv_text,
    printable,
    replacing,
    seal,
    write_json,
)
from anet.targets import check_target

# writing


def held(folder: Path) -> dict[str, bytes]:
    """Give all files of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("content", ["text äöü", b"\0bytes", "", "not UTF-8: \udcff"])
def test_what_is_written_is_read_back(tmp_path, content):
    atomic_write(tmp_path / "file", content)
    wanted = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    assert held(tmp_path) == {"file": wanted}


def test_folders_on_the_way_are_made(tmp_path):
    atomic_write(tmp_path / "a" / "b" / "file", "x")
    assert held(tmp_path / "a" / "b") == {"file": b"x"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_in_between_leaves_the_old_file_and_nothing_else(tmp_path, error):
    atomic_write(tmp_path / "file", "old")
    with pytest.raises(OutputError if error is OSError else error), replacing(tmp_path / "file") as stream:
        stream.write(b"half of the ne")
        assert len(held(tmp_path)) == 2, "a rename from another disk would not be atomic"
        raise error("in between")
    assert held(tmp_path) == {"file": b"old"}


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    atomic_write(tmp_path / "file", "old")
    with replacing(tmp_path / "file") as stream:
        stream.write(b"new")
        assert (tmp_path / "file").read_text() == "old"
    assert held(tmp_path) == {"file": b"new"}


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "new\nline", "-rf", "%2e%2e", ".tmp-"])
def test_any_name_that_the_disk_takes_works(tmp_path, name):
    atomic_write(tmp_path / name, "x")
    assert held(tmp_path) == {name: b"x"}


def test_a_name_that_is_not_utf8_works(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    atomic_write(path, "x")
    assert path.read_text() == "x"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_an_ordinary_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        atomic_write(tmp_path / "file", "x")
        assert os.umask(mask) == mask, "reading the umask must not change it"
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("target", ["folder", "file/below", "x" * 256])
def test_a_target_that_cannot_be_is_one_error_naming_it(tmp_path, target):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError) as caught:
        atomic_write(tmp_path / target, "x")
    assert target in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("where", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_names_the_new_one(tmp_path, monkeypatch, where):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    atomic_write(tmp_path / "precious.json", "old")
    monkeypatch.setattr(os, where, full)
    with pytest.raises(OutputError, match=r"precious\.json: No space left"):
        atomic_write(tmp_path / "precious.json", "new")
    assert held(tmp_path) == {"precious.json": b"old"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_fills_up_while_it_is_written_to_is_noticed(tmp_path, monkeypatch):
    atomic_write(tmp_path / "precious.json", "old")
    monkeypatch.setattr("anet.files._fresh", lambda folder: (os.open("/dev/full", os.O_WRONLY), f"{folder}/.tmp-x"))
    for flush, content in ((True, b"x"), (False, b"x"), (False, bytes(2**20))):
        with pytest.raises(OutputError, match=r"precious\.json: No space left"):
            atomic_write(tmp_path / "precious.json", content, flush)
    assert held(tmp_path) == {"precious.json": b"old"}


def test_a_new_file_has_the_rights_that_the_umask_leaves_and_nobody_asks_for_it(tmp_path, monkeypatch):
    before = os.umask(0o027)
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("other threads would see it changed"))
    try:
        atomic_write(tmp_path / "file", "x")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_the_order_is_write_flush_rename_flush_the_folder(tmp_path, monkeypatch):
    seen: list[tuple] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        seen.append(("fsync", path, None if path.is_dir() else path.read_text()))
        fsync(handle)

    def note_replace(source: Path, target: Path) -> None:
        seen.append(("replace", Path(source), Path(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    target = tmp_path / "file"
    atomic_write(target, "new")
    temporary = seen[0][1]
    assert temporary.parent == tmp_path and temporary != target
    assert seen == [("fsync", temporary, "new"), ("replace", temporary, target), ("fsync", tmp_path, None)]


def test_json_is_ascii_and_has_no_nan(tmp_path):
    write_json(tmp_path / "file", {"name": "ä\udcff"})
    assert (tmp_path / "file").read_bytes().isascii()
    assert json.loads((tmp_path / "file").read_text()) == {"name": "ä\udcff"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", {"x": float("nan")})
    assert json.loads((tmp_path / "file").read_text()) == {"name": "ä\udcff"}


def test_a_folder_is_proven_writable_without_a_trace(tmp_path):
    assert check_writable(tmp_path / "new") == tmp_path / "new"
    assert held(tmp_path / "new") == {}
    (tmp_path / "file").write_text("x")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(OutputError, match="cannot write into"):
            check_writable(wrong)


def test_a_pipe_or_a_device_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "link"):
        with pytest.raises(OutputError, match="it is no regular file"):
            check_target(tmp_path / name)
        with pytest.raises(OutputError, match="it is no regular file"):
            atomic_write(tmp_path / name, "x")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode) and sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_target_that_is_an_input_is_refused_under_any_name(tmp_path):
    root = tmp_path / "set"
    for name in ("images/a.png", "masks/a.png", "sheet.png", "report.html", "merge.json", "classes.txt"):
        atomic_write(root / name, name)
    (tmp_path / "link.png").symlink_to(root / "images" / "a.png")
    (tmp_path / "again").symlink_to(root)
    a = root / "images" / "a.png"
    for out, one in (
        (a, a), (root / "masks/../images/a.png", a), (tmp_path / "link.png", a), (a, tmp_path / "link.png"), (a, root),
        (tmp_path / "link.png", root), (a, tmp_path / "again"), (root / "classes.txt", root),
        (root / "merge.json", root), (root / "report.html", root / "report.html"),
    ):  # fmt: skip
        with pytest.raises(OutputError, match="inputs are never changed"):
            check_target(out, tmp_path / "other", one)
    for out in (
        None,
        root / "new.png",
        root / "sheet.png",
        root / "report.html",
        "x",
        tmp_path / "a/b",
    ):
        check_target(out, root, tmp_path / "other")
    assert not (tmp_path / "a").exists()
    for out in (root / "images" / "new.png", tmp_path / "again" / "masks" / "below" / "new.TIF"):
        with pytest.raises(OutputError, match="would be one more picture"):
            check_target(out, tmp_path / "other", root)
    check_target(root / "images" / "new.png", root, reports=False)
    for out in (
        root,
        root / "report.html" / "x.json",
        root / "report.html" / "below" / "x.json",
    ):
        with pytest.raises(OutputError, match="cannot write"):
            check_target(out, tmp_path / "other")
    check_target(root / "masks" / "a.png", a)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    for write in (check_writable, lambda folder: atomic_write(folder / "file", "x")):
        with pytest.raises(OutputError, match="Permission denied"):
            write(tmp_path)
    with pytest.raises(OutputError, match="cannot write"):
        check_target(tmp_path / "new" / "x.json")


# seals

EMPTY = b'"sha256": "' + UNSEALED.encode() + b'"'
unsealed = st.builds(lambda a, b: a + EMPTY + b, st.binary(max_size=200), st.binary(max_size=200)).filter(
    lambda content: files.SEAL.search(content).group(1) == UNSEALED.encode()
)


@given(unsealed, st.data())
def test_a_sealed_content_passes_and_any_changed_bit_is_noticed(content, data):
    sealed = seal(content)
    check_seal(sealed, "file")
    assert len(sealed) == len(content)
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    broken = bytearray(sealed)
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ModelError, match="file"):
        check_seal(bytes(broken), "file")


def test_every_single_bit_of_a_sealed_file_is_noticed():
    sealed = seal(b'{"sha256": "' + UNSEALED.encode() + b'", "a": [1, 2], "b": "\xc3\xa4"}\n')
    for bit in range(8 * len(sealed)):
        broken = bytearray(sealed)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ModelError):
            check_seal(bytes(broken), "file")


@given(unsealed, st.data())
def test_a_sealed_content_cut_or_lengthened_is_noticed(content, data):
    sealed = seal(content)
    with pytest.raises(ModelError):
        check_seal(sealed[: data.draw(st.integers(0, len(sealed) - 1))], "file")
    with pytest.raises(ModelError):
        check_seal(sealed + data.draw(st.binary(min_size=1, max_size=9)), "file")


def test_a_seal_inside_json_inside_json_works_as_in_safetensors():
    content = json.dumps({"__metadata__": {"anet": json.dumps({"sha256": UNSEALED, "size": 64})}}).encode()
    sealed = seal(content)
    check_seal(sealed, "file")
    assert json.loads(json.loads(sealed)["__metadata__"]["anet"])["sha256"] != UNSEALED


@pytest.mark.parametrize("content", [b"", b"{}", seal(EMPTY)])
def test_only_an_empty_seal_can_be_filled(content):
    with pytest.raises(ValueError, match="empty sha256"):
        seal(content)


def test_a_file_that_carries_no_seal_is_said_to_be_foreign():
    with pytest.raises(ModelError, match=r"model\.bin carries no checksum: it was not written by anet"):
        check_seal(b"\0" * 100, "model.bin")


# cells and names

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    'a"b',
    "a,b",
    "a\nb",
    "a\rb",
    "a\r\nb",
    "",
    " ",
    "'",
    "ä",
    "<b>",
]


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def harmless(cell: str) -> str:
    return "'" + cell if cell[:1] and cell[0] in "=+-@\t\r'" else cell


@given(st.lists(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8).filter(lambda t: "\0" not in t), min_size=1)))
def test_cells_come_back_as_they_were_but_for_the_quote_before_a_formula(rows):
    assert parsed(csv_text(rows)) == [[harmless(cell) for cell in row] for row in rows]


@given(st.lists(st.text(max_size=6).filter(lambda t: "\0" not in t), min_size=1))
def test_no_cell_starts_a_formula(row):
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in parsed(csv_text([row]))[0])


def test_numbers_stay_numbers():
    assert csv_text([["loss", -1.5, None, 3, True]]) == "loss,-1.5,,3,True\r\n"


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_a_printable_name_is_one_line_that_any_terminal_and_log_takes(name):
    shown = printable(name)
    assert shown.isprintable() and shown.encode("utf-8").decode() == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain ä.png", "plain ä.png"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("bad\udcff", "bad\\xff"),
        ("right\u202eleft", "right\\u202eleft"),
    ],
)
def test_control_bytes_are_escaped(name, shown):
    assert printable(name) == printable(Path(name)) == shown


def test_a_temporary_file_never_outlives_its_process_in_the_system_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))  # does not exist: nothing may go there
    atomic_write(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"
