"""The examples run as they stand: each in a process of its own, as a reader would start it."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import openvino
import pytest

from anet.data.synthetic import synthesize
from anet.frame import decide
from anet.image import write_png
from anet.runtime.engine import Engine
from anet.runtime.inspector import Inspector
from anet.shipped import shipped
from tests.test_export import SIZE, exported, frames

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SOURCES = sorted(path for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".cpp", ".txt"))


def run(name: str, *words: Path | str | int, **environment: str) -> subprocess.CompletedProcess:
    """Run an example, with warnings as errors where they are ours."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    settings = {"capture_output": True, "text": True, "timeout": 240, "env": environment}
    return subprocess.run([sys.executable, EXAMPLES / name, *map(str, words)], **settings)


def load(path: Path):
    """Give a file that is in no package as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    """A picture of the network's size, so that nothing is scaled."""
    path = tmp_path_factory.mktemp("picture") / "a.png"
    write_png(path, frames(1)[0])
    return path


def test_an_example_is_short():
    assert len(SOURCES) >= 6
    assert not [path.name for path in SOURCES if path.read_text().count("\n") >= 60]


def test_a_folder_is_inspected_and_a_broken_picture_gets_no_verdict(picture, tmp_path):
    done = run("inspect_folder.py", exported(), picture.parent)
    found = Inspector(exported())(picture)
    assert done.returncode == (found.verdict == "reject"), done.stderr
    assert done.stdout.startswith(f"a.png {found.verdict}") and done.stdout.count("score") == len(found.defects)
    for folder in (tmp_path, tmp_path / "missing"):
        done = run("inspect_folder.py", exported(), folder)
        assert done.returncode == 2 and done.stdout.startswith("no verdict: ") and not done.stderr
    odd = tmp_path / "odd" / os.fsdecode(b"a\xff.png")
    odd.parent.mkdir()
    shutil.copy(picture, odd)
    done = run("inspect_folder.py", exported(), odd.parent, PYTHONIOENCODING="utf-8")
    assert done.returncode == (found.verdict == "reject") and done.stdout.startswith(r"a\xff.png"), done.stderr
    shutil.rmtree(odd.parent)
    (tmp_path / "half.png").write_bytes(picture.read_bytes()[:200])
    done = run("inspect_folder.py", exported(), tmp_path)
    assert done.returncode == 2 and done.stdout.startswith("no verdict: ")


def test_a_network_of_ones_own_is_trained_and_exported(tmp_path):
    """By add_network.py, which calls train_own.py."""
    synthesize(tmp_path / "mine", 12, 64, 0)
    done = run("add_network.py", tmp_path / "mine", tmp_path / "runs", 1, 32)
    assert done.returncode == 0, done.stderr
    (bundle,) = (tmp_path / "runs").glob("*/bundle")
    assert Engine(bundle).card.network == "plain" and "IoU" in done.stdout


def test_model_api_reads_a_bundle_and_marks_what_we_mark(picture):
    done = run("model_api_bundle.py", exported(), picture)
    mask = decide(Engine(exported()).probs(frames(1)[0]), 0.5)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"inclusion: {int(mask.sum())} px"


def test_model_api_reads_a_model_that_ships(picture):
    done = run("model_api_bundle.py", shipped("anet-surface").path, picture)
    assert done.returncode == 0 and done.stdout.endswith(" px\n"), done.stderr


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_cpp_counts_the_same_pixels(tmp_path):
    """Compiled against the headers and libraries of OpenVINO's wheel."""
    home = Path(openvino.__file__).parent
    (library,) = (home / "libs").glob("libopenvino.so*")
    words = ["g++", "-std=c++17", f"-I{home / 'include'}", EXAMPLES / "cpp" / "defects.cpp", library]
    subprocess.run([*words, f"-Wl,-rpath,{home / 'libs'}", "-o", tmp_path / "defects"], check=True, timeout=240)
    frame = frames(1)[0]
    (tmp_path / "a.ppm").write_bytes(b"P6 %d %d 255\n" % (SIZE, SIZE) + frame.tobytes())
    start = [tmp_path / "defects", exported() / "model.xml"]
    done = subprocess.run([*start, tmp_path / "a.ppm", "0.5"], capture_output=True, text=True)
    assert done.stdout.strip() == str(int(decide(Engine(exported()).probs(frame), 0.5).sum())), done.stderr
    (tmp_path / "small.ppm").write_bytes(b"P6 2 2 255\n" + bytes(12))
    done = subprocess.run([*start, tmp_path / "small.ppm", "0.5"], capture_output=True, text=True)
    assert done.returncode == 2 and "no P6 picture" in done.stderr


class Served(BaseHTTPRequestHandler):
    """Stands in for the model server: KServe v2 over REST, pixels as bytes behind the header, answers as JSON."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        size = int(self.headers["Inference-Header-Content-Length"])
        (told,) = json.loads(body[:size])["inputs"]
        assert (self.path, told["name"], told["datatype"]) == ("/v2/models/anet/infer", "image", "UINT8")
        assert told["parameters"]["binary_data_size"] == len(body) - size
        frame = np.frombuffer(body[size:], np.uint8).reshape(told["shape"])[0]
        probs = self.server.engine.probs(frame)[None]
        out = {"name": "probs", "datatype": "FP32", "shape": probs.shape, "data": probs.ravel().tolist()}
        content = json.dumps({"outputs": [out]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def test_the_client_of_a_model_server_finds_what_the_inspector_finds(tmp_path, capsys):
    image = frames(1)[0][: SIZE - 8]  # not scaled: noise stays noise, and something is found
    write_png(tmp_path / "a.png", image)
    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        server.engine = Engine(exported())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        found = load(EXAMPLES / "model_server" / "client.py").main(exported(), tmp_path / "a.png", url)
        server.shutdown()
    wanted = Inspector(exported())(image).defects
    assert [(one.class_name, one.area_px, one.box) for one in found] == [
        (one.class_name, one.area_px, one.box) for one in wanted
    ]
    assert capsys.readouterr().out.count("\n") == len(wanted) > 0


def test_the_configuration_of_the_model_server_names_what_the_client_asks_for():
    (model,) = json.loads((EXAMPLES / "model_server" / "config.json").read_text())["model_config_list"]
    assert f"/v2/models/{model['config']['name']}/infer" in (EXAMPLES / "model_server" / "client.py").read_text()


def test_the_notebook_runs_and_prints_what_it_shows():
    kept = json.loads((EXAMPLES / "paper.ipynb").read_text())
    assert load(ROOT / "docs" / "print_notebook.py").run(kept) == kept, "run: python docs/print_notebook.py"
    assert sum(cell["cell_type"] == "code" and bool(cell["outputs"]) for cell in kept["cells"]) >= 6


def test_the_page_of_examples_shows_all_of_them():
    page = (ROOT / "docs" / "examples.md").read_text()
    shown = [path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert not [path.name for path in shown if path.relative_to(ROOT).as_posix() not in page]
