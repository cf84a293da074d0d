"""The wheel of this checkout works in a clean environment, and beside another package of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLIENT = """\
import requests


class WeatherClient:
    def today(self):
        return requests.get("http://127.0.0.1:9/today", timeout=5).json()
"""

pytestmark = pytest.mark.timeout(400)


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        **options,
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / "codemods").is_dir():
        pytest.skip("this is not a checkout")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    run("git", "clone", "--quiet", ROOT, source)  # so that the build leaves nothing in the checkout
    for name in ("pyproject.toml", "codemods", "templates", "backends"):
        run("cp", "-r", ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the commands of an environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return folder / "bin"


def test_the_wheel_has_templates_backends_and_types_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "backend_retrofit/templates/queue.py.j2",
        "backend_retrofit/templates/request_engine.py",
        "backend_retrofit/codemods/py.typed",
        "ipfs_accelerate_py/api_backends/openai_api.py",
        "ipfs_accelerate_py/api_backends/plain/openai_api.py",
    ):
        assert wanted in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "backend_retrofit",
        "ipfs_accelerate_py",
    }
    assert not any("__pycache__" in name or name.startswith("test") for name in names)
    assert "ipfs_accelerate_py/__init__.py" not in names


def test_the_installed_command_retrofits_a_file_and_takes_it_out_again(clean, tmp_path):
    client = tmp_path / "weather.py"
    client.write_text(CLIENT)
    run(clean / "add-queue-backoff", client, cwd=tmp_path)
    assert "self._queued(requests.get)(" in client.read_text()
    run(clean / "python", client, cwd=tmp_path)
    run(clean / "add-queue-backoff", client, "--check", cwd=tmp_path)
    run(clean / "add-queue-backoff", client, "--remove", cwd=tmp_path)
    assert client.read_text() == CLIENT


def test_the_installed_backends_are_current_and_can_be_imported(clean, tmp_path):
    run(clean / "fix-openai-api-implementation", "--check", cwd=tmp_path)
    code = "from ipfs_accelerate_py.api_backends import openai_api; print(openai_api().max_retries)"
    assert run(clean / "python", "-c", code, cwd=tmp_path) == "5\n"


def test_the_tool_works_beside_a_package_that_is_called_ipfs_accelerate_py(clean, tmp_path):
    other = tmp_path / "other" / "ipfs_accelerate_py"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('the tool imports what it must not')\n")
    (tmp_path / "weather.py").write_text(CLIENT)
    environment = {**os.environ, "PYTHONPATH": str(other.parent)}
    run(clean / "add-queue-backoff", "--api", "all", "--check", cwd=tmp_path, env=environment)
    run(clean / "add-queue-backoff", "weather.py", cwd=tmp_path, env=environment)
    assert "_queued" in (tmp_path / "weather.py").read_text()
