"""Responses of `urlopen` and of urllib3 that are still to be read: their slot (S1), and what is sent again (B7, B10)."""

from __future__ import annotations

import gc
import io
import urllib.error
import urllib.request

import pytest
import urllib3

from test.loopback import Reply, Reset
from test.runtime.conftest import Flaky, assert_at_rest, until

BODIES = {"sized": lambda: b"abcdef", "chunked": lambda: iter([b"abc", b"def"])}
READERS = {
    "read": lambda response: response.read(),
    "parts": lambda response: b"".join(iter(lambda: response.read(4), b"")),
    "lines": lambda response: b"".join(response),
    "readinto": lambda response: (buffer := bytearray(6), response.readinto(buffer), response.read())[0],
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("reader", READERS)
def test_S1_urlopen_keeps_its_slot_until_it_is_read(api, server, body, reader):
    server.app = lambda request: Reply(200, BODIES[body]())
    response = api.call(urllib.request.urlopen, server.url)
    assert api.current_requests == 1
    assert READERS[reader](response) == b"abcdef"
    assert api.current_requests == 0


def test_S1_urlopen_in_a_with_block(api, server):
    server.app = lambda request: Reply(200, b"abcdef")
    with api.call(urllib.request.build_opener().open, server.url):
        assert api.current_requests == 1
    assert api.current_requests == 0


def test_S1_a_response_that_is_dropped(api, server):
    server.app = lambda request: Reply(200, b"abcdef")
    api.call(urllib.request.urlopen, server.url)
    gc.collect()
    until(lambda: api.current_requests == 0)
    assert_at_rest(api)


@pytest.mark.parametrize("body", BODIES)
def test_S1_urllib3_without_preloading(api, server, body):
    server.app = lambda request: Reply(200, BODIES[body]())
    response = api.call(urllib3.PoolManager().request, "GET", server.url, preload_content=False)
    assert api.current_requests == 1
    assert b"".join(response.stream(2)) == b"abcdef"
    assert api.current_requests == 0
    assert api.call(urllib3.PoolManager().request, "GET", server.url).data == b"abcdef"
    assert api.current_requests == 0


def test_B10_the_module_function_of_urllib3(delays, api, server):
    server.app = lambda request: Reset()
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        api.call(urllib3.request, "GET", server.url)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("made", "attempts"),
    [
        (lambda url: (url,), 6),
        (lambda url: (url, b"{}"), 1),
        (lambda url: (f"{url}/v1/chat", b"{}"), 6),
        (lambda url: (urllib.request.Request(url),), 6),
        (lambda url: (urllib.request.Request(url, data=b"{}"),), 1),
        (lambda url: (urllib.request.Request(url, data=b"{}", method="PUT"),), 6),
    ],
)
def test_B7_urlopen_is_judged_by_its_method(delays, api, server, made, attempts):
    server.app = lambda request: Reset()
    with pytest.raises(OSError):  # noqa: PT011 - a reset comes as one of several
        api.call(urllib.request.urlopen, *made(server.url))
    assert len(server.requests) == attempts


def test_B7_a_file_in_a_request_of_urllib_is_rewound(delays, api, server):
    server.script(Reply(503))
    request = urllib.request.Request(server.url, data=io.BytesIO(b"abc"), headers={"Content-Length": "3"})
    api.call(urllib.request.urlopen, request).close()
    assert [request.body for request in server.requests] == [b"abc", b"abc"]


def test_B7_an_iterator_in_a_request_of_urllib_is_not_sent_twice(delays, api, server):
    server.script(Reply(503))
    request = urllib.request.Request(server.url, data=iter([b"abc"]))
    with pytest.raises(urllib.error.HTTPError):
        api.call(urllib.request.urlopen, request)
    assert len(server.requests) == 1


class Result:
    """Somebody's own class, of which some instances are responses, and some are streams."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def test_B1_a_result_with_a_status_is_a_response_though_others_of_its_class_were_none(delays, api):
    plain, good = Result(text="hello"), Result(status_code=200)
    flaky = Flaky(plain, plain, Result(status_code=503), good)
    assert [api.call(flaky) for _ in range(3)] == [plain, plain, good]
    assert flaky.calls == 4


def test_S1_a_result_that_can_be_read_keeps_its_slot_though_others_of_its_class_did_not(api):
    for _ in range(2):
        api.call(Flaky(Result(text="hello")))
    response = Result(status_code=200, _content_consumed=False, raw=io.BytesIO(b"abc"))
    assert api.call(Flaky(response)) is response
    assert api.current_requests == 1
    assert response.raw.read() == b"abc"
    assert api.current_requests == 0
