"""The ten backends that speak HTTP, each with all that it can be asked; S3 is tested apart."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..loopback import LoopbackServer

HELLO = [{"role": "user", "content": "Hello there"}]
TENSOR = {"name": "data", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}

Call = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """A backend.

    Attributes:
        error: the name of its exception.
        vendor: the module in `test.vendors` that answers it.
        path: what its base URL ends in.
        default: its base URL, if none is given.
        header: where the key goes, with what stands before it.
        variable: where the enhanced backend finds its key.
        call: what it is most used for.
        streams: what it streams.
        others: all else that it can be asked.
    """

    name: str
    error: str
    vendor: str
    path: str
    default: str
    header: tuple[str, str]
    variable: str
    call: Call
    streams: tuple[Call, ...]
    others: tuple[Call, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        """All that it can be asked, with streams read to their end."""
        streams = tuple((lambda api, stream=stream: list(stream(api))) for stream in self.streams)
        return (self.call, *streams, *self.others)

    def answers(self) -> Any:
        """Return the module that answers it."""
        return importlib.import_module(f"test.vendors.{self.vendor}")

    def fails(self, module: Any) -> type[Exception]:
        """Return its exception, out of its module."""
        return getattr(module, self.error)  # type: ignore[no-any-return]

    def make(self, module: Any, server: LoopbackServer, key: str | None = None) -> Any:
        """Return a backend of `module` that talks to `server`, with the right key unless another is given."""
        key = self.answers().KEY if key is None else key
        return getattr(module, self.name)({}, {}, key, server.url + self.path)


BEARER = ("authorization", "Bearer ")

CASES = [
    Case(
        "openai_api", "OpenAIError", "openai", "/v1", "https://api.openai.com/v1", BEARER, "OPENAI_API_KEY",
        lambda api: api.chat("gpt-4o", HELLO),
        (
            lambda api: api.stream_chat("gpt-4o", HELLO),
            lambda api: api.stream_complete("gpt-3.5-turbo-instruct", "Once upon"),
        ),
        (
            lambda api: api.complete("gpt-3.5-turbo-instruct", "Once upon"),
            lambda api: api.embed("text-embedding-3-small", ["a", "bbb"]),
            lambda api: api.list_models(),
        ),
    ),
    Case(
        "claude", "ClaudeError", "claude", "", "https://api.anthropic.com", BEARER, "CLAUDE_API_KEY",
        lambda api: api.chat("claude-opus-5-5", HELLO),
        (lambda api: api.stream_chat("claude-opus-5-5", HELLO),),
        (lambda api: api.count_tokens("claude-opus-5-5", HELLO), lambda api: api.list_models()),
    ),
    Case(
        "groq", "GroqError", "groq", "/openai/v1", "https://api.groq.com/openai/v1", BEARER, "GROQ_API_KEY",
        lambda api: api.chat("llama-3.3-70b-versatile", HELLO),
        (lambda api: api.stream_chat("llama-3.3-70b-versatile", HELLO),),
        (
            lambda api: api.embed("nomic-embed-text-v1_5", ["a", "bbb"]),
            lambda api: api.transcribe("whisper-large-v3-turbo", "hello.wav", b"RIFF"),
            lambda api: api.list_models(),
        ),
    ),
    Case(
        "gemini", "GeminiError", "gemini", "/v1beta", "https://generativelanguage.googleapis.com/v1beta",
        ("x-goog-api-key", ""), "GEMINI_API_KEY",
        lambda api: api.chat("gemini-2.5-flash", HELLO),
        (lambda api: api.stream_chat("gemini-2.5-flash", HELLO),),
        (
            lambda api: api.embed("gemini-embedding-001", ["a", "bbb"]),
            lambda api: api.count_tokens("gemini-2.5-flash", HELLO),
            lambda api: api.list_models(),
        ),
    ),
    Case(
        "ollama", "OllamaError", "ollama", "", "http://localhost:11434", BEARER, "OLLAMA_API_KEY",
        lambda api: api.chat("llama3.2", HELLO),
        (
            lambda api: api.stream_chat("llama3.2", HELLO),
            lambda api: api.stream_complete("llama3.2", "Once upon"),
            lambda api: api.pull("gemma3"),
        ),
        (
            lambda api: api.complete("llama3.2", "Once upon"),
            lambda api: api.embed("all-minilm", ["a", "bbb"]),
            lambda api: api.list_models(),
            lambda api: api.version(),
        ),
    ),
    Case(
        "hf_tgi", "TGIError", "hf_tgi", "", "http://localhost:8080", BEARER, "HF_TOKEN",
        lambda api: api.generate("Hello there"),
        (lambda api: api.stream_generate("Hello there"), lambda api: api.stream_chat("tgi", HELLO)),
        (
            lambda api: api.chat("tgi", HELLO),
            lambda api: api.tokenize("abc"),
            lambda api: api.list_models(),
            lambda api: api.info(),
            lambda api: api.health(),
        ),
    ),
    Case(
        "hf_tei", "TEIError", "hf_tei", "", "http://localhost:8080", BEARER, "HUGGING_FACE_HUB_TOKEN",
        lambda api: api.embed(["a", "bbb"]),
        (),
        (
            lambda api: api.embed_sparse("a"),
            lambda api: api.rerank("sky", ["blue", "the sky"]),
            lambda api: api.predict(["a", "b"]),
            lambda api: api.tokenize("abc"),
            lambda api: api.list_models(),
            lambda api: api.info(),
            lambda api: api.health(),
        ),
    ),
    Case(
        "llvm", "LLVMError", "llvm", "/v1", "http://localhost:8000/v1", BEARER, "LLVM_API_KEY",
        lambda api: api.chat("llama-3", HELLO),
        (lambda api: api.stream_chat("llama-3", HELLO), lambda api: api.stream_complete("llama-3", "Once upon")),
        (
            lambda api: api.complete("llama-3", "Once upon"),
            lambda api: api.embed("llama-3", ["a", "bbb"]),
            lambda api: api.list_models(),
            lambda api: api.model_info("llama-3"),
        ),
    ),
    Case(
        "opea", "OPEAError", "opea", "", "http://localhost:8888", BEARER, "OPEA_API_KEY",
        lambda api: api.chat("a-model", HELLO),
        (lambda api: api.stream_chat("a-model", HELLO), lambda api: api.stream_complete("a-model", "Once upon")),
        (
            lambda api: api.complete("a-model", "Once upon"),
            lambda api: api.embed("a-model", ["a", "bbb"]),
            lambda api: api.health(),
        ),
    ),
    Case(
        "ovms", "OVMSError", "ovms", "", "http://localhost:8000", BEARER, "OVMS_API_KEY",
        lambda api: api.chat("OpenVINO/Qwen3-8B", HELLO),
        (
            lambda api: api.stream_chat("OpenVINO/Qwen3-8B", HELLO),
            lambda api: api.stream_complete("OpenVINO/Qwen3-8B", "Once upon"),
        ),
        (
            lambda api: api.complete("OpenVINO/Qwen3-8B", "Once upon"),
            lambda api: api.embed("OpenVINO/Qwen3-8B", ["a", "bbb"]),
            lambda api: api.infer("resnet", [TENSOR]),
            lambda api: api.predict("resnet", [[1.0, 2.0]]),
            lambda api: api.list_models(),
            lambda api: api.model_status("resnet"),
            lambda api: api.model_metadata("resnet"),
            lambda api: api.model_ready("resnet"),
            lambda api: api.server_live(),
            lambda api: api.server_ready(),
        ),
    ),
]  # fmt: skip

STREAMING = [case for case in CASES if case.streams]


def public_methods(backend: type) -> Iterator[str]:
    """Yield the names of a backend's own methods that ask the API for something."""
    for name, member in vars(backend).items():
        if (
            inspect.isfunction(member)
            and not name.startswith("_")
            and name not in ("close", "test_connection")
        ):
            yield name
