"""The sdist is complete; the wheel works in a clean environment, and beside another package of the same name."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
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


def tracked_files() -> list[str]:
    """Return what belongs to the project, whether it is committed already or not."""
    names = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return [name for name in names if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdists, and with the wheels that were built from them.

    `DISTRIBUTIONS` names one where they are already, of this checkout. They are built without an environment of their
    own for setuptools: that what they ask for is enough for that, `scripts/setup` has shown when it installed them.
    """
    if "DISTRIBUTIONS" in os.environ:
        return Path(os.environ["DISTRIBUTIONS"])
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a checkout")
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"  # so that the build leaves nothing in the checkout
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    build = (sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", "--outdir", folder)
    for distribution in (source, source / "runtime"):
        run(*build, distribution)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("backend_retrofit-*.whl"))


@pytest.fixture(scope="module")
def runtime_wheel(built: Path) -> Path:
    return next(built.glob("backend_retrofit_runtime-*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the commands of an environment that has the wheel and what it asks for.

    It has no pip of its own, and only what the commands import is compiled: both would take longer than the rest.
    That pip installs the checkout is what the test of pre-commit shows.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    run(ROOT / "scripts" / "install", folder / "bin" / "python", wheel)
    return folder / "bin"


def test_the_sdist_has_all_that_the_checkout_has(built):
    with tarfile.open(next(built.glob("backend_retrofit-*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(tracked_files()) - names == set()
    assert not any("__pycache__" in name or name.startswith("docs/_build") for name in names)


def test_wheel_and_sdist_pass_the_checks_of_the_index(built):
    run(sys.executable, "-m", "twine", "check", "--strict", *built.glob("*.whl"), *built.glob("*.tar.gz"))


def test_the_wheels_have_no_stray_files(wheel, runtime_wheel):
    run(sys.executable, "-m", "check_wheel_contents", wheel, runtime_wheel, cwd=ROOT)


def metadata_of(wheel: Path) -> Message:
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(archive.read(name))


@pytest.mark.parametrize("distribution", ["wheel", "runtime_wheel"])
def test_the_metadata_is_complete(distribution, request):
    metadata = metadata_of(request.getfixturevalue(distribution))
    for field in ("Summary", "Author", "Keywords", "License-Expression", "License-File", "Requires-Python"):
        assert metadata[field], field
    assert metadata["Description-Content-Type"] == "text/markdown"
    classifiers = metadata.get_all("Classifier")
    assert "Typing :: Typed" in classifiers
    for version in ("3.10", "3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in classifiers


def test_the_runtime_is_a_distribution_of_the_same_version_that_needs_no_other(wheel, runtime_wheel):
    metadata = metadata_of(runtime_wheel)
    assert metadata["Version"] == metadata_of(wheel)["Version"]
    assert all("extra ==" in needed for needed in metadata.get_all("Requires-Dist") or [])


def test_the_wheel_of_the_runtime_has_its_modules_and_nothing_else(runtime_wheel):
    names = {name for name in zipfile.ZipFile(runtime_wheel).namelist() if ".dist-info/" not in name}
    modules = {path.relative_to(ROOT / "runtime").as_posix() for path in (ROOT / "runtime").rglob("*.py")}
    wanted = {name for name in modules if not name.startswith("build/")} | {"py.typed"}
    assert names == {f"backend_retrofit_runtime/{name}" for name in wanted}


def test_the_runtime_has_the_licence_of_the_project():
    assert (ROOT / "runtime" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_runtime_works_where_nothing_else_is_installed(runtime_wheel, tmp_path):
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    install = (*pip, "install", "--quiet", "--no-index", "--no-compile")
    # What is installed here is of no interest: to look for conflicts with that takes a second.
    run(*install, "--no-warn-conflicts", "--target", tmp_path, runtime_wheel)
    code = (
        "from backend_retrofit_runtime import RequestEngine\n"
        "class Client:\n"
        "    _queued = RequestEngine.entry_point()\n"
        "print(Client()._queued(len)('abc'))"
    )
    assert (
        run(sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}")
        == "3\n"
    )


def test_every_package_says_that_it_is_typed(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for package in (
        "backend_retrofit/codemods",
        "backend_retrofit/runtime",
        "backend_retrofit/templates",
        "ipfs_accelerate_py/api_backends",
    ):
        assert f"{package}/py.typed" in names


def test_the_wheel_has_templates_backends_and_types_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "backend_retrofit/templates/queue.py.j2",
        "backend_retrofit/runtime/gate.py",
        "backend_retrofit/runtime/vendors/requests.py",
        "backend_retrofit/codemods/reporting/page/assets/page.html.j2",
        "backend_retrofit/codemods/reporting/page/assets/page.css",
        "backend_retrofit/codemods/reporting/page/assets/page.js",
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


def test_the_installed_package_can_be_run_by_its_name(clean, tmp_path):
    (tmp_path / "weather.py").write_text(CLIENT)
    run(clean / "python", "-m", "backend_retrofit", "weather.py", cwd=tmp_path)
    assert "_queued" in (tmp_path / "weather.py").read_text()


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
