"""Type checkers, as strict as they get, see what retrofitted clients give: `with`, settings, `submit`, `map` (C4)."""

from __future__ import annotations

import json
import os
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


@pytest.fixture(scope="module", params=["shared", "package", "inline"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that was retrofitted with the runtime delivered in each way, beside its use."""
    top = tmp_path_factory.mktemp(request.param)
    package = top / "weather"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "client.py").write_text(CLIENT)
    (top / "use.py").write_text(USE)
    (top / "wrong.py").write_text(WRONG)
    (top / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict", "extraPaths": ["installed"]}')
    if (
        request.param == "package"
    ):  # as it is installed: type checkers do not follow the hooks of an editable install
        shutil.copytree(ROOT / "runtime", top / "installed" / "backend_retrofit_runtime")
    assert main([str(package), "--runtime", request.param, "--quiet"]) == 0
    return top


def mypy(project: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir=/dev/null"]
    done = subprocess.run(
        [*command, "--follow-imports=silent", *arguments],
        cwd=project,
        env={**os.environ, "MYPYPATH": str(project / "installed")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.stdout + done.stderr


def pyright(project: Path, *files: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", *files],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] >= len(files)
    return [
        f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in answer["generalDiagnostics"]
    ]


FILES = ("use.py", "wrong.py", "weather/client.py")


@pytest.fixture(scope="module")
def mypy_said(project: Path) -> list[str]:
    """Return where mypy finds errors: `wrong.py:4`."""
    said = mypy(project, *FILES)
    assert "(checked 3 source files)" in said, said
    return [":".join(line.split(":", 2)[:2]) for line in said.splitlines() if ": error: " in line]


@pytest.fixture(scope="module")
def pyright_said(project: Path) -> list[str]:
    """Return where pyright finds errors: `wrong.py:4`."""
    return [":".join(line.split(":", 2)[:2]) for line in pyright(project, *FILES)]


def test_C4_mypy_sees_the_types(mypy_said):
    assert [place for place in mypy_said if not place.startswith("wrong.py:")] == []


def test_C4_pyright_sees_the_types(pyright_said):
    assert [place for place in pyright_said if not place.startswith("wrong.py:")] == []


def test_C4_mypy_sees_wrong_use(mypy_said):
    assert {place for place in mypy_said if place.startswith("wrong.py:")} == {
        f"wrong.py:{line}" for line in (4, 5, 6)
    }


def test_C4_pyright_sees_wrong_use(pyright_said):
    assert {place for place in pyright_said if place.startswith("wrong.py:")} == {
        f"wrong.py:{line}" for line in (4, 5, 6)
    }


# The examples of the README and of docs/ that use the backends.


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "runtime", top / "installed" / "backend_retrofit_runtime")
    shutil.copytree(ROOT / "backends", top / "installed" / "ipfs_accelerate_py" / "api_backends")
    (top / "installed" / "ipfs_accelerate_py" / "__init__.py").touch()
    (top / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard", "extraPaths": ["installed"]}')
    shutil.copytree(ROOT / "docs" / "samples" / "clients", top / "clients")
    assert main([str(top / "clients"), "--quiet"]) == 0
    for page in PAGES:
        blocks = [block for block in blocks_of(page) if block.language == "python" and block.is_run]
        code = "\n".join(block.code for block in blocks if "file" not in block.notes)
        if "api_backends" in code:
            (top / f"page_{page.stem.lower()}.py").write_text(code, encoding="utf-8")
    return top


def unexpected(said: list[str]) -> list[str]:
    """Leave out what is said of settings that no block names, of which checkers cannot know: they are attributes all the same."""
    blocks = (ROOT / "backends" / "openai_api.py").read_text(encoding="utf-8")
    hidden = [f'"{name}"' for name in OPTIONS if f" {name} = " not in blocks]
    return [line for line in said if not any(name in line for name in hidden)]


def test_C4_mypy_has_nothing_to_say_of_the_docs_examples(examples):
    pages = sorted(path.name for path in examples.glob("page_*.py"))
    assert len(pages) > 5
    untyped = ("--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls")  # as examples are
    said = mypy(examples, *untyped, "--check-untyped-defs", *pages).splitlines()
    assert unexpected([line for line in said if ": error: " in line]) == []


def test_C4_pyright_has_nothing_to_say_of_the_docs_examples(examples):
    pages = sorted(path.name for path in examples.glob("page_*.py"))
    assert unexpected(pyright(examples, *pages)) == []
