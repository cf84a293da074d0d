"""R2, R3, R4: rates that the server's headers say, and what requests cost in tokens."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from types import SimpleNamespace

import anthropic
import groq
import openai
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.clocks import monotonic
from backend_retrofit_runtime.learnt_rates import LearntRate, readings_in
from backend_retrofit_runtime.usage import tokens_used
from test.loopback import Reply
from test.runtime.conftest import Answer, Api, Flaky, Gated, caller, closed_later, until

DATE = "Wed, 25 Nov 2026 12:00:00 GMT"
EPOCH = 1795608000  # that moment
# As the vendors' pages show them, or as their servers sent them: (headers, [(counts, limit, remaining, reset, is_window)]).
RECORDED = {
    "OpenAI": (
        {
            "x-ratelimit-limit-requests": "5000", "x-ratelimit-remaining-requests": "4999", "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-limit-tokens": "160000", "x-ratelimit-remaining-tokens": "159976", "x-ratelimit-reset-tokens": "9ms",
        },
        [("requests", 5000, 4999, 0.012, False), ("tokens", 160000, 159976, 0.009, False)],
    ),
    "Azure": ({"x-ratelimit-remaining-requests": "119", "x-ratelimit-remaining-tokens": "119984"}, []),
    "Azure since 11/2025": (
        {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "0"},
        [],
    ),
    "Azure, 0 of 0": (
        {"x-ratelimit-limit-tokens": "0", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0"},
        [],
    ),
    "Groq": (
        {
            "x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-requests": "14370", "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-limit-tokens": "18000", "x-ratelimit-remaining-tokens": "17997", "x-ratelimit-reset-tokens": "7.66ms",
        },
        [("requests", 14400, 14370, 179.56, False), ("tokens", 18000, 17997, 0.00766, False)],
    ),
    "Anthropic": (
        {
            "date": DATE,
            "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-25T12:00:01Z",
            "anthropic-ratelimit-input-tokens-limit": "50000", "anthropic-ratelimit-input-tokens-remaining": "49000",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-25T12:00:02Z",
        },
        [("requests", 50, 49, 1, False), ("input tokens", 50000, 49000, 2, False)],
    ),
    "Cerebras": (
        {
            "x-ratelimit-limit-requests-day": "14400", "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-reset-requests-day": "33011.382867097855",
            "x-ratelimit-limit-tokens-minute": "60000", "x-ratelimit-remaining-tokens-minute": "59500",
            "x-ratelimit-reset-tokens-minute": "11.38",
        },
        [("tokens", 60000, 59500, 11.38, False), ("requests", 14400, 14399, 33011.382867, False)],
    ),
    "OpenAI, of a project": (
        {
            "x-ratelimit-limit-project-tokens": "60000", "x-ratelimit-remaining-project-tokens": "57000",
            "x-ratelimit-reset-project-tokens": "3s",
        },
        [("tokens", 60000, 57000, 3, False)],
    ),
    "Groq, input and output": (
        {
            "x-ratelimit-limit-input-tokens": "30000", "x-ratelimit-remaining-input-tokens": "29000", "x-ratelimit-reset-input-tokens": "2s",
            "x-ratelimit-limit-output-tokens": "8000", "x-ratelimit-remaining-output-tokens": "7900", "x-ratelimit-reset-output-tokens": "750ms",
        },
        [("input tokens", 30000, 29000, 2, False), ("output tokens", 8000, 7900, 0.75, False)],
    ),
    "Fireworks": (
        {
            "x-ratelimit-limit-tokens-prompt": "120000", "x-ratelimit-remaining-tokens-prompt": "118000",
            "x-ratelimit-limit-tokens-generated": "6000", "x-ratelimit-remaining-tokens-generated": "5900",
        },
        [("input tokens", 120000, 118000, 1, False), ("output tokens", 6000, 5900, 1, False)],
    ),
    "Mistral": (
        {
            "x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "59",
            "x-ratelimit-limit-tokens-minute": "50000", "x-ratelimit-remaining-tokens-minute": "47500",
            "x-ratelimit-limit-tokens-month": "4000000", "x-ratelimit-remaining-tokens-month": "3950246",
        },
        [("tokens", 50000, 47500, 3, False), ("requests", 60, 59, 1, False)],
    ),
    "Mistral, until 2025": (
        {
            "x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "499000", "ratelimitbysize-reset": "42",
            "x-ratelimitbysize-limit-month": "1000000000", "x-ratelimitbysize-remaining-month": "999999000",
        },
        [("tokens", 500000, 499000, 42, True)],
    ),
    "Mistral, without an allowance": ({"x-ratelimit-limit-req-minute": "0", "x-ratelimit-remaining-req-minute": "0"}, []),
    "Together": (
        {
            "x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "x-ratelimit-reset": "0.1",
            "x-tokenlimit-limit": "3000", "x-tokenlimit-remaining": "2400", "x-tokenlimit-reset": "0.2",
        },
        [("requests", 10, 9, 0.1, False), ("tokens", 3000, 2400, 0.2, False)],
    ),
    "Hugging Face": (
        {"ratelimit": '"api";r=489;t=189', "ratelimit-policy": '"fixed window";"api";q=500;w=300'},
        [("requests", 500, 489, 189, True)],
    ),
    "OpenRouter": (
        {"date": DATE, "x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + 30) * 1000)},
        [("requests", 20, 0, 30, True)],
    ),
    "GitHub": (
        {"date": DATE, "x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4987", "x-ratelimit-reset": str(EPOCH + 1800)},
        [("requests", 5000, 4987, 1800, True)],
    ),
    "GitLab": (
        {"date": DATE, "ratelimit-limit": "600", "ratelimit-remaining": "595", "ratelimit-reset": str(EPOCH + 45)},
        [("requests", 600, 595, 45, True)],
    ),
    "IETF, draft 10": (
        {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
        [("requests", 100, 50, 30, True)],
    ),
    "IETF, draft 7": ({"ratelimit": "limit=100, remaining=50, reset=5"}, [("requests", 100, 50, 5, True)]),
}  # fmt: skip


@pytest.mark.parametrize("vendor", RECORDED)
def test_R2_each_vendors_headers_are_read(vendor):
    headers, expected = RECORDED[vendor]
    found = [(r.counts, r.limit, r.remaining, round(r.reset, 6), r.is_window) for r in readings_in(headers)]
    assert found == expected


NAMES = sorted({name for headers, _ in RECORDED.values() for name in headers})
HOSTILE = [
    "9" * 5000,
    "-5",
    "nan",
    "inf",
    "1_0",
    "",
    "1e9",
    "²",
    "2026-13-45T99:99:99Z",
    "99999999999999",
    object(),
    None,
    b"\xff",
    True,
    ["x"],
]


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(HOSTILE) | st.text(max_size=20)))
def test_R3_garbage_is_ignored(headers):
    rate, level = LearntRate("requests"), ()
    readings = list(readings_in(headers))
    level = rate.learn(level, readings, 0.0, 1000.0, 120)
    assert rate.due(rate.charge(level, 1, 1000.0), 1, 1) < 1000 + 10**6


def learnt(rate, level, limit, remaining, reset, now, since=0.0):
    headers = {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": f"{reset * 1000:.0f}ms",
    }
    return rate.learn(level, list(readings_in(headers)), since, now, 120)


def test_R2_a_bucket_is_started_from_as_it_fills():
    rate = LearntRate("requests")
    level = learnt(rate, (), 10, 1, 0.045, now=100)  # 200 a second, nine used
    level = rate.charge(level, 1, 100)
    assert rate.due(level, 1, 1) == pytest.approx(100.005)


def test_R2_a_day_is_a_bucket_too():
    rate = LearntRate("requests")
    level = learnt(rate, (), 14400, 14370, 179.56, now=100)
    for _ in range(14370):
        assert rate.due(level, 1, 1) <= 100 + 1e-6
        level = rate.charge(level, 1, 100)
    assert rate.due(level, 1, 1) == pytest.approx(100 + 179.56 / 30, abs=0.01)


def test_R3_a_header_only_makes_it_stricter_less_what_was_started_meanwhile():
    rate = LearntRate("requests")
    level = learnt(rate, (), 10, 0, 10, now=100)
    later = learnt(rate, level, 10, 9, 1, now=100)  # an older answer, which comes late
    assert rate.due(later, 1, 1) >= rate.due(level, 1, 1)
    fresh = learnt(rate, (), 10, 5, 5, now=100, since=5)
    assert rate.due(fresh, 1, 1) > 100


def test_R2_a_window_is_not_spread_and_waited_for_when_nothing_remains():
    rate = LearntRate("requests")

    def read(level, remaining, now):
        headers = {"ratelimit": f"limit=100, remaining={remaining}, reset={160 - now}"}
        return rate.learn(level, list(readings_in(headers)), 0.0, now, 120)

    level = read((), 2, 100)
    level = rate.charge(level, 1, 100)
    assert rate.due(level, 1, 1) <= 100
    level = rate.charge(level, 1, 100)
    assert rate.due(level, 1, 1) == 160
    assert rate.due(rate.charge(level, 1, 161), 1, 1) <= 161


def test_R2_a_reset_that_is_the_same_for_all_answers_is_a_windows():
    rate, level = LearntRate("requests"), ()
    for second in range(1, 6):
        level = learnt(rate, level, 100, 100 - second * 20, 60 - second, now=100 + second)
    assert level[0].is_window
    assert rate.due(level, 1, 1) == pytest.approx(160)


def test_R2_what_takes_longer_than_max_retry_after_is_not_waited_for():
    rate = LearntRate("requests")
    headers = {
        "date": DATE,
        "x-ratelimit-limit": "60",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(EPOCH + 3000),
    }
    assert rate.learn((), list(readings_in(headers)), 0.0, 100.0, 120) == ()


@pytest.fixture
def auto():
    api = Api(requests_per_minute="auto", tokens_per_minute="auto")
    yield api
    RequestEngine.of(api).gate.close(join=False)


def test_R2_until_the_first_answer_four_are_in_flight(auto):
    auto.max_concurrent_requests = 10
    gated = Gated()
    callers = [caller(auto.call, gated, n) for n in range(10)]
    until(lambda: gated.now == 4 and len(auto.request_queue) == 6)
    gated.end(1)
    until(lambda: gated.now == 9)
    gated.end(9)
    for each in callers:
        each.result(10)
    assert gated.most >= 9


def test_R3_a_server_that_says_nothing_sets_no_limit_and_one_line_says_so(auto, caplog):
    with caplog.at_level(logging.INFO):
        assert [auto.call(len, "abc") for _ in range(20)] == [3] * 20
    assert [r.levelname for r in caplog.records if "no rate" in r.getMessage()] == ["INFO"]


def test_R2_a_lost_connection_is_no_answer(auto):
    auto.max_retries = 0
    with pytest.raises(ConnectionError):
        auto.call(Flaky(ConnectionError()))
    assert not RequestEngine.of(auto).gate.pace.has_answer


def test_R2_a_refusal_is_one(auto):
    auto.max_retries, auto.max_concurrent_requests = 0, 10
    auto.call(Flaky(Answer(429, RECORDED["OpenAI"][0])))
    assert auto.queue_stats()["learnt_requests_per_minute"] == pytest.approx(5000)
    assert auto.queue_stats()["window"] == 10


class Hostile:
    """A result that raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


