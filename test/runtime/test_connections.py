"""B11: `reuse_connections` keeps the connections of requests.get, httpx.post and their kin, over real TLS."""

from __future__ import annotations

import gc
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
import requests
import requests.api
import trustme

from backend_retrofit_runtime import RequestEngine
from test.loopback import LoopbackServer, Reply, Request
from test.runtime.conftest import Api


def app(request: Request) -> Reply:
    """Answer with what was asked; the paths say what else is to happen."""
    if request.path == "/set-cookie":
        return Reply(200, {"set": True}, {"Set-Cookie": "session=abc; Path=/"})
    if request.path == "/redirect":
        return Reply(302, b"", {"Location": "/seen", "Set-Cookie": "hop=1; Path=/"})
    seen = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "cookie": request.headers.get("cookie", ""),
        "body": request.body.decode(),
    }
    return Reply(200, seen)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[LoopbackServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with LoopbackServer(app, tls) as server:
        yield server


@pytest.fixture(params=["requests", "httpx"])
def library(request: pytest.FixtureRequest, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module; its functions trust the certificate of the test through the environment, as users' do."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return {"requests": requests, "httpx": httpx}[request.param]


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api(reuse_connections=True, max_retries=0)
    yield api
    api.close()


def test_it_is_off_by_default(library, server):
    api = Api()
    for _ in range(3):
        assert api.call(library.get, server.url).status_code == 200
    assert server.connections == 3


@pytest.mark.parametrize("method", ["get", "options", "head", "post", "put", "patch", "delete"])
def test_the_functions_go_through_one_connection(library, server, api, method):
    for _ in range(3):
        response = api.call(getattr(library, method), server.url + "/x", params={"a": "b"})
        assert response.status_code == 200
    assert server.connections == 1
    assert {request.method for request in server.requests} == {method.upper()}
    assert server.requests[2].query == {"a": ["b"]}


def test_arguments_are_the_functions_own(library, server, api):
    assert api.call(library.request, "POST", server.url + "/x", json={"a": 1}).json()["body"] in (
        '{"a": 1}',
        '{"a":1}',
    )
    assert api.call(library.post, server.url, data={"a": "1"}, cookies={"c": "2"}).json()["cookie"] == "c=2"
    with pytest.raises(TypeError) as plain:
        library.get(server.url, no_such_argument=1)
    with pytest.raises(TypeError) as ours:
        api.call(library.get, server.url, no_such_argument=1)
    assert str(ours.value) == str(plain.value)
    if library is requests:
        assert api.call(requests.get, server.url, {"q": "1"}).json()["query"] == {"q": ["1"]}


def test_no_cookies_are_carried_over(library, server, api):
    response = api.call(library.get, server.url + "/set-cookie")
    assert response.cookies["session"] == "abc"
    assert api.call(library.get, server.url + "/seen").json()["cookie"] == ""
    assert api.call(library.get, server.url + "/seen", cookies={"mine": "1"}).json()["cookie"] == "mine=1"
    assert api.call(library.get, server.url + "/seen").json()["cookie"] == ""
    assert server.connections == 1


def test_cookies_of_a_redirect_reach_the_next_hop_as_before(library, server, api):
    options = {"follow_redirects": True} if library is httpx else {}
    plain = library.get(server.url + "/redirect", **options).json()
    assert api.call(library.get, server.url + "/redirect", **options).json() == plain
    assert plain["cookie"] == "hop=1"


def test_errors_are_the_librarys_own(library, api):
    error = requests.exceptions.ConnectionError if library is requests else httpx.ConnectError
    with pytest.raises(error):
        api.call(library.get, "http://127.0.0.1:9/")


def test_a_certificate_that_is_not_trusted_is_refused(library, server, api, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("SSL_CERT_FILE")
    error = requests.exceptions.SSLError if library is requests else httpx.ConnectError
    with pytest.raises(error):
        api.call(library.get, server.url)
    assert server.requests == []


def test_other_tls_settings_of_a_call_are_heeded(library, server, api):
    assert api.call(library.get, server.url).status_code == 200
    with pytest.warns() if library is requests else mock.MagicMock():
        assert api.call(library.get, server.url, verify=False).status_code == 200
    assert api.call(library.get, server.url).status_code == 200


def test_a_proxy_in_the_environment_is_heeded_when_it_comes_and_goes(library, server, api, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert api.call(library.get, server.url).status_code == 200
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"(?i)proxy|refused"):
        api.call(library.get, server.url)
    monkeypatch.delenv("https_proxy")
    assert api.call(library.get, server.url).status_code == 200


def test_a_replaced_function_is_called_as_it_is(library, server, api):
    with mock.patch.object(library, "get", return_value="mocked") as get:
        assert api.call(library.get, server.url) == "mocked"
    get.assert_called_once_with(server.url)
    module = requests.api if library is requests else httpx._api
    api.call(library.get, server.url)
    with mock.patch.object(module, "request", return_value="mocked"):
        assert api.call(library.get, server.url) == "mocked"
    assert len(server.requests) == 1


def test_a_mock_notes_what_the_program_asks_it_and_nothing_else(api):
    """`mock_calls` has each truth test and each comparison with `==`."""
    with mock.patch.object(requests, "get") as get:
        api.call(requests.get, "http://127.0.0.1:9/").json()
    assert get.mock_calls == [mock.call("http://127.0.0.1:9/"), mock.call().json()]


def test_a_replaced_session_class_is_used(server, api, bundle):
    api.call(requests.get, server.url, verify=str(bundle))
    with mock.patch("requests.sessions.Session") as session:
        api.call(requests.get, server.url)
    session.assert_called_once_with()
    assert len(server.requests) == 1


def test_streams_use_the_kept_connection_too(library, server, api):
    for _ in range(2):
        if library is requests:
            response = api.call(requests.get, server.url, stream=True)
            assert b"".join(response.iter_content(7)).startswith(b"{")
        else:
            with api._queued(httpx.stream)("GET", server.url) as response:
                assert b"".join(response.iter_bytes()).startswith(b"{")
    assert server.connections == 1
    assert api.current_requests == 0


def test_many_threads_at_once_share_the_pool_and_nothing_else(library, server, api):
    api.max_concurrent_requests = 8
    wrong: list[Any] = []

    def call(number: int) -> None:
        for turn in range(10):
            cookie = f"{number}-{turn}"
            if api.call(library.get, server.url, cookies={"n": cookie}).json()["cookie"] != f"n={cookie}":
                wrong.append(cookie)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert len(server.requests) == 80
    assert server.connections <= 16


def test_it_can_be_turned_off_and_on_and_closed(library, server, api):
    api.call(library.get, server.url)
    connections = RequestEngine.of(api).connections
    api.reuse_connections = False
    assert connections.kept == {}, "they are closed, not left to the collector"
    api.call(library.get, server.url)
    api.reuse_connections = True
    api.call(library.get, server.url)
    assert server.connections == 3
    api.close()
    assert RequestEngine.of(api).connections.kept == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_fork_opens_connections_of_its_own(library, server, api):
    api.call(library.get, server.url)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if api.call(library.get, server.url).status_code == 200 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert api.call(library.get, server.url).status_code == 200
    assert server.connections == 2


def clients_open() -> int:
    return sum(issubclass(type(thing), httpx.Client) and not thing.is_closed for thing in gc.get_objects())


def test_Q12_clients_for_options_that_are_made_for_each_call_are_bounded():
    """An SSL context for each call is usual; so are proxies that rotate."""
    api, before = Api(reuse_connections=True), clients_open()
    with LoopbackServer(app) as server:
        for _ in range(40):
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            assert api.call(httpx.get, server.url, verify=verify).status_code == 200
    gc.collect()
    assert clients_open() - before <= 16


def test_Q12_of_more_clients_than_are_kept_the_one_in_use_goes_on():
    api = Api(reuse_connections=True)
    with LoopbackServer(app) as server:
        with api.call(
            httpx.stream, "GET", server.url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ) as response:
            for _ in range(20):
                api.call(httpx.get, server.url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
            assert response.read()


def test_Q12_the_client_that_is_used_often_stays():
    api, often = Api(reuse_connections=True), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with LoopbackServer(app) as server:
        for _ in range(20):
            api.call(httpx.get, server.url, verify=often)
            api.call(httpx.get, server.url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        assert server.connections == 21
