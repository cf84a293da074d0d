"""The queue of a module, which its functions share (C13): settings, views, limit, retries, copies."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests

from backend_retrofit_runtime import RequestEngine

from ..loopback import LoopbackServer, Reply

BOUND = 20.0
QUICK = {"initial_retry_delay": 0, "retry_jitter": 0}


def test_a_failed_request_is_retried_and_the_last_answer_is_returned(server: LoopbackServer):
    queued = RequestEngine.for_module("shop.tasks", max_retries=2, **QUICK)
    server.script(Reply(503), Reply(200), Reply(503), Reply(503), Reply(503))
    assert queued(requests.get)(server.url).status_code == 200
    assert queued(requests.get)(server.url).status_code == 503
    assert len(server.requests) == 5


def test_all_functions_of_a_module_share_one_limit(server: LoopbackServer):
    queued = RequestEngine.for_module("tasks", max_concurrent_requests=2)
    go = threading.Event()

    def hold(request: object) -> Reply:
        go.wait(BOUND)
        return Reply(200)

    server.app = hold
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(queued(call), server.url) for call in (requests.get, requests.head) * 3]
        deadline = threading.Event()
        for _ in range(int(BOUND / 0.005)):
            if len(queued.request_queue) == 4:
                break
            deadline.wait(0.005)
        assert queued.current_requests == 2
        go.set()
        assert [answer.result(BOUND).status_code for answer in answers] == [200] * 6
    assert server.most_in_flight <= 2


def test_coroutines_share_it_too(server: LoopbackServer):
    queued = RequestEngine.for_module("tasks", max_concurrent_requests=2, max_retries=1, **QUICK)
    server.script(Reply(503))

    async def main() -> list[int]:
        async with httpx.AsyncClient() as client:
            answers = await asyncio.gather(*(queued(client.get)(server.url) for _ in range(6)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200] * 6
    assert asyncio.run(main()) == [200] * 6
    assert server.most_in_flight <= 2
    assert len(server.requests) == 13


def test_settings_are_changed_on_the_queue_itself():
    queued = RequestEngine.for_module("tasks", max_concurrent_requests=5, max_retries=5)
    queued.max_retries = 2
    assert (queued.max_retries, queued.max_concurrent_requests, queued.max_retry_delay) == (2, 5, 60)
    with pytest.raises(ValueError, match="max_retries must be"):
        queued.max_retries = -1
    with pytest.raises(AttributeError, match="no setting 'retries'"):
        queued.retries = 3


def test_one_module_does_not_change_another():
    one, other = (RequestEngine.for_module("tasks", max_retries=5) for _ in range(2))
    one.max_retries = 1
    assert other.max_retries == 5


def test_without_a_setting_of_the_backoff_nothing_is_retried(server: LoopbackServer):
    queued = RequestEngine.for_module("tasks", queue_size=100)
    server.script(Reply(503))
    assert queued(requests.get)(server.url).status_code == 503


@pytest.mark.parametrize(
    ("settings", "error"), [({"retries": 3}, TypeError), ({"max_retries": "3"}, ValueError)]
)
def test_a_senseless_setting_is_refused_where_the_module_is_imported(settings, error):
    with pytest.raises(error, match="retries"):
        RequestEngine.for_module("tasks", **settings)


def test_submit_stats_and_close(server: LoopbackServer):
    queued = RequestEngine.for_module("tasks", queue_size=100)
    assert queued.submit(requests.get, server.url).result(BOUND).status_code == 200
    with queued.priority("high"):
        assert queued(requests.get)(server.url).status_code == 200
    assert queued.queue_stats()["sent"] == 2
    queued.close()
    with pytest.raises(RequestEngine.QueueClosed):
        queued(requests.get)(server.url)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda queue: pickle.loads(pickle.dumps(queue))]
)
def test_a_copy_has_the_settings_and_a_queue_of_its_own(duplicate):
    queued = RequestEngine.for_module("shop.tasks", max_concurrent_requests=7, max_retries=5)
    queued.max_retries = 2
    other = duplicate(queued)
    assert (other.max_concurrent_requests, other.max_retries) == (7, 2)
    assert type(other).__module__ == "shop.tasks"
    assert RequestEngine.of(other) is not RequestEngine.of(queued)