def test_R3_a_result_that_raises_harms_nothing(auto):
    assert type(auto.call(Hostile)) is Hostile


def test_R2_a_response_of_requests_teaches(auto, server, caplog):
    server.app = lambda request: Reply(200, b"{}", headers=RECORDED["OpenAI"][0])
    with caplog.at_level(logging.INFO):
        auto.call(requests.get, server.url, timeout=10)
    assert auto.queue_stats()["learnt_requests_per_minute"] == pytest.approx(5000)
    assert any(
        "the server allows 5000 requests per minute" in record.getMessage() for record in caplog.records
    )


CHAT = b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}'
MESSAGE = b'{"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 7, "output_tokens": 5}}'
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("vendor", ["openai", "groq", "anthropic"])
def test_R3_sdks_whose_results_show_no_headers_teach_all_the_same(auto, server, vendor, raw):
    body = MESSAGE if vendor == "anthropic" else CHAT
    server.app = lambda request: Reply(
        200, body, headers={**JSON, **RECORDED["Anthropic" if vendor == "anthropic" else "OpenAI"][0]}
    )
    if vendor == "anthropic":
        messages = closed_later(anthropic.Anthropic(api_key="test-key", base_url=server.url)).messages
        resource, arguments = messages, {"model": "m", "messages": [], "max_tokens": 5}
    else:
        module = openai.OpenAI if vendor == "openai" else groq.Groq
        resource = closed_later(module(api_key="test-key", base_url=server.url)).chat.completions
        arguments = {"model": "m", "messages": []}
    call = (resource.with_raw_response if raw else resource).create
    answer = auto.call(call, **arguments)
    assert (answer.parse() if raw else answer).usage is not None
    expected = 50 if vendor == "anthropic" else 5000
    assert auto.queue_stats()["learnt_requests_per_minute"] == pytest.approx(expected)
    if not raw:  # it is not read for that
        assert RequestEngine.of(auto).gate.pace.means["input tokens"] == 7


