"""The house rules that a machine can see: who may import what, where torch lives, what no file may hold."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ANET = ROOT / "anet"
MODULES = sorted(ANET.rglob("*.py"))

# A room is a folder of anet/ or a file directly in it; each row says what it may import besides itself.
GROUND = {"errors", "files", "frame", "image", "provenance", "targets"}
PEOPLE = GROUND | {"data", "scoring", "seen"}  # what training and export stand on, besides nets
BELOW = PEOPLE | {"nets", "training", "export", "runtime", "bench"}
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "targets": {"errors", "files"},
    "frame": {"errors"},
    "provenance": set(),
    "image": {"errors", "files", "frame"},
    "data": GROUND,
    "scoring": GROUND,
    "seen": GROUND | {"data"},
    "runtime": GROUND,
    "nets": {"errors", "frame"},
    "training": PEOPLE | {"nets"},
    "export": PEOPLE | {"nets", "runtime"},  # the runtime's card and engine: an export is compared with torch there
    "paper": BELOW | {"models", "results", "study"},  # on top of all: its tables are of what was trained and measured
    "shipped": GROUND | {"runtime"},
    "study": PEOPLE | {"nets", "training", "runtime", "models", "evaluation", "results"},
    "bench": PEOPLE | {"nets", "training", "export", "runtime"},
    "models": BELOW | {"results", "shipped"},
    "comparing": PEOPLE | {"results", "tables"},
    "results": GROUND | {"training"},  # its recipes: what a run had otherwise than they say now
    "tables": GROUND | {"results"},
    "evaluation": BELOW | {"models"},
    "operating": BELOW | {"models", "evaluation"},
    "auditing": BELOW | {"models", "evaluation"},
    "pack": BELOW | {"models", "evaluation", "pipeline", "shipped"},
    "pipeline": BELOW | {"models", "evaluation", "operating", "results", "shipped"},
    "cli": BELOW
    | {"auditing", "comparing", "models", "pack", "shipped", "evaluation", "operating", "pipeline", "results"}
    | {"study", "paper", "tables"},
    "__init__": set(),
    "__main__": {"cli"},
}

# The rooms inside runtime/, and which of its other modules and rooms each may import.
INNER = {
    "engines": {"card"},  # from bytes of a bundle to probabilities
    "measuring": set(),  # from probabilities to defects
    "verdicts": {"card", "measuring"},  # from defects to a verdict
}

# The only places of a third-party package, as prefixes of paths below anet/.
TORCH = (
    "nets/",
    "training/",
    "export/",
    "paper/",
    "bench/train.py",
    "bench/plain.py",
    "study/",
    "models.py",
)  # models.py: in a function, for threads
HOMES = {
    "torch": TORCH,
    "openvino": ("runtime/engines/", "bench/plain.py", "export/"),
    "onnxruntime": ("runtime/engines/onnx.py",),
    "onnx": ("export/convert.py",),
    "nncf": ("export/quantize.py",),
    "PIL": ("image/",),
    "matplotlib": ("bench/picture.py",),
    "kornia": ("training/augment.py",),
    "lightning_fabric": ("training/",),
    "safetensors": ("training/",),
    "typer": ("cli/",),
}
NOWHERE = (
    *("pickle", "marshal", "shelve", "dill", "joblib", "yaml"),  # a file could run code
    *("socket", "http", "urllib", "requests", "httpx", "ftplib"),  # nothing here calls out
)


def below(path: Path) -> str:
    return path.relative_to(ANET).as_posix()


def room(path: Path) -> str:
    return path.relative_to(ANET).parts[0].removesuffix(".py")


def only_types(node: ast.AST) -> bool:
    """Say whether this is `if TYPE_CHECKING:`, whose body never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    waiting = [tree]
    while waiting:
        yield (node := waiting.pop())
        waiting += [child for child in ast.iter_child_nodes(node) if not only_types(child)][::-1]


