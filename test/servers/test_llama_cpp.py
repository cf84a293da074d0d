"""The backends against llama.cpp's server: what it has works, and it sees as many requests as we count."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from ipfs_accelerate_py.api_backends._request_engine import RequestEngine

from ..backends.cases import CASES, HELLO
from ..loopback import Reply
from .methods import LLAMA_CPP, PATHS, llama_cpp_calls

pytestmark = [pytest.mark.xdist_group("llama.cpp"), pytest.mark.timeout(200)]

CALLS = [pytest.param(case, call, id=f"{case.name}.{method}") for case, method, call in llama_cpp_calls()]
OPENAI = next(case for case in CASES if case.name == "openai_api")


def made(case, load, url, key=None):
    key = case.answers().KEY if key is None else key
    return getattr(load(case.name), case.name)({}, {}, key, url + PATHS.get(case.name, case.path))


def is_enhanced(api):
    return hasattr(api, "queue_stats")


def test_all_that_is_said_of_the_server_is_called_here():
    called = {(case.name, method) for case, method, _ in llama_cpp_calls()}
    assert called == {(name, method) for name, methods in LLAMA_CPP.items() for method in methods.split()}


@pytest.mark.parametrize(("case", "call"), CALLS)
def test_a_method_makes_one_request_and_is_answered(case, call, load, gateway):
    api = made(case, load, gateway.url)
    assert call(api)
    assert len(gateway.requests) == 1
    if is_enhanced(api):
        stats = api.queue_stats()
        assert (stats["requests"], stats["sent"], stats["retried"], stats["in_flight"]) == (1, 1, 0, 0)
    api.close()


@pytest.mark.parametrize(("case", "call"), CALLS)
def test_what_a_gateway_refuses_is_asked_for_once_more_by_the_enhanced_backend_alone(
    case, call, load, gateway
):
    api = made(case, load, gateway.url)
    gateway.script(Reply(503, {"error": {"message": "Overloaded"}}))
    if is_enhanced(api):
        with RequestEngine.testing():
            assert call(api)
        assert len(gateway.requests) == api.queue_stats()["sent"] == 2
    else:
        try:
            outcome = call(api)
        except case.fails(load(case.name)) as error:
            outcome = error.status
        assert outcome in (503, False)  # False: what asks whether the server is well
        assert len(gateway.requests) == 1
    api.close()


def test_no_more_are_under_way_than_the_limit(load, gateway):
    api = made(OPENAI, load, gateway.url)
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: api.chat("gpt-6-luna", HELLO), range(40)))
    assert all(answer["choices"] for answer in answers)
    assert len(gateway.requests) == 40
    if is_enhanced(api):
        assert gateway.most_in_flight <= api.max_concurrent_requests
    api.close()


def test_a_connection_that_it_closes_after_a_stream_costs_nobody_a_request(load, llama_cpp, caplog):
    """It promises to keep the connection, and closes it. Tried on the server itself, without the gateway."""
    api = made(OPENAI, load, llama_cpp)
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            assert list(api.stream_chat("gpt-6-luna", HELLO))
            assert api.chat("gpt-6-luna", HELLO)
    assert not [record for record in caplog.records if "openai_api" in record.name]
    if is_enhanced(api):
        assert (api.queue_stats()["sent"], api.queue_stats()["retried"]) == (60, 0)
    api.close()


def test_its_refusal_is_in_the_error_and_the_key_is_not(load, gateway):
    api = made(OPENAI, load, gateway.url, key="canary-of-a-wrong-key")
    with pytest.raises(OPENAI.fails(load("openai_api")), match="Invalid API Key") as caught:
        api.chat("gpt-6-luna", HELLO)
    assert caught.value.status == 401
    assert "canary" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert len(gateway.requests) == 1
    api.close()
