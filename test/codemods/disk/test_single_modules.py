"""A distribution of single modules is told that the runtime beside one of them has to be packaged, too (C4).

What is said is held against what the build backends do: each builds a wheel, and a warning comes where it lacks the runtime.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from backend_retrofit.codemods.command.main import main

from ..planning.test_file import CLIENT

PROJECT = '[project]\nname = "weather-client"\nversion = "1"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
POETRY = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
MODULES = 'py-modules = ["weather_client"]\n'
BOTH = 'py-modules = ["weather_client", "_request_engine"]\n'
SETUP = "from setuptools import setup\n\nsetup(name='weather-client', version='1', description='', {})\n"

WITHOUT = {
    "py-modules in pyproject.toml": {"pyproject.toml": f"{PROJECT}{SETUPTOOLS}[tool.setuptools]\n{MODULES}"},
    "py_modules in setup.cfg": {
        "setup.cfg": "[metadata]\nname = weather-client\nversion = 1\n[options]\npy_modules =\n    weather_client\n",
        "pyproject.toml": SETUPTOOLS,
    },
    "py_modules in setup.py": {
        "setup.py": SETUP.format("py_modules=['weather_client']"),
        "pyproject.toml": SETUPTOOLS,
    },
    "nothing said to setuptools": {"pyproject.toml": f"{PROJECT}{SETUPTOOLS}"},
    "Flit": {"pyproject.toml": f"{PROJECT}description = ''\n{FLIT}"},
    "Hatch": {"pyproject.toml": f"{PROJECT}{HATCH}"},
    "Poetry": {"pyproject.toml": f"{PROJECT}{POETRY}"},
}
WITH = {
    "both in pyproject.toml": {"pyproject.toml": f"{PROJECT}{SETUPTOOLS}[tool.setuptools]\n{BOTH}"},
    "both in setup.cfg": {
        "setup.cfg": "[metadata]\nname = weather-client\nversion = 1\n[options]\npy_modules = weather_client, _request_engine\n",
        "pyproject.toml": SETUPTOOLS,
    },
    "both in setup.py": {
        "setup.py": SETUP.format("py_modules=['weather_client', '_request_engine']"),
        "pyproject.toml": SETUPTOOLS,
    },
}


def lay_out(folder: Path, files: dict[str, str], module: str = "weather_client.py") -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    path = folder / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'"""Asks for the weather."""\n{CLIENT}')
    return path


def packaged(folder: Path) -> set[str]:
    """Build a wheel as pip does, and return the names of its modules."""
    text = (folder / "pyproject.toml").read_text()
    backend = text.partition('build-backend = "')[2].partition('"')[0]
    pytest.importorskip(
        backend.partition(".")[0], minversion="70.1" if backend.startswith("setuptools") else None
    )
    code = "import importlib, sys; importlib.import_module(sys.argv[1]).build_wheel('dist')"
    (folder / "dist").mkdir()
    command = [sys.executable, "-c", code, backend]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.endswith(".py")}


@pytest.mark.parametrize("files", WITHOUT.values(), ids=WITHOUT)
def test_C4_a_wheel_that_lacks_the_runtime_is_foretold(files, tmp_path, capsys):
    path = lay_out(tmp_path, files)
    assert main([str(path), "--quiet"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: ")
    assert "packages the module weather_client, but not _request_engine" in said
    assert "--runtime package or --runtime inline" in said
    assert packaged(tmp_path) == {"weather_client.py"}


@pytest.mark.parametrize("files", WITH.values(), ids=WITH)
def test_C4_nothing_is_said_where_the_wheel_has_it(files, tmp_path, capsys):
    path = lay_out(tmp_path, files)
    assert main([str(path), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert packaged(tmp_path) == {"weather_client.py", "_request_engine.py"}


@pytest.mark.parametrize("runtime", ["package", "inline"])
def test_C4_nothing_is_said_where_no_file_is_added(runtime, tmp_path, capsys):
    path = lay_out(tmp_path, WITHOUT["py-modules in pyproject.toml"])
    assert main([str(path), "--quiet", "--runtime", runtime]) == 0
    assert capsys.readouterr().err == ""


def test_C4_nor_of_a_package_nor_of_a_script_that_is_not_packaged(tmp_path, capsys):
    lay_out(tmp_path, WITHOUT["py-modules in pyproject.toml"], "weather_client/weather_client.py")
    (tmp_path / "weather_client" / "__init__.py").touch()
    lay_out(tmp_path, {}, "scripts/ask.py")
    assert main([str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_C4_it_is_said_before_anything_is_written(tmp_path, capsys):
    path = lay_out(tmp_path, WITHOUT["py-modules in pyproject.toml"])
    before = path.read_bytes()
    assert main([str(path), "--check", "--quiet"]) == 1
    assert "packages the module weather_client" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_C4_a_second_run_has_nothing_to_say(tmp_path, capsys):
    path = lay_out(tmp_path, WITHOUT["py-modules in pyproject.toml"])
    main([str(path), "--quiet"])
    capsys.readouterr()
    assert main([str(path), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[tool.setuptools]\npy-modules = 3\n",
        "project = 1\n",
        '[project]\nname = "x"\n[build-system]\nbuild-backend = 5\n',
    ],
)
def test_a_pyproject_that_cannot_be_read_says_nothing(text, tmp_path, capsys):
    path = lay_out(tmp_path, {"pyproject.toml": text})
    assert main([str(path), "--quiet"]) == 0
    assert "packages" not in capsys.readouterr().err
