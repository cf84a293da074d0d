"""What the retrofit gives each of the eleven backends, against a loopback server that speaks the vendor's format."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .loopback import LoopbackServer, Reply

HELLO = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True)
class Case:
    """A backend, a call of it, and the variable that its key comes from."""

    name: str
    vendor: str
    call: Callable[[Any], Any]
    variable: str
    path: str = ""

    def backend(self) -> Any:
        module = importlib.import_module(f"ipfs_accelerate_py.api_backends.{self.name}")
        return getattr(module, self.name)


def chat(api: Any, model: str = "a-model") -> Any:
    return api.chat(model, HELLO)


CASES = [
    Case("openai_api", "openai", chat, "OPENAI_API_KEY", "/v1"),
    Case("claude", "claude", chat, "CLAUDE_API_KEY"),
    Case("groq", "groq", chat, "GROQ_API_KEY", "/openai/v1"),
    Case("gemini", "gemini", lambda api: chat(api, "gemini-2.5-pro"), "GEMINI_API_KEY", "/v1beta"),
    Case("ollama", "ollama", lambda api: chat(api, "llama3.2"), "OLLAMA_API_KEY"),
    Case("hf_tgi", "hf_tgi", lambda api: api.generate("Hello"), "HF_TOKEN"),
    Case("hf_tei", "hf_tei", lambda api: api.embed("Hello"), "HUGGING_FACE_HUB_TOKEN"),
    Case("llvm", "llvm", lambda api: api.list_models(), "LLVM_API_KEY", "/v1"),
    Case("opea", "opea", chat, "OPEA_API_KEY"),
    Case("ovms", "ovms", lambda api: api.list_models(), "OVMS_API_KEY"),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Case:
    for other in CASES:
        monkeypatch.delenv(other.variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def vendor(case: Case) -> Any:
    return importlib.import_module(f"test.vendors.{case.vendor}")


@pytest.fixture
def server(vendor: Any) -> Iterator[LoopbackServer]:
    with LoopbackServer(vendor.app) as server:
        yield server


@pytest.fixture
def api(case: Case, vendor: Any, server: LoopbackServer) -> Iterator[Any]:
    api = case.backend()({}, {}, vendor.KEY, server.url + case.path)
    api.initial_retry_delay = 0.01
    yield api
    api.close()


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


def test_key_comes_from_the_environment(case, vendor, server, monkeypatch, caplog):
    monkeypatch.setenv(case.variable, vendor.KEY)
    with caplog.at_level(logging.INFO):
        assert case.call(case.backend()({}, {}, None, server.url + case.path))
    assert case.variable in caplog.text
    assert vendor.KEY not in caplog.text


def test_key_comes_from_dotenv_in_the_working_directory(case, vendor, server, tmp_path):
    (tmp_path / ".env").write_text(f"{case.variable}={vendor.KEY}\n")
    assert case.call(case.backend()({}, {}, None, server.url + case.path))


def test_constructor_beats_metadata_beats_environment(case, monkeypatch):
    monkeypatch.setenv(case.variable, "from-environment")
    backend = case.backend()
    assert backend({}, {"api_key": "from-metadata"}, "from-argument").api_key == "from-argument"
    assert backend({}, {"api_key": "from-metadata"}).api_key == "from-metadata"
    assert backend({}, {"api_key": " "}).api_key == "from-environment"
    assert backend({}, {"api_key": "from-metadata"}, "").api_key == ""


def test_the_key_is_in_no_log_line_and_no_error(case, vendor, api, server, caplog):
    server.app = lambda request: Reply(500, {"error": "out of order"})
    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="out of order") as caught:
        case.call(api)
    assert caplog.text.count("retry ") == 5
    assert vendor.KEY not in caplog.text + str(caught.value) + repr(caught.value)
    assert all(vendor.KEY not in request.path + str(request.query) for request in server.requests)


def test_a_connection_cut_by_the_server_is_retried(case, api, server):
    from .loopback import Reset

    server.script(Reset())
    assert case.call(api)
    assert len(server.requests) == 2


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