def imports_of(source: str) -> list[str]:
    """Give every module that a source imports, in functions too, as dotted names."""
    found = []
    for node in nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            # `from anet import data` means a room, `from anet import __version__` does not
            found += [f"anet.{alias.name}" for alias in node.names] if node.module == "anet" else [node.module or ""]
    return found


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(imports_of(path.read_text()))


def rooms(names: Iterable[str]) -> set[str]:
    """Give the rooms of anet/ among dotted names."""
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "anet" and len(part) > 1 and not part[1].startswith("_")}


def runs_code(source: str) -> list[str]:
    """Give the calls of a source that let a file or a text run code."""
    return [ast.unparse(node) for node in nodes(ast.parse(source)) if isinstance(node, ast.Call) and _runs_code(node)]


def _runs_code(call: ast.Call) -> bool:
    words = {word.arg: ast.unparse(word.value) for word in call.keywords}
    return (
        ast.unparse(call.func) in ("eval", "exec", "__import__", "torch.load", "yaml.load", "os.system")
        or words.get("weights_only", "True") != "True"
        or words.get("allow_pickle", "False") != "False"
        or words.get("shell", "False") != "False"
    )


# directions


def test_every_room_has_its_row_in_the_table_of_arrows():
    assert {room(path) for path in MODULES} == ARROWS.keys()


@pytest.mark.parametrize("name", ARROWS)
def test_a_room_imports_only_what_its_row_allows(name):
    wrong = {
        below(path): sorted(foreign)
        for path in MODULES
        if room(path) == name and (foreign := rooms(imports(path)) - ARROWS[name] - {name})
    }
    assert not wrong


@pytest.mark.parametrize("name", INNER)
def test_a_room_of_the_runtime_imports_only_what_its_row_allows(name):
    paths = [path for path in MODULES if below(path).startswith(f"runtime/{name}/")]
    parts = {tuple(one.split(".")) for path in paths for one in imports(path)}
    inner = {part[2] for part in parts if part[:2] == ("anet", "runtime") and len(part) > 2}
    assert paths and not inner - INNER[name] - {name}


def test_the_arrows_form_no_circle():
    def above(name: str, seen: tuple[str, ...]) -> None:
        assert name not in seen, " -> ".join((*seen, name))
        for other in ARROWS[name]:
            above(other, (*seen, name))

    for name in ("__main__", "__init__"):
        above(name, ())


@pytest.mark.parametrize(("package", "homes"), HOMES.items())
def test_a_third_party_package_stays_at_home(package, homes):
    users = {below(path) for path in MODULES if any(name.split(".")[0] == package for name in imports(path))}
    assert users, f"nobody imports {package}: strike its row"
    assert not [path for path in users if not path.startswith(homes)]


def test_no_module_imports_what_runs_code_or_calls_out():
    used = [(below(path), name) for path in MODULES for name in imports(path) if name.split(".")[0] in NOWHERE]
    assert not used


def test_the_reader_of_imports_sees_them_all():
    source = (
        "import a.b, anet.cli\nfrom anet import data, __version__\nfrom anet.nets.anet import ANet\n"
        "if TYPE_CHECKING:\n    import never\ndef f():\n    import torch.nn\n"
    )
    found = imports_of(source)
    assert found == ["a.b", "anet.cli", "anet.data", "anet.__version__", "anet.nets.anet", "torch.nn"]
    assert rooms(found) == {"cli", "data", "nets"}


# what importing costs


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_that_the_base_install_offers_imports_torch():
    names = (
        "anet", "anet.cli", "anet.data", "anet.data.audit", "anet.data.convert", "anet.data.synthetic",
        "anet.scoring.evaluate", "anet.scoring.report", "anet.evaluation", "anet.models", "anet.operating",
        "anet.pipeline", "anet.results", "anet.tables", "anet.runtime.results", "anet.runtime.inspector",
    )  # fmt: skip
    python(
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
        "assert 'openvino' in sys.modules and sys.modules['openvino_telemetry'] is None\n"
    )


