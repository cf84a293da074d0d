"""Kept connections that end, and answers that are cut inside their headers: with one of the backends, for all."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme

from ..loopback import LoopbackServer, Raw, Reply, Reset
from .cases import CASES, HELLO, Case

CHAT = ("gpt-6-luna", HELLO)


@pytest.fixture
def case() -> Case:
    return CASES[0]


def ends_before_it_answers(server: LoopbackServer) -> None:
    """Have the server answer a request, and end the connection when the next one has come."""
    server.script(Reply(200, {"data": []}), Reset())


def test_request_on_a_kept_connection_that_ends_is_sent_once_more_on_a_fresh_one(api, server, caplog):
    ends_before_it_answers(server)
    api.list_models()
    assert api.chat(*CHAT)["choices"][0]["message"]["content"] == "Echo: Hello there"
    first, second = server.requests[1:]
    assert (first.path, first.headers, first.body) == (second.path, second.headers, second.body)
    assert server.connections == 2
    assert caplog.text == ""


def test_connection_that_ends_without_a_reset_is_replaced_too(api, server):
    server.script(Reply(200, {"data": []}), Raw(b""))
    api.list_models()
    assert api.chat(*CHAT)
    assert len(server.requests) == 3


def test_fresh_connection_that_ends_is_an_error(api, backend, server):
    server.script(Reset())
    with pytest.raises(backend.OpenAIError, match=r"^ConnectionError: "):
        api.chat(*CHAT)
    assert len(server.requests) == 1


def test_second_connection_that_ends_is_an_error(api, backend, server):
    server.script(Reply(200, {"data": []}), Reset(), Reset())
    api.list_models()
    with pytest.raises(backend.OpenAIError, match=r"^ConnectionError: "):
        api.chat(*CHAT)
    assert len(server.requests) == 3


def test_what_makes_something_is_not_sent_twice(api, backend, server):
    for create in (
        lambda: api.create_batch("file-1", "/v1/responses"),
        lambda: api.upload_file("a.jsonl", b"{}", "batch"),
    ):
        ends_before_it_answers(server)
        api.list_models()
        seen = len(server.requests)
        with pytest.raises(backend.OpenAIError, match=r"^ConnectionError: "):
            create()
        assert len(server.requests) == seen + 1


def test_what_makes_something_with_an_idempotency_key_is_sent_twice(api, server):
    ends_before_it_answers(server)
    api.list_models()
    batch = api.create_batch("file-1", "/v1/responses", extra_headers={"Idempotency-Key": "7"})
    assert batch["id"] == "batch-9"
    assert [request.headers["idempotency-key"] for request in server.requests[1:]] == ["7", "7"]


def test_form_for_a_model_is_sent_twice_whole(api, server):
    ends_before_it_answers(server)
    api.list_models()
    assert api.transcribe("gpt-transcribe", "a.wav", b"RIFF")["text"] == "Heard 4 bytes"
    assert server.requests[1].body == server.requests[2].body


def test_delete_is_sent_twice(api, server):
    ends_before_it_answers(server)
    api.list_models()
    api.delete_file("file-1")
    assert [request.method for request in server.requests] == ["GET", "DELETE", "DELETE"]


def test_connection_with_tls_is_replaced_too(backend, case, tmp_path, monkeypatch):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with LoopbackServer(case.answers().app, context) as server:
        api = case.make(backend, server)
        server.script(Reply(200, {"data": []}), Raw(b""))
        api.list_models()
        assert api.chat(*CHAT)
        assert (len(server.requests), server.connections) == (3, 2)
        api.close()


def test_body_is_not_kept_with_the_connection(api):
    api.list_models()
    api.upload_file("a.bin", b"x" * 100_000, "batch")
    api.chat(*CHAT)
    pools = api.session.get_adapter(api.base_url).poolmanager.pools
    (pool,) = map(pools.__getitem__, pools.keys())
    assert [connection._again for connection in pool.pool.queue if connection] == [None]


def test_stream_is_asked_for_once_more(api, server):
    ends_before_it_answers(server)
    api.list_models()
    assert len(list(api.stream_chat(*CHAT))) == 5


def test_answer_whose_first_line_came_is_not_asked_for_again(api, backend, server):
    server.script(Reply(200, {"data": []}), Raw(b"HTTP/1.1 200 OK\r\n"))
    api.list_models()
    with pytest.raises(backend.OpenAIError, match="the answer ended inside its headers"):
        api.chat(*CHAT)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1",
    ],
)
def test_answer_cut_inside_its_headers_is_an_error(api, backend, server, head):
    for call in (
        lambda: api.chat(*CHAT),
        lambda: api.download_file("file-1"),
        lambda: api.delete_file("file-1"),
    ):
        server.script(Raw(head))
        with pytest.raises(backend.OpenAIError, match="the answer ended inside its headers") as caught:
            call()
        assert caught.value.status is None


def test_answer_that_ends_with_its_connection_is_whole(api, server):
    server.script(Raw(b"HTTP/1.1 200 OK\r\n\r\nHello"))
    assert api.download_file("file-1") == b"Hello"


def test_server_that_is_gone_when_it_is_asked_again_is_an_error(case, backend):
    """It answers once, and ends: its connection and its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"data": []}')
            connection.recv(65536)
            listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    api = backend.openai_api({}, {}, "key", url)
    api.max_retries = 0
    assert api.list_models() == []
    with pytest.raises(backend.OpenAIError, match=r"^ConnectionError: ") as caught:
        api.list_models()
    assert caught.value.status is None
    thread.join(30)
    api.close()
