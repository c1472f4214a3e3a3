import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anet.errors import AnetError, ModelError, OptionError, OutputError
from anet.files import UNSEALED, seal
from anet.runtime import settings as module
from anet.runtime.settings import FILE, Settings, host, settings_and_note, settings_for, write_settings

TUNED = Settings("native", "int8", 1, 2, 0.5, 0.125, {"budget_ms": 5.0})


def test_a_bundle_without_settings_leaves_all_to_the_engine(tmp_path):
    assert settings_for(tmp_path) == Settings() == Settings(None, None, 0, 0, None, None, {})


def test_what_was_written_is_read_on_the_same_host(tmp_path):
    path = write_settings(tmp_path, TUNED)
    assert path == tmp_path / FILE and settings_for(tmp_path) == TUNED
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_another_hosts_entry_is_kept_and_not_used(tmp_path, monkeypatch):
    write_settings(tmp_path, TUNED)
    monkeypatch.setattr(module, "host", lambda: "another, 64 cores")
    assert settings_for(tmp_path) == Settings()
    assert settings_and_note(tmp_path)[1].startswith(f"tiles were tuned for {host()}, this is another, 64 cores:")
    write_settings(tmp_path, Settings(threads=64))
    assert settings_for(tmp_path).threads == 64 and not settings_and_note(tmp_path)[1]
    monkeypatch.setattr(module, "host", host)
    assert settings_for(tmp_path) == TUNED and not settings_and_note(tmp_path)[1]


def test_what_changes_no_answer_is_tuned_elsewhere_without_a_word(tmp_path, monkeypatch):
    assert not settings_and_note(tmp_path)[1]
    write_settings(tmp_path, Settings("native", "int8", 1, 2))
    monkeypatch.setattr(module, "host", lambda: "another, 64 cores")
    assert not settings_and_note(tmp_path)[1]


@given(data=st.data())
def test_one_changed_bit_is_noticed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bundle")
    content = bytearray(write_settings(folder, TUNED).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (folder / FILE).write_bytes(content)
    with pytest.raises(ModelError):
        settings_for(folder)


@pytest.mark.parametrize(
    "hosts",
    [[], None, {"here": 3}, {"here": {"threads": -1}}, {"here": {"threads": True}}, {"here": {"precision": 8}}, "here"],
)
def test_a_sealed_file_of_something_else_is_refused_in_one_line(tmp_path, hosts):
    content = {"format": 1, "sha256": UNSEALED, "hosts": hosts}
    (tmp_path / FILE).write_bytes(seal(json.dumps(content).encode()))
    with pytest.raises(ModelError, match=FILE) as caught:
        settings_for(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_newer_format_says_update(tmp_path):
    (tmp_path / FILE).write_bytes(seal(json.dumps({"format": 2, "sha256": UNSEALED, "hosts": {}}).encode()))
    with pytest.raises(ModelError, match="update"):
        settings_for(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": -1},
        {"streams": 1.5},
        {"threads": 10**9},
        {"precision": 8},
        {"measured": 1},
        {"engine": 1},
        {"scale": float("nan")},
        {"scale": 0},
        {"scale": "1"},
        {"overlap": 0.6},
        {"overlap": True},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(OptionError, match=r"found|would work"):
        Settings(**wrong)


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(OutputError, match="gone"):
        write_settings(tmp_path / "gone", TUNED)


def test_settings_never_wait_for_a_pipe(tmp_path):
    import os

    os.mkfifo(tmp_path / FILE)
    with pytest.raises(AnetError):
        settings_for(tmp_path)


def test_two_hosts_that_write_at_once_both_stay(tmp_path, monkeypatch):
    names = threading.local()
    monkeypatch.setattr(module, "host", lambda: names.own)

    def tune(number: int) -> None:
        names.own = f"host {number}"
        write_settings(tmp_path, Settings(threads=number))

    workers = [threading.Thread(target=tune, args=(number,)) for number in range(1, 9)]
    [one.start() for one in workers]
    [one.join() for one in workers]
    assert {key: one["threads"] for key, one in json.loads((tmp_path / FILE).read_bytes())["hosts"].items()} == {
        f"host {number}": number for number in range(1, 9)
    }