def test_help_imports_nothing_heavy():
    said = python(
        "import sys\n"
        "sys.argv = ['anet', '--help']\n"
        "from anet.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'openvino', 'cv2', 'numpy', 'PIL', 'kornia', 'matplotlib'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    assert "inspect" in said


# files


def test_modules_are_short_and_say_what_they_are_for():
    sources = {below(path): path.read_text() for path in MODULES}
    assert not {name: lines for name, source in sources.items() if (lines := source.count("\n")) > 300}
    assert not [name for name, source in sources.items() if not ast.get_docstring(ast.parse(source))]


def test_no_module_lets_a_file_run_code():
    assert not {below(path): found for path in MODULES if (found := runs_code(path.read_text()))}


@pytest.mark.parametrize(
    "line",
    [
        "eval(x)", "exec(x)", "torch.load(f)", "torch.load(f, weights_only=False)", "g(f, weights_only=w)",
        "yaml.load(f)", "np.load(f, allow_pickle=True)", "run(x, shell=True)",
    ],
)  # fmt: skip
def test_what_runs_code_is_seen(line):
    assert runs_code(line) and not runs_code("network.eval(); np.load(f, allow_pickle=False)")


def tracked() -> list[Path]:
    """Give the text files that git tracks, or will when they are added."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git clone: what is tracked is not known")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


# Written in pieces, so that this file does not hold what it looks for.
UNWANTED = {
    "a path of one machine": r"(?<![\w.])/(?:" + "work|root|home/\\w+)/" + r"|/tmp/" + "venv",
    "the address of a package registry": r"https?://\S*(?:pypi|pythonhosted|"
    + r"pytorch\.org/whl|artifactory)|--(?:extra-)?"
    + "index-url|trusted-"
    + "host",
    "work left undone": r"\b(?:TO" + "DO|FIX" + "ME|X" + r"XX)\b",
}


@pytest.mark.parametrize("what", UNWANTED)
def test_no_tracked_file_holds(what):
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if re.search(UNWANTED[what], line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found


def test_what_is_unwanted_is_seen():
    path, registry, undone = (re.compile(pattern).search for pattern in UNWANTED.values())
    assert path("see /" + "work/main") and path("in /" + "root/x") and not path("frame/work/x")
    assert registry("https://" + "pypi.org/x") and not registry("https://example.org/a")
    assert undone("# TO" + "DO: later") and not undone("METHODS")


# what is printed for people


def tree() -> str:
    """Give the picture of the files in README.md."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    found = [block for block in blocks if block.startswith("anet/")]
    assert len(found) == 1, "README.md needs one code block that starts with anet/"
    return found[0]


def test_every_file_that_readmes_tree_names_exists():
    missing = []
    for line in tree().splitlines():
        head = re.match(r"[\s│├└─|`-]*((?:[\w.-]+/)+)", line)
        folder = head.group(1).removeprefix("anet/") if head else ""
        for name in re.findall(r"[\w*/.-]*[\w*]\.(?:py|csv|toml)\b", line):
            places = (f"{folder}{name}", f"{folder}**/{name.removeprefix(folder)}") if folder else (name, f"**/{name}")
            if not any(any(ANET.glob(place)) for place in places) and not any(ROOT.glob(name)):
                missing.append(f"{name} in: {line.strip()}")
    assert not missing


def test_readmes_tree_names_every_folder_of_modules_and_every_file_beside_them():
    drawn = tree()
    names = [f"{path.parent.name}/" for path in ANET.rglob("__init__.py") if path.parent != ANET]
    names += [path.name for path in ANET.glob("*.py")]
    assert not [name for name in names if name not in drawn]


PINNED = re.search(r"^typer==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]


@pytest.mark.skipif(version("typer") != PINNED, reason="the page is printed with the pinned typer")
def test_the_page_of_the_command_line_is_up_to_date():
    done = subprocess.run([sys.executable, "docs/print_cli.py"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (ROOT / "docs" / "cli.md").read_text() == done.stdout, "run: python docs/print_cli.py > docs/cli.md"
