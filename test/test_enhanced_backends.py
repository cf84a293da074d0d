"""What the retrofit gives each of the eleven backends, against a loopback server that speaks the vendor's format."""

from __future__ import annotations

import gc
import importlib
import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .backends.cases import CASES, STREAMING, Case
from .loopback import LoopbackServer, Reply, Request, Reset

KEY_VARIABLES = {
    "openai_api": ("OPENAI_API_KEY",),
    "claude": ("ANTHROPIC_API_KEY", "CLAUDE_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "ollama": ("OLLAMA_API_KEY",),
    "hf_tgi": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "hf_tei": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "llvm": ("LLVM_API_KEY",),
    "opea": ("OPEA_API_KEY",),
    "ovms": ("OVMS_API_KEY",),
}
VARIABLES = {variable for variables in KEY_VARIABLES.values() for variable in variables}

ENHANCED = Path(__file__).resolve().parent.parent / "backends"

streaming = pytest.mark.parametrize("case", STREAMING, ids=lambda case: case.name, indirect=True)


MARK = re.compile(r" *# (>>>|<<<) retrofit:")


@pytest.mark.parametrize("path", sorted(ENHANCED.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_C4_the_blocks_of_a_class_have_at_most_22_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    marks = [number for number, line in enumerate(lines) if MARK.match(line)]
    blocks = lines[marks[0] : marks[-1] + 1]
    assert 0 < len(blocks) <= 22
    assert len(marks) in (4, 6)  # s3_kit has no key


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Case:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def backend(case: Case) -> Any:
    return importlib.import_module(f"ipfs_accelerate_py.api_backends.{case.name}")


@pytest.fixture
def server(case: Case) -> Iterator[LoopbackServer]:
    with LoopbackServer(case.answers().app) as server:
        yield server


@pytest.fixture
def api(case: Case, backend: Any, server: LoopbackServer) -> Iterator[Any]:
    api = case.make(backend, server)
    api.initial_retry_delay = 0.01
    yield api
    api.close()


def until(condition: Any) -> bool:
    """Wait until `condition()` is true, 10 s at most."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_503_for_ever_counts_six_requests_and_raises_what_the_plain_backend_raises(case, api, server):
    server.app = lambda request: Reply(503, {"error": "out of order"})
    with pytest.raises(Exception, match="out of order") as caught:
        case.call(api)
    assert type(caught.value).__mro__[1].__name__ == "BackendError"
    assert caught.value.status == 503
    assert len(server.requests) == 6


def test_429_is_retried_when_the_server_says(case, api, server):
    server.script(Reply(429, {"error": "slow down"}, {"Retry-After": "0.2"}))
    assert case.call(api)
    first, second = server.requests
    assert second.at - first.at >= 0.2


def test_401_is_not_retried(case, api, server):
    server.app = lambda request: Reply(401, {"error": "who are you?"})
    with pytest.raises(Exception, match="who are you"):
        case.call(api)
    assert len(server.requests) == 1


def test_key_comes_from_the_environment(case, backend, server, monkeypatch, caplog):
    key = case.answers().KEY
    monkeypatch.setenv(case.variable, key)
    with caplog.at_level(logging.INFO):
        assert case.call(getattr(backend, case.name)({}, {}, None, server.url + case.path))
    assert case.variable in caplog.text
    assert key not in caplog.text


def test_K2_each_variable_of_the_api_is_read_and_the_first_one_wins(case, backend, server, monkeypatch):
    variables = KEY_VARIABLES[case.name]
    api = getattr(backend, case.name)({}, {}, None, server.url + case.path)
    for other in VARIABLES.difference(variables):
        monkeypatch.setenv(other, f"from-{other}")
    assert api.api_key == ""
    for variable in reversed(variables):
        monkeypatch.setenv(variable, f"from-{variable}")
        assert getattr(backend, case.name)({}, {}, None, server.url + case.path).api_key == f"from-{variable}"


def test_K2_the_credentials_of_aws_stay_with_botocore(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-environment, too")
    module = importlib.import_module("ipfs_accelerate_py.api_backends.s3_kit")
    credentials = module.s3_kit({}, {}).client._request_signer._credentials
    assert (credentials.access_key, credentials.method) == ("from-environment", "env")
    assert "retrofit:env_key" not in Path(module.__file__).read_text()


def test_key_comes_from_dotenv_in_the_working_directory(case, backend, server, tmp_path):
    (tmp_path / ".env").write_text(f"{case.variable}={case.answers().KEY}\n")
    assert case.call(getattr(backend, case.name)({}, {}, None, server.url + case.path))


def test_constructor_beats_metadata_beats_environment(case, backend, monkeypatch):
    monkeypatch.setenv(case.variable, "from-environment")
    make = getattr(backend, case.name)
    assert make({}, {"api_key": "from-metadata"}, "from-argument").api_key == "from-argument"
    assert make({}, {"api_key": "from-metadata"}).api_key == "from-metadata"
    assert make({}, {"api_key": " "}).api_key == "from-environment"
    assert make({}, {"api_key": "from-metadata"}, "").api_key == ""


def test_the_key_is_in_no_log_line_and_no_error(case, api, server, caplog):
    key = case.answers().KEY
    server.app = lambda request: Reply(500, {"error": "out of order"})
    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="out of order") as caught:
        case.call(api)
    assert caplog.text.count("retry ") == 5
    assert key not in caplog.text + str(caught.value) + repr(caught.value)
    assert all(key not in request.path + str(request.query) for request in server.requests)


def test_a_connection_cut_by_the_server_is_retried(case, api, server):
    server.script(Reset())
    assert case.call(api)
    assert len(server.requests) == 2


# Streams: S1


@streaming
def test_stream_holds_its_slot_until_it_is_exhausted(case, api):
    for stream in (call(api) for call in case.streams):
        assert next(stream)
        assert api.current_requests == 1
        assert list(stream)
        assert api.current_requests == 0


@streaming
def test_closed_stream_gives_its_slot_back(case, api):
    for stream in (call(api) for call in case.streams):
        assert next(stream)
        stream.close()
        assert api.current_requests == 0


@streaming
def test_abandoned_stream_gives_its_slot_back(case, api):
    api.max_concurrent_requests = 1
    for call in case.streams:
        for item in call(api):
            assert item
            break
        gc.collect()
        assert until(lambda: api.current_requests == 0)
    assert case.call(api)


@streaming
def test_stream_that_is_never_read_takes_no_slot(case, api, server):
    streams = [call(api) for call in case.streams]
    assert (api.current_requests, server.requests) == (0, [])
    del streams


@streaming
def test_request_waits_for_the_slot_that_a_stream_holds(case, api, server):
    api.max_concurrent_requests = 1
    stream = case.streams[0](api)
    assert next(stream)
    future = api.submit(case.call, api)
    assert until(lambda: len(api.request_queue) == 1)
    assert len(server.requests) == 1
    assert list(stream)
    assert future.result(10)


@streaming
def test_503_before_a_stream_is_retried(case, api, server):
    for call in case.streams:
        server.script(
            Reply(503, {"error": "busy"}), Reply(429, {"error": "slow down"}, {"Retry-After": "0.01"})
        )
        before = len(server.requests)
        assert list(call(api))
        assert len(server.requests) - before == 3
        assert api.current_requests == 0


@streaming
def test_stream_that_is_cut_after_its_first_piece_is_not_retried(case, api, backend, server):
    for call in case.streams:
        before = len(server.requests)
        assert list(call(api))
        chunks = list(case.answers().app(server.requests[before]).body)
        server.script(Reply(200, iter(chunks), cut_after=2))
        stream = call(api)
        assert next(stream)
        with pytest.raises(case.fails(backend)):
            list(stream)
        assert len(server.requests) - before == 2
        assert api.current_requests == 0


@streaming
def test_stream_with_an_error_in_it_gives_its_slot_back_at_once(case, api, backend, server):
    failing = b'{"error": {"message": "overloaded"}}'
    line = failing + b"\n" if case.name == "ollama" else b"data: " + failing + b"\n\n"
    gate = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield line
        gate.wait(10)

    for call in case.streams:
        server.script(Reply(200, chunks()))
        stream = call(api)
        with pytest.raises(case.fails(backend), match="overloaded") as caught:
            next(stream)
        assert api.current_requests == 0
        assert caught.value.__traceback__ is not None  # which keeps all frames alive
    gate.set()


@streaming
def test_never_more_streams_at_once_than_the_limit(case, api, server):
    api.max_concurrent_requests = 2
    gate = threading.Event()

    def app(request: Request) -> Reply:
        gate.wait(10)
        return case.answers().app(request)

    server.app = app
    futures = [api.submit(lambda: list(case.streams[0](api))) for _ in range(6)]
    assert until(lambda: server.in_flight == 2)
    gate.set()
    assert all(future.result(10) for future in futures)
    assert server.most_in_flight == 2


def test_s3_503_for_ever_counts_six_requests(monkeypatch):
    from ipfs_accelerate_py.api_backends import s3_kit

    for name, value in (
        ("ACCESS_KEY_ID", "test"),
        ("SECRET_ACCESS_KEY", "test"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    slow_down = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    with LoopbackServer(lambda request: Reply(503, slow_down, {"Content-Type": "application/xml"})) as server:
        api = s3_kit({}, {}, base_url=server.url)
        api.initial_retry_delay = 0.01
        with pytest.raises(Exception, match="reduce your request rate") as caught:
            api.list_keys("bucket")
        assert type(caught.value).__name__ == "S3Error"
        assert len(server.requests) == 6
        api.close()


def test_a_question_whether_the_server_is_well_is_asked_once(case, api, server):
    """B13: whoever asks that would wait half a minute for a no."""
    server.script(Reply(503))
    assert not api.test_connection()
    assert len(server.requests) == 1
    assert (api.queue_stats()["sent"], api.queue_stats()["retried"]) == (1, 0)


WELL = {
    "hf_tgi": ("health",),
    "hf_tei": ("health",),
    "ovms": ("server_live", "server_ready", "model_ready"),
}


def test_a_server_that_is_not_ready_yet_is_asked_once(case, api, server):
    """B13, as above. The server says it by 503, with nothing wrong."""
    for method in WELL.get(case.name, ()):
        server.requests.clear()
        server.script(Reply(503))
        assert getattr(api, method)(*["resnet"] * (method == "model_ready")) is False
        assert len(server.requests) == 1
