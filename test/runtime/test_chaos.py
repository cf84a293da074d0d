"""Everything goes wrong at a real server, and nothing is lost: no slot, no request, no second too early."""

from __future__ import annotations

import random
import ssl
import time
from concurrent.futures import wait

import httpx
import pytest
import requests
import trustme

from test.loopback import LoopbackServer, Reply, Reset
from test.runtime.conftest import PATIENCE, Api, assert_at_rest, caller, until

HOSTILE = [
    "9" * 5000, "Mon, 01 Jan 99999999999 00:00:00 GMT", "nan", "inf", "-5", "1_0", "120, 120", "", "soon", "1e999",
]  # fmt: skip


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with LoopbackServer(tls=context) as server:
        yield server


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def get_of(library, url, timeout=5.0):
    """A GET with one of the libraries, and how its answers are read."""
    if library == "requests":
        return lambda api: api.call(requests.get, url, timeout=timeout)
    return lambda api: api.call(httpx.get, url, timeout=timeout)


TROUBLE: dict[str, object] = {
    "reset": Reset(),
    "stall before the headers": Reply(200, delay=60),
    "stall after the headers": Reply(200, b"body", body_delay=60),
    "truncated body": Reply(200, b"x" * 1000, cut_after=10),
    "truncated stream": None,  # a stream is read once: made in the test
    "longer length than body": Reply(200, b"short", {"Content-Length": "500"}, cut_after=5),
    "500": Reply(500),
    "503": Reply(503),
    "429": Reply(429),
}


@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize("name", TROUBLE)
def test_B2_one_trouble_of_each_kind(api, server, library, name):
    trouble = TROUBLE[name]
    if name == "truncated stream":
        trouble = Reply(200, iter([b"{", b"}"]), cut_after=1)
    server.script(trouble)
    response = get_of(library, server.url, timeout=PATIENCE if name.startswith("stall") else 60)(api)
    assert response.status_code == 200
    assert response.json() == {"ok": True}
    assert len(server.requests) == 2
    assert_at_rest(api)


def test_B7_upload_is_not_sent_again_where_the_answer_was_lost(api, server):
    server.script(Reset())
    with pytest.raises(requests.ConnectionError):
        api.call(requests.post, server.url + "/v1/files", files={"file": b"content"})
    assert len(server.requests) == 1


def test_B7_read_timeout_on_a_creating_post_is_not_retried(api, server):
    server.script(Reply(200, delay=60))
    with pytest.raises(requests.ReadTimeout):
        api.call(requests.post, server.url + "/v1/fine_tuning/jobs", json={}, timeout=PATIENCE)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages"]
)
def test_B7_chat_completion_and_embedding_posts_are(api, server, path):
    server.script(Reset())
    assert api.call(requests.post, server.url + path, json={}).status_code == 200
    assert len(server.requests) == 2


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options"])
def test_B7_idempotent_methods_are_retried_whatever_the_path(api, server, method):
    if method == "options":
        pytest.skip("the server does not know it")
    server.script(Reset())
    assert api.call(getattr(requests, method), server.url + "/v1/files/1").status_code == 200
    assert len(server.requests) == 2


def test_B7_a_503_to_a_creating_post_is_retried(api, server):
    server.script(Reply(503))
    assert api.call(requests.post, server.url + "/v1/files", json={}).status_code == 200
    assert len(server.requests) == 2


def test_B7_a_file_is_rewound_to_where_it_stood(api, server, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"head" + b"body")
    server.script(Reply(503), Reply(503))
    with path.open("rb") as file:
        file.read(4)
        assert api.call(requests.put, server.url, data=file).status_code == 200
    assert [request.body for request in server.requests] == [b"body"] * 3


def test_B7_a_generator_body_is_not_sent_again(api, server):
    server.script(Reply(503))
    assert api.call(requests.put, server.url, data=iter([b"a", b"b"])).status_code == 503
    assert len(server.requests) == 1


