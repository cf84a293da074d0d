"""Type checkers, as strict as they get, see what retrofitted clients give: `with`, settings, `submit`, `map` (C4)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend_retrofit.codemods.command.main import main
from backend_retrofit_runtime.options import OPTIONS

from .docs.blocks import PAGES, blocks_of

ROOT = Path(__file__).resolve().parent.parent
CLIENT = '''\
"""Asks for the weather."""

from asyncio import Future
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping


class Setting:
    """Like `Future`, a name that the runtime has for something else."""

    seen: "Mapping[str, Future[int]]"


class WeatherClient:
    def __init__(self, api_key: str = "") -> None:
        self.api_key = api_key

    def today(self, city: str) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(city, headers={"key": self.api_key}, timeout=3).json()
        return answer

    def temperature(self, city: str, unit: str = "C") -> float:
        return float(requests.get(city, params={"unit": unit}, timeout=3).text)


class Session:
    def __init__(self) -> None:
        self.session = requests.Session()

    def get(self, url: str) -> bytes:
        return self.session.get(url, timeout=3).content

    def close(self) -> None:
        self.session.close()
'''
USE = """\
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from typing_extensions import assert_type
from weather.client import Session, WeatherClient

with WeatherClient("key") as client:
    assert_type(client, WeatherClient)
    assert_type(client.today("Bonn"), dict[str, Any])
    assert_type(client.submit(client.temperature, "Bonn", unit="F"), "Future[float]")
    assert_type(client.map(client.temperature, ["Bonn", "Rome"]), Iterator[float])
    assert_type(client.max_concurrent_requests, int)
    assert_type(client.queue_enabled, bool)
    assert_type(client.current_requests, int)
    assert_type(client.queue_stats(), dict[str, Any])
    client.max_retries = 2
    client.queue_size = None
    client.queue_timeout = 3.5
    client.initial_retry_delay = 0.5
    with client.priority("high"):
        client.today("Bonn")
assert_type(client.close(), None)

with Session() as session:
    assert_type(session, Session)
    assert_type(session.submit(session.get, "x").result(), bytes)


class Patient(WeatherClient):
    max_retries = 9


with Patient() as patient:
    assert_type(patient, Patient)
"""
WRONG = """\
from weather.client import WeatherClient

client = WeatherClient()
client.max_concurrent_requests = "many"
client.submit(client.temperature, 3)
client.map(client.temperature, [b"Bonn"])
"""


DELIVERIES = ("shared", "package", "inline")
RUNTIME = "shared/weather_shared/_request_engine.py"


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project for each way in which the runtime is delivered, and with one for the examples.

    Type checkers read them all at once, as they spend most of their time on the libraries.
    """
    top = tmp_path_factory.mktemp("projects")
    # As it is installed: type checkers do not follow the hooks of an editable install.
    shutil.copytree(ROOT / "runtime", top / "installed" / "backend_retrofit_runtime")
    for delivery in DELIVERIES:
        _lay_out_client(top / delivery, delivery)
    _lay_out_examples(top / "examples")
    return top


def _lay_out_client(project: Path, delivery: str) -> None:
    """Make a package that was retrofitted with the runtime delivered in this way, beside its use."""
    package = project / f"weather_{delivery}"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "client.py").write_text(CLIENT)
    (project / f"use_{delivery}.py").write_text(USE.replace("weather", package.name))
    (project / f"wrong_{delivery}.py").write_text(WRONG.replace("weather", package.name))
    assert main([str(package), "--runtime", delivery, "--quiet"]) == 0


def _files_of(delivery: str) -> list[str]:
    names = (f"use_{delivery}.py", f"wrong_{delivery}.py", f"weather_{delivery}/client.py")
    return [f"{delivery}/{name}" for name in names]


def _lay_out_examples(project: Path) -> None:
    """Make a file of each page of the README and of docs/ whose examples use the backends."""
    shutil.copytree(ROOT / "backends", project / "installed" / "ipfs_accelerate_py" / "api_backends")
    (project / "installed" / "ipfs_accelerate_py" / "__init__.py").touch()
    shutil.copytree(ROOT / "docs" / "samples" / "clients", project / "clients")
    assert main([str(project / "clients"), "--quiet"]) == 0
    for page in PAGES:
        blocks = [block for block in blocks_of(page) if block.language == "python" and block.is_run]
        code = "\n".join(block.code for block in blocks if "file" not in block.notes)
        if "api_backends" in code:
            (project / f"page_{page.stem.lower()}.py").write_text(code, encoding="utf-8")


