"""The backends against llama.cpp's server: its limit, its connections, its refusals."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..backends.cases import CASES, HELLO
from .conftest import is_enhanced, made

pytestmark = pytest.mark.timeout(200)

OPENAI = next(case for case in CASES if case.name == "openai_api")


def test_no_more_are_under_way_than_the_limit(load, gateway):
    api = made("llama.cpp", OPENAI, load, gateway.url)
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: api.chat("gpt-6-luna", HELLO), range(40)))
    assert all(answer["choices"] for answer in answers)
    assert len(gateway.requests) == 40
    if is_enhanced(api):
        assert gateway.most_in_flight <= api.max_concurrent_requests
    api.close()


def test_a_connection_that_it_closes_after_a_stream_costs_nobody_a_request(load, llama_cpp, caplog):
    """It promises to keep the connection, and closes it. Tried on the server itself, without the gateway."""
    api = made("llama.cpp", OPENAI, load, llama_cpp)
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            assert list(api.stream_chat("gpt-6-luna", HELLO))
            assert api.chat("gpt-6-luna", HELLO)
    assert not [record for record in caplog.records if "openai_api" in record.name]
    if is_enhanced(api):
        assert (api.queue_stats()["sent"], api.queue_stats()["retried"]) == (60, 0)
    api.close()


def test_its_refusal_is_in_the_error_and_the_key_is_not(load, gateway):
    api = made("llama.cpp", OPENAI, load, gateway.url, key="canary-of-a-wrong-key")
    with pytest.raises(OPENAI.fails(load("openai_api")), match="Invalid API Key") as caught:
        api.chat("gpt-6-luna", HELLO)
    assert caught.value.status == 401
    assert "canary" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert len(gateway.requests) == 1
    api.close()
