"""What is released is what git holds, and the lowest versions allowed are written down."""

import io
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from anet import __version__
from tests.test_examples import load

ROOT = Path(__file__).parent.parent
GIT = {"anet/__init__.py": b"one", "anet/data/splits/a.csv": b"two", "README.md": b"three", ".gitignore": b""}


def compare():
    """Give `.ci/compare.py`, which is no package."""
    return load(ROOT / ".ci" / "compare.py")


def release(folder: Path, wheel: dict[str, bytes], sdist: dict[str, bytes]) -> Path:
    """Pack a wheel and an sdist as setuptools does."""
    with zipfile.ZipFile(folder / "anet_inspect-1.0-py3-none-any.whl", "w") as packed:
        for name, data in {**wheel, "anet_inspect-1.0.dist-info/RECORD": b"made"}.items():
            packed.writestr(name, data)
    with tarfile.open(folder / "anet_inspect-1.0.tar.gz", "w:gz") as packed:
        made = {"PKG-INFO": b"", "setup.cfg": b"", "anet_inspect.egg-info/SOURCES.txt": b""}
        for name, data in {**sdist, **made}.items():
            about = tarfile.TarInfo(f"anet_inspect-1.0/{name}")
            about.size = len(data)
            packed.addfile(about, io.BytesIO(data))
    return folder


PACKAGE = {name: data for name, data in GIT.items() if name.startswith("anet/")}


def test_a_release_that_is_what_git_holds_passes(tmp_path, capsys):
    folder = release(tmp_path, PACKAGE | {"anet/_kernel.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"}, GIT)
    assert compare().check(folder, GIT) == []
    assert "is compiled, 4 bytes" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("anet/__init__.py", b"other", "anet/__init__.py differs"),
        ("anet/data/splits/a.csv", None, "anet/data/splits/a.csv is missing"),
        ("anet/secret.py", b"x", "anet/secret.py is not in git"),
        ("anet/.env", b"", "anet/.env is not in git"),
    ],
)
def test_each_difference_is_named(tmp_path, kind, name, data, said):
    files = {"wheel": PACKAGE, "sdist": GIT}
    changed = {**files[kind], name: data} if data is not None else {k: v for k, v in files[kind].items() if k != name}
    (found,) = compare().check(release(tmp_path, **{**files, kind: changed}), GIT)
    assert found.endswith(said)


def test_the_lowest_versions_are_the_floors_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [one for name in ("train", "onnx", "export", "bench") for one in extras[name]]
    floors = dict(re.match(r"([\w-]+)>=([\d.]+)", one).groups() for one in wanted)
    lowest = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "constraints-lowest.txt").read_text(), re.M))
    assert lowest.keys() == floors.keys()
    for name, floor in floors.items():
        assert f"{lowest[name]}.".startswith(f"{floor}."), name


def test_the_citation_names_this_version_and_the_papers_authors():
    lines = [line for line in (ROOT / "CITATION.cff").read_text().splitlines() if line.strip()]
    keys = dict(line.split(": ", 1) for line in lines if re.match(r"[a-z-]+: ", line))
    assert {"cff-version", "message", "title", "type", "license", "version"} <= keys.keys()
    assert keys["version"] == __version__
    authors = re.findall(r"family-names: (\w+)", "\n".join(lines))
    assert authors == ["Chen", "Niu", "Yu", "Zhang", "Wang", "Li"]
