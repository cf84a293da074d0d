"""What all backends that speak HTTP have in common (SPEC section 8), each against a server in its vendor's format."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import pickle
import re
import socket
import threading
import traceback
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ..loopback import LoopbackServer, Reply, Request, Reset
from .cases import CASES, STREAMING, Case, public_methods

CANARY = "canary-0123456789-key"


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


streaming = pytest.mark.parametrize("case", STREAMING, ids=lambda case: case.name, indirect=True)


def shown(error: BaseException) -> str:
    """Return all that a log, a traceback, a pickle or a debugger shows of an exception and of what caused it."""
    text = "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        text += f"{link!s}{link!r}{link.args!r}{vars(link)!r}"
        link = link.__cause__ or link.__context__
    return text + repr(pickle.dumps(error)) + repr(pickle.dumps(error.__cause__))


def failure_of(call: Any, api: Any, error: type[Exception]) -> Any:
    with pytest.raises(error) as caught:
        call(api)
    return caught.value


def outcome_of(call: Any, api: Any, error: type[Exception]) -> Any:
    """Return what a call returns, or the backend's error; let any other exception through."""
    try:
        return call(api)
    except error as failure:
        return failure


# How they are made


def test_all_are_made_alike(case, backend):
    parameters = inspect.signature(getattr(backend, case.name)).parameters
    assert list(parameters) == ["resources", "metadata", "api_key", "base_url"]
    assert {parameter.default for parameter in parameters.values()} == {None}


def test_resources_and_metadata_are_kept(case, backend):
    resources, metadata = {"a": 1}, {"b": 2}
    api = getattr(backend, case.name)(resources, metadata, "key")
    assert api.resources is resources
    assert api.metadata is metadata


def test_base_url_is_the_vendors_own(case, backend):
    assert getattr(backend, case.name)().base_url == case.default


def test_base_url_from_metadata(case, backend, server):
    base_url = server.url + case.path
    api = getattr(backend, case.name)({}, {"base_url": base_url + "/"}, case.answers().KEY)
    assert api.base_url == base_url
    assert case.call(api)


def test_base_url_of_the_argument_comes_first(case, backend):
    api = getattr(backend, case.name)({}, {"base_url": "http://127.0.0.1:1"}, "key", "http://127.0.0.1:2")
    assert api.base_url == "http://127.0.0.1:2"


def test_every_method_is_among_the_calls_tested_here(case):
    """So that nothing in this file is silently left out of a new method."""
    plain = importlib.import_module(f"ipfs_accelerate_py.api_backends.plain.{case.name}")
    names = {name for call in (case.call, *case.streams, *case.others) for name in call.__code__.co_names}
    assert set(public_methods(getattr(plain, case.name))) <= names


def test_the_session_has_room_for_the_queue(api):
    adapter = api.session.get_adapter(api.base_url)
    assert adapter._pool_maxsize >= 10  # as many as the README sets max_concurrent_requests to


def test_connections_are_kept(case, api, server):
    for call in case.calls:
        call(api)
    assert server.connections == 1


# The key


def test_key_is_sent_in_its_header_and_nowhere_else(case, api, server):
    header, scheme = case.header
    for call in case.calls:
        call(api)
    assert len(server.requests) >= len(case.calls)
    for request in server.requests:
        if request.path != "/upload/session":  # of Google's, which has a key of its own
            assert request.headers.pop(header) == scheme + case.answers().KEY
        assert case.answers().KEY not in f"{request.path}{request.query}{request.headers}{request.body!r}"


def test_without_a_key_none_is_sent(case, backend, server):
    server.app = getattr(case.answers(), "open_app", case.answers().app)
    api = case.make(backend, server, "")
    outcomes = [outcome_of(call, api, case.fails(backend)) for call in case.calls]
    if hasattr(case.answers(), "open_app"):
        assert not any(isinstance(outcome, Exception) for outcome in outcomes)
    assert len(server.requests) >= len(outcomes)
    assert all(case.header[0] not in request.headers for request in server.requests)


