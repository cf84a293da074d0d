"""R17: several keys or several vendors as one backend, on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
import requests

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.pool import RequestPool
from ipfs_accelerate_py.api_backends import openai_api
from test.loopback import LoopbackServer, Reply, Request
from test.runtime.conftest import Api, until
from test.vendors import openai

NO_MONEY = {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}


class Vendor(Api):
    """A backend with every kind of method."""

    def __init__(self, url: str, key: str, **settings: Any) -> None:
        self.url = url
        super().__init__(api_key=key, **{"max_retries": 3, "initial_retry_delay": 0.01, **settings})

    def _sent(self) -> dict[str, Any]:
        return {"headers": {"Authorization": f"Bearer {self.api_key}"}, "timeout": 20}

    def ask(self, text: str) -> str:
        response = self._queued(requests.post)(self.url, json={"text": text}, **self._sent())
        response.raise_for_status()
        return str(response.json()["key"])

    def pair(self, first: str, second: str, third: str = "") -> str:
        return str(self.response(f"{first} {second} {third}").json()["body"])

    def response(self, data: Any = b"") -> requests.Response:
        answer: requests.Response = self._queued(requests.post)(self.url, data=data, **self._sent())
        return answer

    async def aask(self, text: str) -> str:
        async with httpx.AsyncClient() as client:
            response = await self._queued(client.post)(self.url, json={"text": text}, **self._sent())
        response.raise_for_status()
        return str(response.json()["key"])

    def stream(self) -> Iterator[bytes]:
        response = self._queued(requests.post)(self.url, stream=True, **self._sent())
        response.raise_for_status()
        yield from response.iter_lines()

    async def astream(self) -> AsyncIterator[str]:
        yield await self.aask("")
        yield "end"


class Keys:
    """A server that answers each key as it is told to: "ok", or with a status and headers."""

    def __init__(self) -> None:
        self.replies: dict[str, Callable[[], Reply]] = {}
        self.seen: list[str] = []

    def __call__(self, request: Request) -> Reply:
        key = request.headers.get("Authorization", request.headers.get("authorization", ""))[7:]
        self.seen.append(key)
        if key in self.replies:
            return self.replies[key]()
        return Reply(200, {"key": key, "body": request.body.decode()})


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def server(keys: Keys) -> Iterator[LoopbackServer]:
    with LoopbackServer(keys) as running:
        yield running


@pytest.fixture
def pool_of(server: LoopbackServer) -> Iterator[Callable[..., RequestPool[Vendor]]]:
    made: list[RequestPool[Vendor]] = []

    def make(*names: str, order: Any = "turn", **settings: Any) -> RequestPool[Vendor]:
        made.append(RequestPool([Vendor(server.url, name, **settings) for name in names], order))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def down() -> str:
    """Return the URL of a server that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_R17_equals_take_turns(pool_of: Any) -> None:
    pool = pool_of("a", "b", "c")
    assert [pool.ask("") for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_R17_a_call_goes_to_the_member_that_has_room(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", max_concurrent_requests=1)
    gate = threading.Event()

    def slow() -> Reply:
        assert gate.wait(20)
        return Reply(200, {"key": "a"})

    keys.replies["a"] = slow
    held = pool.submit(pool.ask, "")
    until(lambda: keys.seen == ["a"])
    assert [pool.ask("") for _ in range(4)] == ["b"] * 4
    gate.set()
    assert held.result(20) == "a"


def test_R17_fallback_takes_the_next_only_when_the_one_before_cannot(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", order="fallback")
    assert [pool.ask("") for _ in range(3)] == ["a"] * 3
    keys.replies["a"] = lambda: Reply(429, headers={"Retry-After": "60"})
    assert [pool.ask("") for _ in range(3)] == ["b"] * 3
    assert keys.seen == ["a"] * 4 + ["b"] * 3


def test_R17_fallback_takes_the_next_while_the_rate_of_the_one_before_is_used_up(pool_of: Any) -> None:
    pool = pool_of("a", "b", order="fallback", requests_per_minute=1, rate_burst=1)
    assert [pool.ask(""), pool.ask("")] == ["a", "b"]


@pytest.mark.parametrize("execution", ["caller", "background"])
def test_R17_who_waits_behind_a_cool_down_moves(pool_of: Any, keys: Keys, execution: str) -> None:
    pool = pool_of("a", "b", order="fallback", max_concurrent_requests=1, queue_execution=execution)
    gate = threading.Event()

    def limited() -> Reply:
        assert gate.wait(20)
        return Reply(429, headers={"Retry-After": "60"})

    keys.replies["a"] = limited
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(pool.ask, "") for _ in range(4)]
        submitted = pool.submit(pool.ask, "")
        until(lambda: pool.queue_stats()[0]["waiting"] == 4)
        gate.set()
        assert [future.result(20) for future in [*waiting, submitted]] == ["b"] * 5
    assert keys.seen == ["a"] + ["b"] * 5


def test_R17_a_short_cool_down_is_waited_out(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", order="fallback")
    answers = iter([Reply(429, headers={"Retry-After": "0"}), Reply(200, {"key": "a"})])
    keys.replies["a"] = lambda: next(answers)
    assert pool.ask("") == "a"


@pytest.mark.parametrize(
    "refusal", [Reply(401), Reply(403), Reply(429, NO_MONEY)], ids=["401", "403", "no money"]
)
def test_R17_a_key_that_is_refused_is_out_and_an_error_names_its_place(
    pool_of: Any, keys: Keys, refusal: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pool_of("canary-4711", "b")
    keys.replies["canary-4711"] = lambda: refusal
    assert [pool.ask("") for _ in range(4)] == ["b"] * 4
    assert keys.seen == ["canary-4711"] + ["b"] * 4
    (record,) = [record for record in caplog.records if "of the pool" in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert "member 1 of the pool" in record.getMessage()
    assert "4711" not in caplog.text + repr(pool) + json.dumps(pool.queue_stats())
    assert [member["out"] for member in pool.queue_stats()] == [True, False]


def test_R17_a_member_comes_back_when_it_is_put_back(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", order="fallback")
    keys.replies["a"] = lambda: Reply(401)
    assert pool.ask("") == "b"
    del keys.replies["a"]
    assert pool.ask("") == "b"
    pool.put_back(pool.members[0])
    assert pool.ask("") == "a"


def test_R17_where_all_keys_are_refused_the_caller_sees_the_refusal(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies.update(dict.fromkeys("ab", lambda: Reply(401)))
    for _ in range(2):
        with pytest.raises(requests.HTTPError, match="401"):
            pool.ask("")
    del keys.replies["b"]
    until(lambda: not _fails(pool))
    assert pool.ask("") == "b"


def _fails(pool: Any) -> bool:
    try:
        return pool.ask("") != "b"
    except requests.HTTPError:
        return True


def test_R17_what_is_wrong_with_the_request_is_the_callers(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(400, {"error": {"message": "no such model"}})
    with pytest.raises(requests.HTTPError, match="400"):
        pool.ask("")
    assert keys.seen == ["a"]


def test_R17_a_lost_answer_is_not_asked_for_again_elsewhere(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", max_retries=0)
    keys.replies["a"] = lambda: Reply(502)
    with pytest.raises(requests.HTTPError, match="502"):
        pool.ask("")
    assert keys.seen == ["a"]


@pytest.mark.parametrize("order", ["turn", "fallback"])
def test_R17_a_vendor_that_is_down_is_left_alone(server: LoopbackServer, keys: Keys, order: Any) -> None:
    pool = RequestPool([Vendor(down(), "a"), Vendor(server.url, "b")], order)
    begin = time.monotonic()
    assert [pool.ask("") for _ in range(6)] == ["b"] * 6
    assert pool.queue_stats()[0]["sent"] < 6 or time.monotonic() - begin > 1
    pool.close()


def test_R17_a_response_that_says_no_is_a_refusal_as_well(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(401)
    assert pool.response().json()["key"] == "b"


def test_R17_a_body_is_sent_from_its_beginning_again(pool_of: Any, keys: Keys, tmp_path: Any) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(401)
    (tmp_path / "body").write_bytes(b"all of it")
    with (tmp_path / "body").open("rb") as body:
        assert pool.response(body).json() == {"key": "b", "body": "all of it"}


def test_R17_async_methods(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(429, headers={"Retry-After": "60"})

    async def main() -> list[str]:
        return await asyncio.gather(*[pool.aask("") for _ in range(8)])

    assert asyncio.run(asyncio.wait_for(main(), 30)) == ["b"] * 8


def test_R17_streams_go_elsewhere_before_their_first_part(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(401)
    assert [json.loads(part)["key"] for part in pool.stream()] == ["b"]

    async def parts() -> list[str]:
        return [part async for part in pool.astream()]

    assert asyncio.run(parts()) == ["b", "end"]
    until(lambda: all(member["in_flight"] == 0 for member in pool.queue_stats()))


def test_R17_submit_goes_on_elsewhere(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(403)
    assert [pool.submit(pool.ask, "").result(20) for _ in range(4)] == ["b"] * 4
    with pytest.raises(TypeError, match="a method of the pool"):
        pool.submit(print)


def test_R17_a_submitted_call_that_waits_can_be_cancelled(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", max_concurrent_requests=1)
    gate = threading.Event()

    def slow() -> Reply:
        assert gate.wait(20)
        return Reply(200, {"key": "a"})

    keys.replies["a"] = slow
    held, waits = pool.submit(pool.ask, ""), pool.submit(pool.ask, "")
    until(lambda: keys.seen == ["a"])
    assert waits.cancel()
    assert waits.cancelled()
    gate.set()
    assert held.result(20) == "a"


def test_R17_a_full_queue_is_no_place_to_wait(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", order="fallback", max_concurrent_requests=1, queue_size=0)
    gate = threading.Event()

    def slow() -> Reply:
        assert gate.wait(20)
        return Reply(200, {"key": "a"})

    keys.replies["a"] = slow
    held = pool.submit(pool.ask, "")
    until(lambda: keys.seen == ["a"])
    assert pool.ask("") == "b"
    gate.set()
    assert held.result(20) == "a"


def test_R17_members_may_be_of_several_classes_whose_files_have_a_runtime_of_their_own(
    server: LoopbackServer, keys: Keys
) -> None:
    with LoopbackServer(openai.app) as real:
        pool: Any = RequestPool(
            [
                openai_api(api_key="a", base_url=server.url + "/v1"),
                openai_api(api_key=openai.KEY, base_url=real.url + "/v1"),
            ]
        )
        keys.replies["a"] = lambda: Reply(401, {"error": {"message": "bad key"}})
        for _ in range(3):
            assert pool.chat("gpt-6-luna", [{"role": "user", "content": "Hello"}])
        assert keys.seen == ["a"]
        pool.close()


def test_R17_senseless_pools_are_refused() -> None:
    with pytest.raises(TypeError, match="member 1, object, has no request queue"):
        RequestPool([object()])
    with pytest.raises(ValueError, match="at least one"):
        RequestPool([])
    with pytest.raises(ValueError, match="order"):
        RequestPool([Vendor("", "")], order="random")  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="member 1 of the pool, Vendor, has no method 'sing'"):
        RequestPool([Vendor("", "")]).sing()


def test_R17_a_call_goes_to_the_member_whose_rate_allows_it_first() -> None:
    one, two = (Vendor("http://127.0.0.1:1", key, requests_per_minute=0.001, rate_burst=1) for key in "ab")
    with contextlib.closing(RequestPool([one, two])) as pool:
        callers = [pool.members[n] for n in range(2)]
        assert callers[0].call(len, "abc") == 3
        assert pool.choose_member(set()).api is two
        assert pool.choose_member(set()).api is two


def test_R17_tasks_that_wait_behind_a_cool_down_move(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", order="fallback", max_concurrent_requests=1)
    gate = threading.Event()

    def limited() -> Reply:
        assert gate.wait(20)
        return Reply(429, headers={"Retry-After": "60"})

    keys.replies["a"] = limited

    async def main() -> list[str]:
        waiting = [asyncio.ensure_future(pool.aask("")) for _ in range(4)]
        while pool.queue_stats()[0]["waiting"] < 3:
            await asyncio.sleep(0.001)
        gate.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(asyncio.wait_for(main(), 30)) == ["b"] * 4


class SharedVendor(Vendor):
    shared_queue = RequestEngine.setting("machine")
    shared_account = RequestEngine.setting(None)
    shared_lease = RequestEngine.setting(15)
    shared_timeout = RequestEngine.setting(5)
    shared_fallback = RequestEngine.setting("share")
    shared_fairness = RequestEngine.setting("fifo")


@pytest.mark.parametrize("how", ["submit", "call"])
def test_R17_who_waits_moves_when_another_instance_of_the_account_is_held_back(
    server: LoopbackServer, keys: Keys, how: str
) -> None:
    account = {"shared_account": f"pool-{server.url}-{how}", "max_concurrent_requests": 1}
    other, first = (SharedVendor(server.url, key, **account) for key in ("other", "a"))
    pool = RequestPool([first, Vendor(server.url, "b")], "fallback")
    gate = threading.Event()

    def limited() -> Reply:
        assert gate.wait(20)
        return Reply(429, headers={"Retry-After": "60"})

    keys.replies["other"] = limited
    with ThreadPoolExecutor(2) as threads:
        held = other.submit(other.ask, "")
        until(lambda: keys.seen == ["other"])
        waits = pool.submit(pool.ask, "") if how == "submit" else threads.submit(pool.ask, "")
        until(lambda: pool.queue_stats()[0]["waiting"] == 1)
        gate.set()
        assert waits.result(20) == "b"
        assert pool.ask("") == "b"  # nor does a later one wait there
        assert pool.queue_stats()[0]["hold_seconds"] > 1
        held.cancel()
        for api in (pool, other):
            api.close()


def test_R17_map_gives_results_in_order_and_makes_progress(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", max_concurrent_requests=2)
    keys.replies["a"] = lambda: Reply(200, {"key": "a"}, delay=0.01)
    progress: list[int] = []
    results = list(pool.map(pool.ask, map(str, range(20)), progress.append))
    assert set(results) == {"a", "b"}
    assert progress == [1] * 20
    with pytest.raises(TypeError, match="map takes a method of the pool"):
        pool.map(len, [])


def test_R17_map_keeps_the_order_of_the_items(pool_of: Any) -> None:
    pool = pool_of("a", "b", max_concurrent_requests=2)
    texts = [str(number).encode() for number in range(30)]
    assert [answer.json()["body"].encode() for answer in pool.map(pool.response, texts)] == texts


def test_R17_map_takes_items_without_end_and_drops_what_has_not_begun(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", max_concurrent_requests=1)
    results = pool.map(pool.ask, itertools.repeat(""))
    assert len(list(itertools.islice(results, 5))) == 5
    results.close()
    until(lambda: all(member["in_flight"] == 0 for member in pool.queue_stats()))
    assert len(keys.seen) <= 5 + 2 * 2


def test_R17_map_moves_calls_as_any_other(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b")
    keys.replies["a"] = lambda: Reply(403)
    assert list(pool.map(pool.ask, [""] * 12)) == ["b"] * 12


def test_R17_map_waits_for_room_where_all_queues_are_full(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", "b", max_concurrent_requests=1, queue_size=0)
    gate = threading.Event()

    def slow() -> Reply:
        assert gate.wait(20)
        return Reply(200, {"key": "slow"})

    keys.replies.update(dict.fromkeys("ab", slow))
    held = [pool.submit(pool.ask, "") for _ in range(2)]
    until(lambda: len(keys.seen) == 2)
    with ThreadPoolExecutor(1) as threads:
        mapped = threads.submit(lambda: list(pool.map(pool.ask, [""] * 3)))
        until(lambda: sum(member["waiting"] for member in pool.queue_stats()) == 1)
        gate.set()
        assert mapped.result(20) == ["slow"] * 3
    assert [future.result(20) for future in held] == ["slow"] * 2


def test_R17_map_and_submit_take_a_method_that_has_some_of_its_arguments(pool_of: Any) -> None:
    pool = pool_of("a", "b")
    assert {*pool.map(partial(pool.pair, "first", third="3"), ["2"] * 4)} == {"first 2 3"}
    assert pool.submit(partial(pool.pair, "first"), "second").result(20) == "first second "


def test_R17_map_raises_the_first_error_in_its_place(pool_of: Any, keys: Keys) -> None:
    pool = pool_of("a", max_concurrent_requests=1)
    answers = iter([Reply(200, {"key": "first"}), Reply(400)])
    keys.replies["a"] = lambda: next(answers)
    results = pool.map(pool.ask, [""] * 2)
    assert next(results) == "first"
    with pytest.raises(requests.HTTPError, match="400"):
        next(results)
