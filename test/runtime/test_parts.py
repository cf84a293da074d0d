"""B10: a part that was put into a client and retries by itself (a transport, an adapter, a middleware) is not retried once more."""

from __future__ import annotations

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
from requests.adapters import HTTPAdapter

from test.loopback import Reply
from test.runtime.conftest import Api, closed_later
from test.runtime.test_async import run

ATTEMPTS = 3


class Again(httpx.HTTPTransport):
    def handle_request(self, request):
        for attempt in range(ATTEMPTS):
            response = super().handle_request(request)
            if response.status_code != 503 or attempt == ATTEMPTS - 1:
                break
            response.close()
        return response


class AgainOfTheFork(httpx2.HTTPTransport):
    def handle_request(self, request):
        attempt = 0
        while True:
            attempt += 1
            response = super().handle_request(request)
            if response.status_code != 503 or attempt == ATTEMPTS:
                return response
            response.close()


class AgainLater(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request):
        for attempt in range(ATTEMPTS):
            response = await super().handle_async_request(request)
            if response.status_code != 503 or attempt == ATTEMPTS - 1:
                break
            await response.aclose()
        return response


class Around(httpx.BaseTransport):
    def __init__(self, inner):
        self.inner = inner

    def handle_request(self, request):
        return self.inner.handle_request(request)


class RetryOnBusy(httpx.BaseTransport):
    """Its name says what it does; the loop is in a function that it calls."""

    def __init__(self):
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request):
        return _persistently(lambda: self.inner.handle_request(request))


def _persistently(attempt):
    for _ in range(ATTEMPTS - 1):
        if (response := attempt()).status_code != 503:
            return response
        response.close()
    return attempt()


class AgainAdapter(HTTPAdapter):
    def send(self, request, **options):
        for _ in range(ATTEMPTS):
            response = super().send(request, **options)
            if response.status_code != 503:
                break
        return response


async def again(request, handler):
    for _ in range(ATTEMPTS):
        response = await handler(request)
        if response.status != 503:
            break
    return response


def _with_requests(adapter):
    session = closed_later(requests.Session())
    session.mount("http://", adapter)
    return session.get


def _with_httpx(transport):
    return closed_later(httpx.Client(transport=transport)).get


def _httpx_retries():
    made = pytest.importorskip("httpx_retries")
    return made.RetryTransport(retry=made.Retry(total=ATTEMPTS - 1, backoff_factor=0.001))


CLIENTS = {
    "an adapter of requests": lambda: _with_requests(AgainAdapter()),
    "a transport of httpx": lambda: _with_httpx(Again()),
    "one inside another": lambda: _with_httpx(Around(Again())),
    "one for some addresses": lambda: closed_later(httpx.Client(mounts={"http://127.0.0.1": Again()})).get,
    "one that is called so": lambda: _with_httpx(RetryOnBusy()),
    "httpx-retries": lambda: _with_httpx(_httpx_retries()),
}


@pytest.fixture
def busy(server):
    server.app = lambda request: Reply(503, headers={"retry-after-ms": "1"})
    return server


@pytest.mark.parametrize("client", CLIENTS)
def test_B10_what_retries_inside_a_client_is_not_retried_on_top(delays, busy, client):
    assert Api().call(CLIENTS[client](), busy.url).status_code == 503
    assert len(busy.requests) == ATTEMPTS
    assert not delays


def test_B10_so_of_async_clients(delays, busy):
    async def go():
        async with httpx.AsyncClient(transport=AgainLater()) as client:
            await Api().acall(client.get, busy.url)
        first = len(busy.requests)
        async with aiohttp.ClientSession(middlewares=[again]) as session:
            await Api().acall(session.get, busy.url)
            async with Api()._queued(session.get)(busy.url):
                pass
        return first, len(busy.requests) - first

    assert run(go()) == (ATTEMPTS, 2 * ATTEMPTS)
    assert not delays


def test_B10_a_session_of_aiohttp_beside_one_with_such_a_middleware_is_retried(delays, busy):
    api = Api()

    async def go():
        for middlewares, wanted in (([], 6), ([again], ATTEMPTS), ([], 6)):
            busy.requests.clear()
            async with aiohttp.ClientSession(middlewares=middlewares) as session:
                await api.acall(session.get, busy.url)
            assert len(busy.requests) == wanted

    run(go())


def test_B10_an_sdk_over_such_a_transport_keeps_its_own_retries_as_well(delays, busy):
    client = openai.OpenAI(
        api_key="test-key",
        base_url=busy.url,
        max_retries=1,
        http_client=httpx2.Client(transport=AgainOfTheFork()),
    )
    with pytest.raises(openai.InternalServerError):
        Api().call(closed_later(client).models.list)
    assert len(busy.requests) == 2 * ATTEMPTS
    assert not delays


class Counted(httpx.HTTPTransport):
    """It has a loop, but sends after it."""

    def handle_request(self, request):
        for _ in request.headers:
            pass
        return super().handle_request(request)


class CountedAdapter(HTTPAdapter):
    def send(self, request, **options):
        for name in list(options):
            options[name] = options[name]
        return super().send(request, **options)


async def counted(request, handler):
    for _ in request.headers:
        pass
    return await handler(request)


@pytest.mark.parametrize("made", [lambda: _with_httpx(Counted()), lambda: _with_requests(CountedAdapter())])
def test_B10_a_part_that_sends_once_is_retried_as_ever(delays, busy, made):
    assert Api().call(made(), busy.url).status_code == 503
    assert len(busy.requests) == 6


def test_B10_a_middleware_that_sends_once_is_retried_as_ever(delays, busy):
    async def go():
        async with aiohttp.ClientSession(middlewares=[counted]) as session:
            await Api().acall(session.get, busy.url)

    run(go())
    assert len(busy.requests) == 6