def test_netrc_does_not_replace_the_key(case, api, server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert case.call(api)


def test_refused_key_is_an_error_that_does_not_show_it(case, backend, server):
    error = failure_of(case.call, case.make(backend, server, CANARY), case.fails(backend))
    assert error.status in (400, 401)
    assert CANARY not in shown(error)


def test_vendor_that_repeats_the_key_is_not_quoted(case, backend, server):
    header = case.header[0]
    server.app = lambda request: Reply(401, {"error": {"message": f"bad key: {request.headers[header]}!"}})
    for call in case.calls:
        error = failure_of(call, case.make(backend, server, CANARY), case.fails(backend))
        assert error.message.startswith("bad key: ")
        assert CANARY not in shown(error)


@pytest.mark.parametrize("key", [f"{CANARY}\nX-Evil: 1", f"{CANARY}\r{CANARY}", f"{CANARY}\N{EURO SIGN}"])
def test_key_that_no_header_can_carry_is_refused_without_showing_it(case, backend, server, key):
    with pytest.raises(ValueError, match=r"(?i)key") as caught:
        case.call(case.make(backend, server, key))
    assert CANARY not in shown(caught.value)
    assert server.requests == []


def test_connection(case, api, backend, server):
    assert api.test_connection()
    if case.name != "ollama":  # ollama.com lists its models to anybody
        assert not case.make(backend, server, "wrong").test_connection()


@contextlib.contextmanager
def nobody_listens() -> Iterator[SimpleNamespace]:
    """Give the address of a port that is taken, so that nobody else comes to listen there, and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield SimpleNamespace(url=f"http://127.0.0.1:{taken.getsockname()[1]}")


def test_connection_to_nobody(case, backend):
    with nobody_listens() as server:
        api = case.make(backend, server)
        api.max_retries = 0
        assert not api.test_connection()


# Headers


class WithHeaders:
    """A backend whose methods are all called with extra headers."""

    def __init__(self, api: Any, headers: dict[str, str]) -> None:
        self.api, self.headers = api, headers

    def __getattr__(self, name: str) -> Any:
        return functools.partial(getattr(self.api, name), extra_headers=self.headers)


def test_headers_of_one_call(case, api, server):
    for call in case.calls:
        call(WithHeaders(api, {"X-Gateway": "one call"}))
    assert {request.headers["x-gateway"] for request in server.requests} == {"one call"}
    assert not any(b"X-Gateway" in request.body for request in server.requests)
    case.call(api)
    assert "x-gateway" not in server.requests[-1].headers


def test_headers_of_an_instance(case, backend, server):
    given = {"X-Gateway": "all calls"}
    api = getattr(backend, case.name)({}, {"headers": given}, case.answers().KEY, server.url + case.path)
    for call in case.calls:
        call(api)
    assert {request.headers["x-gateway"] for request in server.requests} == {"all calls"}
    api.headers["X-Gateway"] = "changed"
    case.call(WithHeaders(api, {"X-Other": "more"}))
    assert server.requests[-1].headers["x-gateway"] == "changed"
    assert server.requests[-1].headers["x-other"] == "more"
    assert given == {"X-Gateway": "all calls"}


def test_header_of_a_call_comes_before_that_of_the_instance_and_the_key(case, api, server):
    api.headers["x-gateway"] = "instance"
    header, scheme = case.header
    extra = {"X-Gateway": "call", header.title(): scheme + case.answers().KEY + " "}
    outcome_of(case.call, WithHeaders(api, extra), Exception)
    assert server.requests[-1].headers["x-gateway"] == "call"


def test_header_that_cannot_be_sent_is_refused_without_showing_it(case, api, server):
    for value in (f"{CANARY}\nX-Evil: 1", f"{CANARY}\N{EURO SIGN}", 7, None):
        with pytest.raises(ValueError, match="X-Secret") as caught:
            case.call(WithHeaders(api, {"X-Secret": value}))
        assert CANARY not in shown(caught.value)
    assert server.requests == []


def test_space_around_a_header_is_no_part_of_it(case, api, server):
    case.call(WithHeaders(api, {"X-Gateway": f" {CANARY}\n"}))
    assert server.requests[0].headers["x-gateway"] == CANARY


def test_key_of_a_gateway_is_not_shown_either(case, api, backend, server):
    server.app = lambda request: Reply(403, {"error": {"message": f"no: {request.headers['x-gateway-key']}"}})
    error = failure_of(case.call, WithHeaders(api, {"X-Gateway-Key": CANARY}), case.fails(backend))
    assert error.message == "no: ***"
    assert CANARY not in shown(error)


# Failures: one exception a backend


def test_error_has_the_status_and_the_vendors_message(case, api, backend, server):
    error = case.answers().error
    needed = [each for each in inspect.signature(error).parameters.values() if each.default is each.empty]
    server.app = lambda request: error(503, *["out of order"] * (len(needed) - 1))
    for call in case.calls:
        outcome = outcome_of(call, api, case.fails(backend))
        if outcome is not False:  # which is what the questions after a server's health answer
            assert (outcome.status, outcome.message) == (503, "out of order")
            assert str(outcome) == "HTTP 503: out of order"


def test_error_can_be_pickled(case, backend):
    error = pickle.loads(pickle.dumps(case.fails(backend)(429, "slow down")))
    assert (type(error), error.status, error.message) == (case.fails(backend), 429, "slow down")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        ("", "Bad Gateway"),
        ({"error": None}, "Bad Gateway"),
        ({"detail": [{"loc": ["body"], "msg": "Field required"}]}, "Field required"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({"object": "error", "message": "at the top"}, "at the top"),
    ],
)
def test_error_body_of_a_proxy_or_in_another_form(case, api, backend, server, body, message):
    server.app = lambda request: Reply(502, body)
    error = failure_of(case.call, api, case.fails(backend))
    assert (error.status, error.message) == (502, message)


def test_no_connection_is_the_backends_error_too(case, backend):
    with nobody_listens() as server:
        api = case.make(backend, server, CANARY)
        api.max_retries = 0
        errors = [failure_of(call, api, case.fails(backend)) for call in case.calls]
    for error in errors:
        assert error.status is None
        assert error.message.startswith("ConnectionError: ")
        assert CANARY not in shown(error)


def test_connection_cut_before_the_answer(case, api, backend, server):
    server.script(Reset())
    assert failure_of(case.call, api, case.fails(backend)).message.startswith("ConnectionError: ")


class Named:
    """A backend that remembers which of its methods was asked for."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def __getattr__(self, name: str) -> Any:
        self.name = name
        return getattr(self.api, name)


MAKES_SOMETHING = re.compile(r"create|upload|ingest|pull|copy|update|cancel")


def test_kept_connection_that_ends_is_replaced_unless_something_could_be_made_twice(
    case, api, backend, server
):
    for call in case.calls:
        case.call(api)
        seen = len(server.requests)
        server.script(Reset())
        named = Named(api)
        outcome = outcome_of(call, named, case.fails(backend))
        once = MAKES_SOMETHING.match(named.name)
        assert isinstance(outcome, Exception) == bool(once), named.name
        assert once or outcome is not False
        first = server.requests[seen]
        again = [(r.path, r.query, r.body) for r in server.requests[seen + 1 : seen + 2]]
        assert again == ([] if once else [(first.path, first.query, first.body)]), named.name


def test_answer_cut_off(case, api, backend, server):
    server.script(Reply(200, b'{"half": "of an answer"}', cut_after=5))
    error = failure_of(case.call, api, case.fails(backend))
    assert error.message.startswith(("ChunkedEncodingError: ", "ConnectionError: "))


def test_server_that_does_not_answer_in_time(case, api, backend, server):
    api.timeout = (5, 0.05)
    server.script(Reply(200, {}, delay=30))
    error = failure_of(case.call, api, case.fails(backend))
    assert error.status is None
    assert "imeout" in error.message


def test_redirect_is_not_followed_lest_the_key_goes_along(case, api, backend, server):
    with LoopbackServer() as elsewhere:
        server.app = lambda request: Reply(307, headers={"Location": elsewhere.url + "/evil"})
        for call in case.calls:
            assert failure_of(call, api, case.fails(backend)).status == 307
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"7", b'"text"', b"[]", b"[null]", b"{}", b'{"data": null}', b'{"data": [{}]}',
     b'{"data": [null]}', b'{"models": [{}], "embeddings": 1, "outputs": null}', b"\xff\xfe\x00", b"[" * 100_000],
)  # fmt: skip
def test_answer_in_another_form_raises_nothing_but_the_backends_error(case, api, backend, server, body):
    server.app = lambda request: Reply(200, body)
    for call in case.calls:
        outcome = outcome_of(call, api, case.fails(backend))
        assert getattr(outcome, "status", None) in (200, None)


