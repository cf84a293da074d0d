"""Every block of code in the README and in docs/ is run, or says why it is not."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from ..loopback import LoopbackServer, Reply, Request
from ..vendors import openai
from .blocks import PAGES, ROOT, RUN, SHOWN, Runner, blocks_of
from .forked import forked_command

NOT_RUN = 3
"""How many blocks, or lines of them, are marked as not run. Think twice before raising it."""

pytestmark = pytest.mark.timeout(400)


def app(request: Request) -> Reply:
    """Answer like OpenAI's API below /v1, and like some friendly API elsewhere."""
    if request.path.startswith("/v1/"):
        return openai.app(request)
    return Reply(200, {"path": request.path, "temperature": 21})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return a function that gives a copy of this checkout with a .venv of its own, made at the first call."""
    made: list[Path] = []

    def make() -> Path:
        if not made:
            made.append(_copy_of_checkout(tmp_path_factory.mktemp("checkout") / "backend-retrofit"))
        return made[0]

    return make


def _copy_of_checkout(folder: Path) -> Path:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    site_packages = next((folder / ".venv" / "lib").glob("python*/site-packages"))
    for name, place in {"backend_retrofit/codemods": "codemods", "backend_retrofit/templates": "templates",
                        "ipfs_accelerate_py/api_backends": "backends"}.items():  # fmt: skip
        (site_packages / name).parent.mkdir(exist_ok=True)
        (site_packages / name).symlink_to(folder / place)
    # The packages that it needs are those of the environment that the tests run in.
    (site_packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / ".venv" / ".installed-test").touch()
    return folder


@pytest.fixture(scope="module")
def commands() -> Iterator[str]:
    """Return the folders of the commands, as in PATH."""
    installed = str(Path(sys.executable).parent)
    if not hasattr(os, "fork"):
        yield installed
        return
    with forked_command() as folder:
        yield f"{folder}{os.pathsep}{installed}"


@pytest.fixture
def runner(
    tmp_path: Path, checkout: Callable[[], Path], commands: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runner]:
    """Return a runner in an empty folder, with a key in the environment and all HTTP going to a loopback server."""
    with LoopbackServer(app) as server, contextlib.ExitStack() as stack:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, server.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1,localhost")
        monkeypatch.setattr(urllib.request, "_opener", None)  # `urlopen` keeps the proxy that it finds first
        monkeypatch.setenv("OPENAI_API_KEY", openai.KEY)
        module = importlib.import_module("ipfs_accelerate_py.api_backends.openai_api")
        monkeypatch.setattr(module, "pick_base_url", lambda *args: server.url + "/v1")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        before = set(sys.modules)
        stack.callback(
            lambda: [sys.modules.pop(name) for name in set(sys.modules) - before if _is_of(name, tmp_path)]
        )
        environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path / "home"),
            "NO_COLOR": "1",
            "COLUMNS": "100",
            "SAMPLES": str(ROOT / "docs" / "samples"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{
                f"GIT_{who}_{what}": "you@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }
        monkeypatch.setattr(module.RequestEngine, "listeners", [])
        runner = Runner(tmp_path, checkout, environment)
        stack.callback(stop_exporter, runner)
        yield runner


def _is_of(name: str, folder: Path) -> bool:
    return str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_from_top_to_bottom(page, runner):
    for block in blocks_of(page):
        if block.is_run:
            runner.run(block)


def test_every_block_is_of_a_language_that_is_known_here():
    assert not [b.place for page in PAGES for b in blocks_of(page) if b.language not in RUN | SHOWN]


def test_what_is_not_run_says_why_and_is_counted():
    notes = {b.place: b.notes for page in PAGES for b in blocks_of(page)}
    reasons = {
        place: note[key] for place, note in notes.items() for key in ("not run", "not this") if key in note
    }
    assert all(len(reason.split()) > 2 for reason in reasons.values()), reasons
    assert len(reasons) == NOT_RUN, reasons


def test_most_blocks_are_run():
    """If not, the collector is broken."""
    assert sum(block.is_run for page in PAGES for block in blocks_of(page)) > 5


BEFORE = set(REGISTRY._collector_to_names)


def stop_exporter(runner: Runner) -> None:
    """Stop what the examples for Prometheus have started."""
    if "server" in runner.names:
        runner.names["server"].shutdown()
        runner.names["server"].server_close()
    for collector in set(REGISTRY._collector_to_names) - BEFORE:
        REGISTRY.unregister(collector)


def test_the_example_for_prometheus_serves_the_counts_of_a_backend(runner):
    for block in blocks_of(ROOT / "docs" / "watching.md"):
        if block.language == "python":
            runner.run(block)
    with urllib.request.urlopen(f"http://127.0.0.1:{runner.ports['9464']}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    stats = runner.names["api"].queue_stats()
    assert stats.pop("held_by") == ""
    for key, value in stats.items():
        total = "" if key in ("waiting", "in_flight", "backing_off", "hold_seconds") else "_total"
        assert f'backend_{key}{total}{{backend="openai"}} {float(value)}' in lines
    assert 'backend_sent_total{backend="openai"} 1.0' in lines