def test_B7_but_it_is_where_there_was_no_connection(api, delays):
    with pytest.raises(requests.ConnectionError):
        api.call(requests.post, "http://127.0.0.1:9/upload", data=iter([b"a"]))
    assert len(delays) == 5


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["Retry-After", "retry-after-ms"])
def test_B4_hostile_delay_over_the_wire_falls_back(api, server, delays, name, value):
    server.script(Reply(503, headers={name: value, "RateLimit": value, "RateLimit-Reset": value}))
    assert api.call(requests.get, server.url).status_code == 200
    assert len(delays) <= 1
    assert len(server.requests) == 2
    assert delays == [api.initial_retry_delay]


def test_B4_never_earlier_than_asked_over_the_wire(api, server):
    server.script(Reply(429, headers={"retry-after-ms": "300"}), Reply(503, headers={"Retry-After": "0.2"}))
    api.call(requests.get, server.url)
    first, second, third = (request.at for request in server.requests)
    assert second - first >= 0.3
    assert third - second >= 0.2


# TLS


def test_tls_works(api, tls_server, bundle):
    tls_server.script(Reply(503))
    assert api.call(requests.get, tls_server.url, verify=bundle).status_code == 200
    assert len(tls_server.requests) == 2


def test_B2_unknown_authority_is_not_retried(api, tls_server, delays):
    with pytest.raises(requests.exceptions.SSLError):
        api.call(requests.get, tls_server.url)
    assert not delays
    with pytest.raises(httpx.ConnectError):
        api.call(httpx.get, tls_server.url)
    assert not delays
    assert not tls_server.requests
    assert_at_rest(api)


def test_B2_no_tls_at_all_ends_after_six_attempts(api, server, delays):
    with pytest.raises(requests.exceptions.ConnectionError):
        api.call(requests.get, server.url.replace("http:", "https:"), timeout=2)
    assert len(delays) in (0, 5)
    assert_at_rest(api)


# All at once


def test_B5_storm_of_429_with_200_threads(server):
    """The server takes two at a time and refuses the rest: all 200 succeed, and no more than five are in flight."""
    api = Api(queue_size=300, initial_retry_delay=0.01, max_retries=50)

    def app(request):
        if server.in_flight > 2:
            return Reply(429, headers={"retry-after-ms": "5"})
        return Reply(200, {"ok": True}, delay=0.001)

    server.app = app
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=10))
    callers = [caller(api.call, session.get, server.url) for _ in range(200)]
    assert [future.result(40).status_code for future in callers] == [200] * 200
    assert server.most_in_flight <= 5
    assert sum(1 for future in callers if future.result().ok) == 200
    assert_at_rest(api)


def test_everything_goes_wrong_and_every_request_ends_once(server):
    chance = random.Random(1)
    troubles = [
        Reset(),
        Reply(503),
        Reply(429, headers={"retry-after-ms": "3"}),
        Reply(200, b"xyz", cut_after=1),
    ]

    def app(request):
        if chance.random() < 0.4:
            return chance.choice(troubles)
        return Reply(200, {"path": request.path})

    server.app = app
    api = Api(queue_size=200, initial_retry_delay=0.005, max_retries=40, max_retry_delay=0.02)
    futures = {}
    for number in range(100):
        submit = api.submit if number % 2 else lambda *args: caller(api.call, *args)
        futures[number] = submit(requests.get, f"{server.url}/{number}")
    cancelled = {number for number, future in futures.items() if number % 10 == 9 and future.cancel()}
    wait(futures.values(), 60)
    for number, future in futures.items():
        if number not in cancelled:
            assert future.result(0).json() == {"path": f"/{number}"}
    paths = {request.path for request in server.requests}
    waiting_ones = {number for number in cancelled if f"/{number}" not in paths}
    assert waiting_ones == cancelled
    assert server.most_in_flight <= 5
    assert_at_rest(api)


def test_a_call_that_fails_at_once_a_thousand_times_leaves_nothing():
    api = Api(max_retries=0)

    def fail():
        raise ConnectionRefusedError

    start = time.monotonic()
    for _ in range(1000):
        with pytest.raises(ConnectionRefusedError):
            api.call(fail)
    assert time.monotonic() - start < 20
    until(lambda: api.current_requests == 0)
    assert_at_rest(api)