# Streams


def pieces_of(case: Case, call: Any, api: Any, server: LoopbackServer) -> tuple[list[bytes], Request]:
    """Return the chunks that the vendor streams, and the request for them."""
    seen = len(server.requests)
    assert list(call(api))
    request = server.requests[seen]
    return list(case.answers().app(request).body), request


@streaming
def test_first_piece_comes_before_the_last_one_was_sent(case, api, server):
    for call in case.streams:
        chunks, _ = pieces_of(case, call, api, server)
        gate = threading.Event()

        def held(chunks: list[bytes] = chunks, gate: threading.Event = gate) -> Iterator[bytes]:
            yield from chunks[:-1]
            gate.wait(30)
            yield chunks[-1]

        server.script(Reply(200, held()))
        stream = call(api)
        assert next(stream)
        assert not gate.is_set()
        gate.set()
        assert list(stream)


@streaming
def test_stream_that_ends_too_early_is_an_error(case, api, backend, server):
    for call in case.streams:
        chunks, _ = pieces_of(case, call, api, server)
        server.script(Reply(200, iter(chunks[:2])))
        error = failure_of(lambda api, call=call: list(call(api)), api, case.fails(backend))
        assert (error.status, error.message) == (None, "the stream ended before the answer was complete")


@streaming
def test_empty_stream_is_an_error(case, api, backend, server):
    for call in case.streams:
        server.script(Reply(200, iter(())))
        failure_of(lambda api, call=call: list(call(api)), api, case.fails(backend))