@pytest.mark.parametrize(
    "way", ["no retries of the SDK", "no retries of ours", "no method of the SDK", "a partial"]
)
def test_R3_they_teach_whoever_retries(auto, server, way):
    server.app = lambda request: Reply(200, CHAT, headers={**JSON, **RECORDED["OpenAI"][0]})
    retries = 0 if way == "no retries of the SDK" else 2
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url, max_retries=retries))
    if way == "no method of the SDK":
        auto.call(client.post, "/new", body={}, cast_to=object)
    elif way == "a partial":
        auto.call(partial(client.chat.completions.create, model="m"), messages=[])
    else:
        create = auto._queued(client.chat.completions.create, retry=way != "no retries of ours")
        create(model="m", messages=[])
    assert auto.queue_stats()["learnt_requests_per_minute"] == pytest.approx(5000)


def test_R3_the_owners_retries_stay_when_its_headers_are_heard(auto, server):
    answers = [Reply(500, b"{}"), Reply(200, CHAT, headers={**JSON, **RECORDED["OpenAI"][0]})]
    server.app = lambda request: answers.pop(0)
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url, max_retries=1))
    create = auto._queued(client.chat.completions.create, retry=False)
    assert create(model="m", messages=[]).usage.total_tokens == 12
    assert not answers
    assert client.max_retries == 1


