"""The one file that is made of the runtime's modules is as good as they are (C4)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import backend_retrofit_runtime
from backend_retrofit.codemods.blocks.runtime_file import runtime_options, runtime_source
from backend_retrofit.codemods.blocks.templates import inline_runtime
from backend_retrofit_runtime.options import OPTIONS
from test.runtime.processes import run_python

ROOT = Path(__file__).resolve().parents[2]
CORE = "test_settings test_queue test_async test_backoff test_beyond test_keys test_streams test_one_layer test_server_word"
ERRORS = ("QueueError", "RequestQueueFull", "RequestTimeout", "QueueClosed", "CircuitOpen")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("assembled") / "_request_engine.py"
    path.write_text(runtime_source())
    return path


def check(*command: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.timeout(400)
def test_the_file_passes_the_tests_of_the_runtime():
    tests = [f"test/runtime/{name}.py" for name in CORE.split()]
    check("pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "test.runtime_package.assembled", *tests)


def test_the_file_is_linted_and_formatted(file):
    check("ruff", "check", "--config", ROOT / "pyproject.toml", file)
    check("ruff", "format", "--check", "--config", ROOT / "pyproject.toml", file)
    check("black", "--quiet", "--check", "--line-length", "110", file)


@pytest.mark.timeout(300)
def test_the_file_is_typed(file):
    check("mypy", "--strict", "--python-version", "3.10", file)


def test_the_file_imports_nothing_but_the_standard_library(file):
    imports = [
        line.split()[1] for line in runtime_source().splitlines() if line.startswith(("import ", "from "))
    ]
    assert {name.partition(".")[0] for name in imports} <= sys.stdlib_module_names


def test_the_table_of_settings_is_the_runtime_s_own():
    """Other tests of this process may have added rows to it."""
    rows = {name: tuple(row)[2:] for name, row in runtime_options().items()}
    assert rows.items() <= {name: tuple(row)[2:] for name, row in OPTIONS.items()}.items()


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_a_default_and_a_neutral_value_are_allowed(option):
    assert option.check(option.default) == option.default
    if option.neutral is not None:
        assert option.check(option.neutral) == option.neutral


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_an_attribute_of_the_engine_and_is_called_so(name):
    error = getattr(backend_retrofit_runtime.RequestEngine, name)
    assert error is getattr(backend_retrofit_runtime, name)
    assert f"{error.__module__}.{error.__qualname__}" == f"backend_retrofit_runtime.RequestEngine.{name}"


PICKLED = """
import pickle, sys
sys.path.insert(0, {folder!r})
from {module} import {engine} as engine
for name in {errors}:
    error = getattr(engine, name)("text")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error) and str(back) == "text", name
try:
    raise engine.RequestQueueFull("full")
except engine.QueueFull as error:
    print(type(error).__qualname__)
"""


@pytest.mark.parametrize("engine", ["RequestEngine", "OtherEngine"])
def test_the_errors_of_a_runtime_inside_a_file_can_be_caught_and_pickled(tmp_path, engine):
    (tmp_path / "client.py").write_text(inline_runtime(engine).code)
    script = PICKLED.format(module="client", engine=engine, errors=ERRORS, folder=str(tmp_path))
    assert run_python(script) == f"{engine}.RequestQueueFull\n"


def test_the_errors_of_a_runtime_beside_a_file_can_be_caught_and_pickled(file):
    script = PICKLED.format(
        module="_request_engine", engine="RequestEngine", errors=ERRORS, folder=str(file.parent)
    )
    assert run_python(script) == "RequestEngine.RequestQueueFull\n"
