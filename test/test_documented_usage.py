"""The three documented usages (SPEC section 2) and what a newcomer tries first, with the enhanced OpenAI backend."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ipfs_accelerate_py.api_backends import openai_api

from .loopback import LoopbackServer, Reply, Request
from .vendors import openai

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def server():
    with LoopbackServer(openai.app) as server:
        yield server


@pytest.fixture
def api(server):
    api = openai_api(resources={}, metadata={"base_url": server.url + "/v1", "api_key": openai.KEY})
    yield api
    api.close()


def test_the_documented_snippet_works_as_written(api, capsys):
    result = api.chat("gpt-6-luna", [{"role": "user", "content": "Hello"}])
    assert result["choices"][0]["message"]["content"] == "Echo: Hello"

    api.queue_enabled = True
    api.max_concurrent_requests = 10
    api.queue_size = 200
    api.max_retries = 8
    api.initial_retry_delay = 2
    api.backoff_factor = 3
    api.max_retry_delay = 120

    print(len(api.request_queue), api.current_requests, api.max_concurrent_requests)
    assert capsys.readouterr().out == "0 0 10\n"


def test_defaults(api):
    assert (api.queue_enabled, api.max_concurrent_requests, api.queue_size) == (True, 5, 100)
    assert (api.max_retries, api.initial_retry_delay, api.backoff_factor, api.max_retry_delay) == (
        5,
        1,
        2,
        60,
    )


@pytest.mark.parametrize("limit", [5, 1])
def test_200_threads_at_once_never_more_than_the_limit_in_flight_in_order_none_lost(api, server, limit):
    """Five run, a hundred wait, and the 106th and all after it hear at once that the queue is full."""
    api.max_concurrent_requests = limit
    release = threading.Event()

    def app(request: Request) -> Reply:
        release.wait(30)
        return openai.app(request)

    server.app = app
    done: list[int] = []
    full: list[str] = []

    def call(number: int) -> None:
        try:
            answer = api.chat("gpt-6-luna", [{"role": "user", "content": str(number)}])
            assert answer["choices"][0]["message"]["content"] == f"Echo: {number}"
            done.append(number)
        except RuntimeError as error:
            full.append(f"{error}" if isinstance(error, ValueError) else f"not a ValueError: {error}")

    threads = []
    for number in range(200):
        thread = threading.Thread(target=call, args=(number,))
        thread.start()
        threads.append(thread)
        deadline = time.monotonic() + 10
        while (
            api.current_requests + len(api.request_queue) + len(full) <= number
            and time.monotonic() < deadline
        ):
            time.sleep(0.0005)  # so that the threads come in the order of their numbers
    assert (api.current_requests, len(api.request_queue), len(full)) == (limit, 100, 100 - limit)
    release.set()
    for thread in threads:
        thread.join(30)
    assert server.most_in_flight == limit
    assert sorted(done) == list(range(100 + limit))
    assert set(full) == {full[0]}
    assert full[0].startswith("Request queue is full (100 items)")
    arrived = [int(request.json()["messages"][0]["content"]) for request in server.requests]
    if limit == 1:  # of several that are on their way at once, the network may deliver a later one first
        assert arrived == sorted(arrived)
    assert (api.current_requests, len(api.request_queue)) == (0, 0)


def test_429_with_retry_after_2_is_retried_after_two_seconds_and_once(api, server, caplog):
    server.script(Reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "2"}))
    api.chat("gpt-6-luna", HELLO)
    first, second = server.requests
    assert second.at - first.at >= 2
    assert [record.getMessage().partition("; ")[2] for record in caplog.records] == [
        "retry 1/5 in 2 s (Retry-After)"
    ]


def test_a_server_that_always_answers_503_counts_six_requests(api, server):
    server.app = lambda request: Reply(503, {"error": {"message": "overloaded"}})
    api.initial_retry_delay = 0.01
    with pytest.raises(Exception, match="overloaded") as caught:
        api.chat("gpt-6-luna", HELLO)
    assert type(caught.value).__name__ == "OpenAIError"
    assert len(server.requests) == 6


def test_submit_returns_a_future_at_once(api):
    futures = [api.submit(api.chat, "gpt-6-luna", HELLO) for _ in range(20)]
    answers = [future.result(30) for future in futures]
    assert {answer["choices"][0]["message"]["content"] for answer in answers} == {"Echo: Hello"}


def test_senseless_values_are_refused_by_name(api):
    for value in (-1, float("nan"), "5"):
        with pytest.raises(ValueError, match="max_retries"):
            api.max_retries = value
    assert api.max_retries == 5


@pytest.mark.parametrize("missing", ["pytest", "ipfs_accelerate_py"])
def test_the_command_for_the_openai_tests_says_what_to_run_where_something_is_not_installed(
    missing, tmp_path
):
    """pytest is not there after `scripts/enhance`, which installs what the tool needs and no more; nor is the project in
    a Python of one's own."""
    if missing != "pytest":
        (tmp_path / "pytest").symlink_to(Path(pytest.__file__).parent)
    without_packages = [sys.executable, "-S", "-m", "test.apis.test_openai_api"]
    done = subprocess.run(
        without_packages,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{missing} is not installed")
    assert "scripts/test test/backends/test_openai_api.py" in done.stderr
    assert "Traceback" not in done.stderr