@streaming
def test_stream_whose_connection_is_cut_is_an_error(case, api, backend, server):
    for call in case.streams:
        chunks, _ = pieces_of(case, call, api, server)
        server.script(Reply(200, iter(chunks), cut_after=2))
        stream = call(api)
        assert next(stream)
        error = failure_of(lambda _, stream=stream: list(stream), api, case.fails(backend))
        assert error.status is None
        assert error.message.startswith("ChunkedEncodingError: ")


@streaming
def test_event_that_is_no_json_is_an_error(case, api, backend, server):
    for call in case.streams:
        for garbage in (b"data: {\n\n{\n", b"data: [1]\n\n[1]\n", b"data: \xff\n\n\xff\n"):
            server.script(Reply(200, iter([garbage])))
            error = failure_of(lambda api, call=call: list(call(api)), api, case.fails(backend))
            assert error.message == "an event of the stream is not a JSON object"


@streaming
def test_event_in_another_form_raises_nothing_but_the_backends_error(case, api, backend, server):
    event = b'{"choices": [7], "candidates": [7], "promptFeedback": 7, "x_groq": 7, "done": []}'
    for call in case.streams:
        server.script(
            Reply(200, iter([b"data: " + event + b"\n\n" if case.name != "ollama" else event + b"\n"]))
        )
        failure_of(lambda api, call=call: list(call(api)), api, case.fails(backend))


@streaming
def test_error_inside_a_stream_does_not_show_the_key(case, backend, server):
    for call in case.streams:
        failing = b'{"error": {"message": "overloaded, %s"}}' % CANARY.encode()
        line = failing + b"\n" if case.name == "ollama" else b"data: " + failing + b"\n\n"
        server.script(Reply(200, iter([line])))
        api = case.make(backend, server, CANARY)
        error = failure_of(lambda api, call=call: list(call(api)), api, case.fails(backend))
        assert (error.status, error.message) == (None, "overloaded, ***")
        assert CANARY not in shown(error)


@streaming
def test_stream_is_asked_for_only_when_it_is_read(case, api, server):
    stream = case.streams[0](api)
    assert server.requests == []
    assert next(stream)
    assert len(server.requests) == 1


@streaming
def test_caller_who_leaves_a_stream_gives_its_connection_back(case, api, server):
    stream = case.streams[0](api)
    assert next(stream)
    stream.close()
    assert case.call(api)
    assert list(case.streams[0](api))


@streaming
def test_what_the_caller_of_a_stream_raises_is_left_alone(case, api):
    def read() -> None:
        for _ in case.streams[0](api):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()