def test_R3_so_do_async_ones(auto, server):
    server.app = lambda request: Reply(200, CHAT, headers={**JSON, **RECORDED["OpenAI"][0]})

    async def main():
        async with openai.AsyncOpenAI(api_key="test-key", base_url=server.url) as client:
            return await auto.acall(client.chat.completions.create, model="m", messages=[])

    assert asyncio.run(main()).usage.total_tokens == 12
    assert auto.queue_stats()["learnt_requests_per_minute"] == pytest.approx(5000)


def test_R3_the_owners_client_stays_as_it_was(auto, server):
    server.app = lambda request: Reply(200, CHAT, headers=JSON)
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))
    create = client.chat.completions.create
    before = dict(vars(client))
    auto.call(create, model="m", messages=[])
    auto.call(client.chat.completions.create, model="m", messages=[])
    client.api_key = "another-key"
    auto.call(client.chat.completions.create, model="m", messages=[])
    assert server.requests[-1].headers["authorization"] == "Bearer another-key"
    assert vars(client).keys() == before.keys()
    assert type(client) is openai.OpenAI


@pytest.mark.parametrize(
    ("result", "tokens"),
    [
        ({"usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}, (12, 7, 5)),
        ({"usage": {"input_tokens": 7, "output_tokens": 5}}, (12, 7, 5)),
        ({"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 20}}, (20, 7, 5)),
        ({"prompt_eval_count": 7, "eval_count": 5, "done": True}, (12, 7, 5)),
        (SimpleNamespace(usage=SimpleNamespace(input_tokens=7, output_tokens=5)), (12, 7, 5)),
    ],
)  # fmt: skip
def test_R4_what_was_used_is_read_where_the_answer_says_it(result, tokens):
    assert tuple(tokens_used(result).values()) == tokens


@pytest.mark.parametrize("result", [None, "text", {"usage": "much"}, {"usage": {"total_tokens": "x"}}, {"usage": {"total_tokens": -1}}, object()])  # fmt: skip
def test_R4_else_nothing_is_known(result):
    assert tokens_used(result) == {}


def usage(tokens):
    return lambda: {"usage": {"total_tokens": tokens}}


def debt(api):
    """Return how many tokens are paid for that time has not paid back yet."""
    pace = RequestEngine.of(api).gate.pace
    return pace.levels[0] / pace.rates[0].interval


def test_R4_a_request_costs_what_the_last_ones_did_and_is_corrected():
    api = Api(tokens_per_minute=60, rate_burst=1000)
    start = None
    for tokens in (100, 300):
        before = start if start is not None else 0
        api.call(usage(tokens))
        start = debt(api)
        if before:
            assert start - before == pytest.approx(tokens, abs=1)
    assert 100 < RequestEngine.of(api).gate.pace.means["tokens"] < 300


def test_R4_a_429_has_cost_nothing():
    api = Api(tokens_per_minute=60, rate_burst=1000, max_retries=0)
    api.call(usage(100))
    before = debt(api)
    api.call(lambda: Answer(429))
    assert debt(api) == pytest.approx(before, abs=1)
    api.call(lambda: Answer(500))
    assert debt(api) == pytest.approx(before + 100, abs=1)


@pytest.mark.parametrize("cost", [50, lambda text, model=None: len(text) * 10])
def test_R4_token_cost_overrides(cost):
    api = Api(tokens_per_minute=60, rate_burst=1000, token_cost=cost)
    api.call(lambda text, model=None: {}, "abcde")
    before = debt(api)
    api.call(lambda text, model=None: {}, "abcde", model="m")
    assert debt(api) - before == pytest.approx(50, abs=1)


def events(*items):
    """Return a stream of events as the vendors send it."""
    lines = [
        (f"event: {item['type']}\n" if "type" in item else "") + f"data: {json.dumps(item)}\n\n"
        for item in items
    ]
    return Reply(200, "".join(lines).encode(), headers={"content-type": "text/event-stream"})


CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
CHAT_EVENTS = events(
    CHUNK, {**CHUNK, "usage": {"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120}}
)
MESSAGE_EVENTS = events(
    {"type": "message_start", "message": {**json.loads(MESSAGE), "usage": {"input_tokens": 70, "output_tokens": 1}}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}},
    {"type": "message_stop"},
)  # fmt: skip
RESPONSE = {"id": "1", "object": "response", "created_at": 1, "model": "m", "output": [], "usage": {"input_tokens": 70, "output_tokens": 50, "total_tokens": 120}}  # fmt: skip
RESPONSE_EVENTS = events({"type": "response.completed", "sequence_number": 1, "response": RESPONSE})
STREAMS = {
    "chat of openai": (CHAT_EVENTS, lambda url: closed_later(openai.OpenAI(api_key="k", base_url=url)).chat.completions.create, {"model": "m", "messages": []}),
    "responses of openai": (RESPONSE_EVENTS, lambda url: closed_later(openai.OpenAI(api_key="k", base_url=url)).responses.create, {"model": "m", "input": "x"}),
    "anthropic": (MESSAGE_EVENTS, lambda url: closed_later(anthropic.Anthropic(api_key="k", base_url=url)).messages.create, {"model": "m", "messages": [], "max_tokens": 5}),
}  # fmt: skip


@pytest.fixture
def counted():
    """Return a client whose tokens are counted, and which has spent nothing yet."""
    api = Api(tokens_per_minute=0.6, rate_burst=1000)  # so slow that time pays nothing back
    yield api
    RequestEngine.of(api).gate.close(join=False)


def owed(api):
    """Return how many tokens have been paid for."""
    return debt(api) - monotonic() / RequestEngine.of(api).gate.pace.rates[0].interval


def means(api):
    return RequestEngine.of(api).gate.pace.means


@pytest.mark.parametrize("vendor", STREAMS)
def test_R4_what_an_sdks_stream_has_used_corrects_its_cost(counted, server, vendor):
    reply, method, arguments = STREAMS[vendor]
    server.app = lambda request: reply
    stream = counted.call(method(server.url), stream=True, **arguments)
    assert owed(counted) == pytest.approx(1000, abs=60)  # as estimated
    assert len(list(stream))
    assert owed(counted) == pytest.approx(120, abs=5)
    assert means(counted)["tokens"] == 120
    assert (means(counted)["input tokens"], means(counted)["output tokens"]) == (70, 50)


def test_R4_so_does_that_of_an_async_one(counted, server):
    server.app = lambda request: CHAT_EVENTS

    async def main():
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as client:
            stream = await counted.acall(client.chat.completions.create, model="m", messages=[], stream=True)
            return [chunk async for chunk in stream]

    assert len(asyncio.run(main())) == 2
    assert owed(counted) == pytest.approx(120, abs=5)
    assert means(counted)["tokens"] == 120


OLLAMA = [
    {"message": {"content": "a"}, "done": False},
    {"done": True, "prompt_eval_count": 70, "eval_count": 50},
]
GEMINI = [
    {"candidates": [], "usageMetadata": {"promptTokenCount": 70, "totalTokenCount": 70}},
    {
        "candidates": [],
        "usageMetadata": {"promptTokenCount": 70, "candidatesTokenCount": 50, "totalTokenCount": 120},
    },
]
COHERE = [{"type": "message-end", "delta": {"usage": {"tokens": {"input_tokens": 70, "output_tokens": 50}}}}]
MISTRAL = [
    SimpleNamespace(data=SimpleNamespace(usage=SimpleNamespace(prompt_tokens=70, completion_tokens=50)))
]
GROQ = [
    {"choices": [], "x_groq": {"usage": {"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120}}}
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "items", [OLLAMA, GEMINI, COHERE, MISTRAL, GROQ], ids=["Ollama", "Gemini", "Cohere", "Mistral", "Groq"]
)
def test_R4_so_do_the_items_of_a_generator(counted, items, is_async):
    def plain():
        yield from items

    async def made():
        for item in items:
            yield item

    async def main():
        return [item async for item in counted._queued(made)()]

    assert (asyncio.run(main()) if is_async else list(counted.call(plain))) == items
    assert owed(counted) == pytest.approx(120, abs=5)
    assert means(counted)["tokens"] == 120


def test_R4_a_stream_that_is_not_read_to_its_end_costs_what_it_has_said(counted):
    def told():
        yield from GEMINI
        yield "never asked for"

    stream = counted.call(told)
    next(stream)
    assert owed(counted) == pytest.approx(70, abs=5)
    next(stream)
    stream.close()
    assert owed(counted) == pytest.approx(120, abs=5)


def test_R4_bytes_of_a_stream_are_not_looked_into(counted):
    lines = [b'{"usage": {"total_tokens": 120}}', '{"usage": {"total_tokens": 120}}']
    assert list(counted.call(lambda: (yield from lines))) == lines
    assert owed(counted) == pytest.approx(1000, abs=5)


def test_R4_items_are_passed_on_as_they_are_where_tokens_are_not_counted():
    for api in (Api(), Api(requests_per_minute=600_000)):
        stream = api.call(lambda: (yield from OLLAMA))
        next(stream)
        assert stream._items is stream._stream


def test_R4_an_item_that_raises_harms_nothing(counted):
    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError(name)

    items = [Hostile(), *OLLAMA]
    assert list(counted.call(lambda: (yield from items))) == items
    assert means(counted)["tokens"] == 120


def test_R4_what_costs_more_than_the_bucket_holds_starts_when_it_is_full():
    api = Api(tokens_per_minute=60 * 1000, token_cost=10**4, rate_burst=1)
    RequestEngine.of(api).gate.pace.means["tokens"] = 10.0
    assert api.call(len, "abc") == 3


def test_a_senseless_token_cost_is_refused():
    with pytest.raises(ValueError, match="token_cost"):
        Api(token_cost=-1)
    with pytest.raises(ValueError, match="token_cost"):
        Api(tokens_per_minute=60, token_cost=lambda *_: "many").call(len, "abc")