Said = dict[str, list[str]]
"""What a type checker says of each file: `shared/wrong_shared.py` -> `4: message`."""


@pytest.fixture(scope="module")
def files(top: Path) -> list[str]:
    pages = sorted(path.relative_to(top).as_posix() for path in top.glob("examples/page_*.py"))
    assert len(pages) > 5
    return [*(file for delivery in DELIVERIES for file in _files_of(delivery)), RUNTIME, *pages]


@pytest.fixture(scope="module")
def mypy_said(top: Path, files: list[str]) -> Said:
    pages = ",".join(Path(file).stem for file in files if file.startswith("examples/"))
    (top / "mypy.ini").write_text(
        f"[mypy]\n[mypy-{pages}]\n"  # where nothing is annotated, as examples are
        "allow_untyped_defs = True\nallow_incomplete_defs = True\nallow_untyped_calls = True\ncheck_untyped_defs = True\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir=/dev/null", "--follow-imports=silent", *files],
        cwd=top,
        env={**os.environ, "MYPYPATH": f"installed{os.pathsep}examples/installed"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )  # fmt: skip
    assert f"checked {len(files)} source files" in done.stdout, done.stdout + done.stderr
    said: Said = {file: [] for file in files}
    for file, line, message in re.findall(r"^([^:\n]+):(\d+): (.+)", done.stdout, re.MULTILINE):
        said[file].append(f"{line}: {message}")
    return said


@pytest.fixture(scope="module")
def pyright_said(top: Path, files: list[str]) -> Said:
    environments = [
        {"root": "shared"},
        {"root": "package", "extraPaths": ["installed"]},
        {"root": "inline"},
        {"root": "examples", "extraPaths": ["installed", "examples/installed"]},
    ]
    configuration = {
        "typeCheckingMode": "standard",
        "include": files,
        "strict": [file for file in files if not file.startswith("examples/")],
        "executionEnvironments": environments,
    }
    (top / "pyrightconfig.json").write_text(json.dumps(configuration))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        cwd=top,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] == len(files)
    said: Said = {file: [] for file in files}
    for each in answer["generalDiagnostics"]:
        file = Path(each["file"]).relative_to(top).as_posix()
        said[file].append(f"{each['range']['start']['line'] + 1}: {each['message']}")
    return said


CHECKERS = pytest.mark.parametrize("checker", ["mypy", "pyright"])


@pytest.fixture
def said(request: pytest.FixtureRequest, checker: str) -> Said:
    value: Said = request.getfixturevalue(f"{checker}_said")
    return value


@CHECKERS
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_C4_type_checkers_see_the_types(said, delivery):
    use, _, client = _files_of(delivery)
    assert said[use] == said[client] == []


@CHECKERS
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_C4_type_checkers_see_wrong_use(said, delivery):
    _, wrong, _ = _files_of(delivery)
    assert {line.partition(":")[0] for line in said[wrong]} == {"4", "5", "6"}


@CHECKERS
def test_C4_type_checkers_have_nothing_to_say_of_the_runtime_s_file(said):
    assert said[RUNTIME] == []


# The examples of the README and of docs/ that use the backends.


def unexpected(said: list[str]) -> list[str]:
    """Leave out what is said of settings that no block names, of which checkers cannot know: they are attributes all the same."""
    blocks = (ROOT / "backends" / "openai_api.py").read_text(encoding="utf-8")
    hidden = [f'"{name}"' for name in OPTIONS if f" {name} = " not in blocks]
    return [line for line in said if not any(name in line for name in hidden)]


@CHECKERS
def test_C4_type_checkers_have_nothing_to_say_of_the_docs_examples(said):
    pages = {file: unexpected(lines) for file, lines in said.items() if file.startswith("examples/")}
    assert {file: lines for file, lines in pages.items() if lines} == {}
