"""Modules of functions, plain and retrofitted, against the same server: the same answers, retried and within the limit (C13)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backend_retrofit.codemods.model import BLOCKS, FUNCTIONS

from ..loopback import LoopbackServer, Reply
from .check import check_transformed, planned
from .command_line import command_as_text
from .running import module_of

ASKED = (*BLOCKS, FUNCTIONS)
BOUND = 30.0
MODULE = """\
import contextlib

import aiohttp
import httpx
import requests

session = requests.Session()
lines_of = lambda url: requests.get(url).text.splitlines()


def read(url):
    return session.get(url, timeout=10).json()


def pages(url, number):
    for page in range(number):
        yield requests.get(url, params={"page": page}, timeout=10).json()


async def later(url):
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).json()


async def entered(url):
    async with aiohttp.ClientSession() as client:
        async with client.post(url, json={}) as answer:
            return await answer.json()


def streamed(url):
    with httpx.Client() as client, client.stream("GET", url) as answer:
        return b"".join(answer.iter_bytes()).decode()


def outer(url):
    @contextlib.contextmanager
    def inner():
        yield requests.get(url).json()

    with inner() as answer:
        return answer


class Tools:
    @staticmethod
    def read(url):
        return requests.get(url).json()

    @staticmethod
    async def later(url):
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).json()
"""
CALLS = {
    "function": lambda module, url: module.read(url),
    "lambda": lambda module, url: module.lines_of(url),
    "generator": lambda module, url: list(module.pages(url, 2)),
    "coroutine": lambda module, url: asyncio.run(module.later(url)),
    "async with": lambda module, url: asyncio.run(module.entered(url)),
    "stream": lambda module, url: module.streamed(url),
    "nested": lambda module, url: module.outer(url),
    "static method": lambda module, url: module.Tools.read(url),
    "async static method": lambda module, url: asyncio.run(module.Tools.later(url)),
}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


@pytest.fixture(scope="module")
def retrofitted() -> bytes:
    check_transformed(MODULE, blocks=ASKED)
    return planned(MODULE, in_package=False, runtime="shared", blocks=ASKED).after


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_answers_are_the_same_and_a_503_is_retried(call: Any, retrofitted: bytes, server: LoopbackServer):
    server.app = lambda request: Reply(200, {"ok": True})
    plain = call(module_of(MODULE.encode()), server.url)
    module = module_of(retrofitted)
    module._queued.initial_retry_delay = 0
    sent = len(server.requests)
    assert call(module, server.url) == plain
    assert len(server.requests) == 2 * sent
    server.script(Reply(503))
    assert call(module, server.url) == plain
    assert len(server.requests) == 3 * sent + 1


def test_all_of_them_share_the_limit_of_the_module(retrofitted: bytes, server: LoopbackServer):
    server.app = lambda request: Reply(200, {"ok": True})
    module = module_of(retrofitted)
    module._queued.max_concurrent_requests = 2
    with ThreadPoolExecutor(len(CALLS) * 3) as pool:
        done = [pool.submit(call, module, server.url) for call in list(CALLS.values()) * 3]
        assert all(future.result(BOUND) for future in done)
    assert server.most_in_flight <= 2
    assert module._queued.queue_stats()["sent"] == len(server.requests)


def test_a_script_that_makes_requests_while_it_starts_runs_as_before(tmp_path: Path, server: LoopbackServer):
    script = tmp_path / "report.py"
    script.write_text(
        "import sys\n\nimport requests\n\nfirst = requests.get(sys.argv[1]).json()\n\n"
        "if __name__ == '__main__':\n    print(first, requests.get(sys.argv[1]).status_code)\n"
    )
    server.app = lambda request: Reply(200, {"ok": True})
    before = script.read_bytes()

    def run() -> str:
        command = [sys.executable, "report.py", server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    plain = run()
    assert command_as_text("report.py", "--functions", cwd=tmp_path).returncode == 0
    assert b"_queued(requests.get)" in script.read_bytes()
    server.script(Reply(503))
    assert run() == plain
    assert len(server.requests) == 5
    assert command_as_text("report.py", "--remove", cwd=tmp_path).returncode == 0
    assert script.read_bytes() == before


def test_the_summary_offers_it_with_the_number_of_calls(tmp_path: Path):
    (tmp_path / "tasks.py").write_text("import requests\n\n\ndef read(url):\n    return requests.get(url)\n")

    def run(*options: str) -> str:
        return command_as_text("tasks.py", "--check", *options, cwd=tmp_path).stdout

    assert "\n1 call in module functions: --functions would reach it.\n" in run()
    assert "would reach" not in run("--functions")
    (site,) = json.loads(run("--format", "json"))["files"][0]["sites"]
    assert site["of_module"]
