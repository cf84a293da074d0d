"""The examples of docs/examples.md, and the service of docs/sharing.md, each with the server or the worker that it is for, in a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from ..loopback import LoopbackServer, Reply, Request
from ..shared.redis_process import RedisProcess, needs_redis
from ..vendors import openai
from .blocks import ROOT, blocks_of

SECONDS = 90
DELAY_20 = (
    "import tasks; [result.get(timeout=60) for result in [tasks.ask.delay('Hello') for _ in range(20)]]"
)
FILES = {
    block.notes["file"]: block.code
    for page in ("examples.md", "sharing.md")
    for block in blocks_of(ROOT / "docs" / page)
    if "file" in block.notes
}

pytestmark = pytest.mark.timeout(2 * SECONDS)


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}: the extra examples-test")


def slow(request: Request) -> Reply:
    reply = openai.app(request)
    reply.delay = 0.02
    return reply


@pytest.fixture
def api():
    """The API, which refuses one request."""
    with LoopbackServer(slow) as server:
        server.script(openai.error(503, "Overloaded"))
        yield server


@pytest.fixture
def folder(request, tmp_path):
    """A folder with the example that the test is named for."""
    name = request.node.get_closest_marker("example").args[0]
    (tmp_path / Path(name).name).write_text(FILES[name], encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(api, folder):
    """Return a function that starts a module's command in the folder: a context manager, which ends it."""

    @contextlib.contextmanager
    def start(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        with (folder / "log").open("w") as log, subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
            env={**os.environ, "OPENAI_BASE_URL": api.url + "/v1", "OPENAI_API_KEY": openai.KEY, **environment},
        ) as process:  # fmt: skip
            try:
                yield process
            except BaseException:
                print((folder / "log").read_text())
                raise
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()

    return start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[str]) -> str:
    """Wait until a server takes connections, and return its URL."""
    end = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return f"http://127.0.0.1:{port}"
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)


def ask(url: str, calls: int) -> list[requests.Response]:
    """Ask so many questions at once."""

    def one(number: int) -> requests.Response:
        return requests.post(f"{url}/ask", params={"question": f"Question {number}"}, timeout=SECONDS)

    with ThreadPoolExecutor(calls) as callers:
        return list(callers.map(one, range(calls)))


@needs("fastapi", "uvicorn")
@pytest.mark.example("web/app.py")
def test_fastapi_answers_200_requests_at_once_and_the_api_sees_five(run, api):
    port = free_port()
    with run("uvicorn", "app:app", "--port", str(port)) as process:
        answers = ask(wait_for(port, process), 200)
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["answer"] for answer in answers)
    assert len(api.requests) == 201
    assert api.most_in_flight <= 5


@needs("gunicorn")
@pytest.mark.example("wsgi/app.py")
def test_gunicorns_workers_have_a_limit_each(run, api):
    port = free_port()
    options = ["--workers", "2", "--threads", "8", "--preload", "--bind", f"127.0.0.1:{port}"]
    with run("gunicorn", *options, "app:app") as process:
        answers = ask(wait_for(port, process), 40)
    assert {answer.status_code for answer in answers} == {200}
    assert len(api.requests) == 41
    assert api.most_in_flight <= 6


@needs_redis
@needs("celery")
@pytest.mark.example("jobs/tasks.py")
def test_celery_runs_tasks_and_the_backend_retries(run, api, folder):
    with RedisProcess() as redis:
        urls = {"CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url}
        with run("celery", "-A", "tasks", "worker", "--concurrency", "2", **urls):
            asked = subprocess.run(
                [sys.executable, "-c", DELAY_20], cwd=folder, env={**os.environ, **urls}, timeout=SECONDS,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert asked.returncode == 0, asked.stderr
    assert len(api.requests) == 21


@needs_redis
@needs("gunicorn", "celery")
@pytest.mark.example("service/app.py")
def test_two_gunicorns_and_a_celery_have_one_limit(run, api, folder):
    for name in ("clients.py", "tasks.py"):
        (folder / name).write_text(FILES[f"service/{name}"], encoding="utf-8")
    ports = [free_port(), free_port()]
    with RedisProcess() as redis, contextlib.ExitStack() as running:
        urls = {"CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url}
        shared = {**urls, "REQUEST_QUEUE_URL": redis.url}
        pods = []
        for port, loaded in zip(ports, (["--preload"], []), strict=True):
            options = ["--workers", "2", "--threads", "8", *loaded, "--bind", f"127.0.0.1:{port}"]
            pods.append(running.enter_context(run("gunicorn", *options, "app:app", **shared)))
        running.enter_context(run("celery", "-A", "tasks", "worker", "--concurrency", "2", **shared))
        with ThreadPoolExecutor(3) as callers:
            webs = [
                callers.submit(ask, wait_for(port, pod), 40) for port, pod in zip(ports, pods, strict=True)
            ]
            jobs = callers.submit(
                subprocess.run, [sys.executable, "-c", DELAY_20], cwd=folder, env={**os.environ, **urls}, timeout=SECONDS
            )  # fmt: skip
            answers = [answer for web in webs for answer in web.result()]
            assert jobs.result().returncode == 0
        keys = redis.client().keys("request-queue:*")
    assert {answer.status_code for answer in answers} == {200}
    assert len(api.requests) == 101
    assert api.most_in_flight <= 3
    assert len({key.partition("}")[0] for key in keys}) == 1  # one account


@pytest.mark.example("tests/test_answers.py")
def test_the_tests_pass_without_waiting(run, folder):
    plugins = {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"
    }  # the example needs none, and to load all takes a second
    with run("pytest", "-q", "-p", "no:cacheprovider", "test_answers.py", **plugins) as process:
        assert process.wait(SECONDS) == 0, (folder / "log").read_text()
    assert "1 passed" in (folder / "log").read_text()


@needs("nbclient", "ipykernel")
@pytest.mark.example("notebook/cell.py")
def test_a_notebook_shows_a_bar_and_has_all_answers(api, folder, monkeypatch):
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    monkeypatch.setenv("OPENAI_BASE_URL", api.url + "/v1")
    monkeypatch.setenv("OPENAI_API_KEY", openai.KEY)
    cells = [nbformat.v4.new_code_cell(code) for code in (FILES["notebook/cell.py"], "len(answers)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    # A free port may be another test's before the kernel takes it; a socket's file is in the folder, which both have.
    config = Config({"KernelManager": {"transport": "ipc"}})
    monkeypatch.chdir(folder)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, resources=resources, config=config).execute()
    shown = str(notebook.cells[0].outputs)
    assert "100/100" in shown
    assert notebook.cells[1].outputs[0]["data"]["text/plain"] == "100"
    assert len(api.requests) == 101
