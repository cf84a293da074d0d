"""B10: one layer of retries, through every SDK and session that has some of its own: six requests, not eighteen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from functools import partial

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import groq
import httpx
import openai
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from backend_retrofit_runtime import RequestEngine
from test.loopback import LoopbackServer, Reply, Reset
from test.runtime.conftest import Answer, Api, Flaky, assert_at_rest, caller, closed_later

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def unavailable():
    """A server that always answers 503, and asks to come back in a millisecond (B10: exactly six requests)."""
    with LoopbackServer(lambda request: Reply(503, {"error": {"message": "overloaded"}})) as server:
        yield server


@pytest.fixture
def api(delays):
    api = Api()
    yield api
    assert_at_rest(api)
    assert delays == [1, 2, 4, 8, 16]


SDKS = {
    "openai": (openai.OpenAI, openai.AsyncOpenAI, "/v1", openai.APIStatusError),
    "anthropic": (anthropic.Anthropic, anthropic.AsyncAnthropic, "", anthropic.APIStatusError),
    "groq": (groq.Groq, groq.AsyncGroq, "", groq.APIStatusError),
}  # fmt: skip


def client_of(name, server, asynchronous=False, **options):
    sync, async_, path, _ = SDKS[name]
    if asynchronous:
        return async_(api_key="test-key", base_url=server.url + path, **options)
    return closed_later(sync(api_key="test-key", base_url=server.url + path, **options))


def create_of(name, client):
    return client.messages.create if name == "anthropic" else client.chat.completions.create


def arguments_of(name):
    return dict(CHAT, max_tokens=5) if name == "anthropic" else dict(CHAT)


@pytest.mark.parametrize("name", SDKS)
def test_B10_sdk(api, unavailable, name):
    client = client_of(name, unavailable, max_retries=9)
    with pytest.raises(SDKS[name][3]) as caught:
        api.call(create_of(name, client), **arguments_of(name))
    assert caught.value.status_code == 503
    assert len(unavailable.requests) == 6
    assert client.max_retries == 9, "the client itself is left as it was"


@pytest.mark.parametrize("name", SDKS)
def test_B10_async_sdk(api, unavailable, name):
    async def go():
        async with client_of(name, unavailable, asynchronous=True) as client:
            with pytest.raises(SDKS[name][3]):
                await api.acall(create_of(name, client), **arguments_of(name))

    caller(asyncio.run, go()).result(20)
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("name", SDKS)
def test_B10_sdk_stream(api, unavailable, name):
    client = client_of(name, unavailable)
    with pytest.raises(SDKS[name][3]):
        api.call(create_of(name, client), stream=True, **arguments_of(name))
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("name", SDKS)
@pytest.mark.parametrize("variant", ["with_raw_response", "with_streaming_response"])
def test_B10_sdk_raw_and_streaming_responses(api, unavailable, name, variant):
    client = client_of(name, unavailable)
    resource = getattr(client.messages if name == "anthropic" else client.chat.completions, variant)
    with pytest.raises(SDKS[name][3]):
        # A streaming response makes its request as it is entered.
        contextlib.ExitStack().enter_context(api._queued(resource.create)(**arguments_of(name)))
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("name", SDKS)
def test_B10_async_sdk_streaming_response(api, unavailable, name):
    async def go():
        async with client_of(name, unavailable, asynchronous=True) as client:
            resource = client.messages if name == "anthropic" else client.chat.completions
            with pytest.raises(SDKS[name][3]):
                async with api._queued(resource.with_streaming_response.create)(**arguments_of(name)):
                    pass

    caller(asyncio.run, go()).result(20)
    assert len(unavailable.requests) == 6


def test_B10_anthropic_stream_manager(api, unavailable):
    client = client_of("anthropic", unavailable)
    with pytest.raises(anthropic.APIStatusError):
        with api.call(client.messages.stream, **arguments_of("anthropic")) as stream:
            stream.get_final_text()
    assert len(unavailable.requests) == 6


def test_B10_sdk_models_list(api, unavailable):
    client = client_of("openai", unavailable)
    with pytest.raises(openai.APIStatusError):
        api.call(client.models.list)
    assert len(unavailable.requests) == 6


def test_B10_sdk_connection_errors(api, server):
    """No answer at all: the SDK wraps what its transport raised."""
    server.app = lambda request: Reset()
    client = client_of("openai", server)
    with pytest.raises(openai.APIConnectionError):
        api.call(client.chat.completions.create, **CHAT)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("legacy", "client"), ("standard", "client"), ("adaptive", "client"), ("standard", "resource")],
)
def test_B10_boto3(api, unavailable, mode, kind):
    options = {
        "endpoint_url": unavailable.url, "region_name": "us-east-1", "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": botocore.config.Config(retries={"mode": mode, "max_attempts": 4}, s3={"addressing_style": "path"}),
    }  # fmt: skip
    session = boto3.session.Session()
    if kind == "client":
        call = session.client("s3", **options).list_buckets
    else:
        call = session.resource("s3", **options).meta.client.list_buckets
    with pytest.raises(botocore.exceptions.ClientError):
        api.call(call)
    assert len(unavailable.requests) == 6


def mounted(total=3, **options):
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(total, status_forcelist=[503], **options)))
    return session


@pytest.mark.parametrize("how", ["get", "request"])
def test_B10_requests_session_with_retry_adapter(api, unavailable, how):
    session = mounted()
    arguments = (unavailable.url,) if how == "get" else ("GET", unavailable.url)
    assert api.call(getattr(session, how), *arguments).status_code == 503
    assert len(unavailable.requests) == 6
    assert session.get_adapter(unavailable.url).max_retries.total == 3, "the session itself is left as it was"


def test_B10_a_retry_adapter_that_is_mounted_between_two_requests_is_seen(delays, unavailable):
    api, session = Api(), requests.Session()
    assert api.call(session.get, unavailable.url).status_code == 503
    assert len(unavailable.requests) == 6
    session.mount("http://", mounted().adapters["http://"])
    assert api.call(session.get, unavailable.url).status_code == 503
    assert len(unavailable.requests) == 12


def test_B10_a_session_is_not_taken_for_another_one_with_the_same_methods(delays, unavailable):
    api = Api()
    for times, session in enumerate((requests.Session(), mounted(), requests.Session(), mounted()), 1):
        assert api.call(session.get, unavailable.url).status_code == 503
        assert len(unavailable.requests) == 6 * times


def test_B10_a_method_of_a_session_works_on_what_has_no_adapters():
    api = Api()

    class Session(requests.Session):
        def ping(self):
            return "pong"

    class Other:
        ping = Session.ping

    assert [api.call(thing.ping) for thing in (Session(), Session(), Other(), Session())] == ["pong"] * 4


def test_B10_requests_session_keeps_its_connections_and_cookies(server):
    api, session = Api(), mounted()
    server.app = lambda request: Reply(200, headers={"Set-Cookie": "a=b"})
    for _ in range(3):
        api.call(session.get, server.url)
    assert session.cookies["a"] == "b"
    pools = session.get_adapter(server.url).poolmanager.pools
    (pool,) = [pools[key] for key in pools.keys()]  # noqa: SIM118 - not a mapping
    assert pool.num_connections == 1
    assert pool.num_requests == 3


@pytest.mark.parametrize(
    "retries", [None, Retry(3, status_forcelist=[503]), 4], ids=["default", "Retry", "int"]
)
@pytest.mark.parametrize("where", ["manager", "call"])
@pytest.mark.parametrize("asked", [{}, {"Retry-After": "1"}], ids=["", "Retry-After"])
def test_B10_urllib3_pool_manager(delays, unavailable, retries, where, asked):
    unavailable.app = lambda request: Reply(503, headers=asked)
    manager = urllib3.PoolManager(**({"retries": retries} if where == "manager" else {}))
    api = Api()
    response = api.call(
        manager.request, "GET", unavailable.url, **({"retries": retries} if where == "call" else {})
    )
    assert response.status == 503
    assert len(unavailable.requests) == 6
    assert_at_rest(api)


def test_B10_urllib3_still_follows_redirects(server):
    server.script(Reply(302, headers={"Location": "/there"}))
    response = Api().call(urllib3.PoolManager().request, "GET", server.url)
    assert response.status == 200
    assert [request.path for request in server.requests] == ["/", "/there"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_B10_httpx_with_transport_retries(api, unavailable, asynchronous):
    if asynchronous:

        async def go():
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3)) as client:
                return await api.acall(client.get, unavailable.url)

        response = caller(asyncio.run, go()).result(20)
    else:
        with httpx.Client(transport=httpx.HTTPTransport(retries=3)) as client:
            response = api.call(client.get, unavailable.url)
    assert response.status_code == 503
    assert len(unavailable.requests) == 6


def test_B10_httpx_transport_retries_do_not_multiply_refused_connections(api, monkeypatch):
    attempts = []
    connect = socket.create_connection

    def counted(*args, **kwargs):
        attempts.append(1)
        return connect(*args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", counted)
    with httpx.Client(transport=httpx.HTTPTransport(retries=1)) as client:
        with pytest.raises(httpx.ConnectError):
            api.call(client.get, "http://127.0.0.1:9/")
    assert len(attempts) == 6


def test_B10_an_httpx_transport_that_was_exchanged_is_looked_at(api, server, monkeypatch):
    attempts = []
    connect = socket.create_connection

    def counted(*args, **kwargs):
        attempts.append(1)
        return connect(*args, **kwargs)

    with httpx.Client() as client:
        assert api.call(client.get, server.url).status_code == 200
        client._transport.close()
        client._transport = httpx.HTTPTransport(retries=1)
        monkeypatch.setattr(socket, "create_connection", counted)
        with pytest.raises(httpx.ConnectError):
            api.call(client.get, "http://127.0.0.1:9/")
    assert len(attempts) == 6


def test_B10_without_our_backoff_the_sdk_keeps_its_own(unavailable):
    """A class that was given the queue alone: nothing is turned off that nothing replaces."""

    class QueueOnly:
        queue_enabled = RequestEngine.setting(True)
        max_concurrent_requests = RequestEngine.setting(5)
        queue_size = RequestEngine.setting(100)
        _queued = RequestEngine.entry_point()

    client = client_of("openai", unavailable, max_retries=1)
    with pytest.raises(openai.APIStatusError):
        QueueOnly()._queued(client.chat.completions.create)(**CHAT)
    assert len(unavailable.requests) == 2


def test_B10_what_cannot_be_turned_off_is_said_once(delays, unavailable, caplog):
    class Stubborn(openai.OpenAI):
        def with_options(self, **options):
            raise TypeError("no options")

    api = Api(max_retries=1)
    client = closed_later(Stubborn(api_key="test-key", base_url=unavailable.url, max_retries=0))
    client.max_retries = 1
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        with pytest.raises(openai.APIStatusError):
            api.call(client.chat.completions.create, **CHAT)
    said = [
        record.getMessage() for record in caplog.records if "could not be turned off" in record.getMessage()
    ]
    assert len(said) == 1
    assert "max_retries=0" in said[0]


def test_B10_a_partial_of_an_sdks_method(api, unavailable):
    client = client_of("openai", unavailable)
    with pytest.raises(openai.APIStatusError):
        api.call(partial(client.chat.completions.create, model="m"), messages=CHAT["messages"])
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize(("method", "attempts"), [("get", 6), ("post", 1)])
def test_B7_a_partial_is_judged_by_what_it_calls(delays, server, method, attempts):
    server.app = lambda request: Reset()
    with pytest.raises(requests.ConnectionError):
        Api().call(partial(getattr(requests, method), timeout=5), server.url)
    assert len(server.requests) == attempts


# A function that makes requests of the backend is not made again on top of them.


@pytest.mark.parametrize("how", ["method", "partial", "lambda"])
def test_B10_a_submitted_function_that_calls_the_backend(how, unavailable):
    class Client(Api):
        def get(self):
            return self.call(requests.get, unavailable.url)

    client = Client(initial_retry_delay=0, max_retries=5)
    functions = {
        "method": client.get,
        "partial": partial(client.call, requests.get, unavailable.url),
        "lambda": lambda: client.get(),
    }
    assert client.submit(functions[how]).result(15).status_code == 503
    assert len(unavailable.requests) == 6
    assert_at_rest(client)


def test_B10_an_async_function_that_calls_the_backend(unavailable):
    client = Api(initial_retry_delay=0)

    async def go():
        async with httpx.AsyncClient() as session:

            async def twice():
                return await client.acall(session.get, unavailable.url)

            return await client.acall(twice)

    assert asyncio.run(asyncio.wait_for(go(), 20)).status_code == 503
    assert len(unavailable.requests) == 6
    assert_at_rest(client)


def test_B1_a_function_is_retried_for_a_failure_of_its_own_after_a_request_that_went_well(server):
    api = Api(initial_retry_delay=0)
    outcomes = [Answer(503), Answer(503), Answer(200)]

    def function():
        assert api.call(requests.get, server.url).status_code == 200
        return outcomes.pop(0)

    assert api.submit(function).result(15).status_code == 200
    assert len(server.requests) == 3
    assert_at_rest(api)


@pytest.mark.parametrize(
    "retry",
    [
        Retry(total=None, status=2, status_forcelist=[503]),
        Retry(total=None, connect=0, read=0, status=2, status_forcelist=[503]),
    ],
)
def test_B10_retry_that_counts_by_kind_alone(api, unavailable, retry):
    session = closed_later(requests.Session())
    session.mount("http://", HTTPAdapter(max_retries=retry))
    assert api.call(session.get, unavailable.url).status_code == 503
    assert len(unavailable.requests) == 6


def test_B1_a_listener_whose_own_request_fails_ends_no_retries(monkeypatch):
    api = Api(initial_retry_delay=0)

    def hear(event):
        with pytest.raises(ValueError, match="not found"):
            api.call(Flaky(ValueError("not found")))

    monkeypatch.setattr(RequestEngine, "listeners", [hear])
    call = Flaky(Answer(503), Answer(503))
    assert api.call(call) == "done"
    assert call.calls == 3
    assert_at_rest(api)
