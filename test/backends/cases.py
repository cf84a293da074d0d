"""The ten backends that speak HTTP, each with all that it can be asked; S3 is tested apart."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..loopback import LoopbackServer

HELLO = [{"role": "user", "content": "Hello there"}]
MESSAGE = {"custom_id": "a", "params": {"model": "claude-opus-5-5", "max_tokens": 5, "messages": HELLO}}
QWEN = "Qwen/Qwen3-8B"
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
        lambda api: api.chat("gpt-6-luna", HELLO),
        (
            lambda api: api.stream_response("gpt-6-luna", "Hello there"),
            lambda api: api.stream_chat("gpt-6-luna", HELLO),
            lambda api: api.stream_complete("gpt-oss-20b", "Once upon"),
        ),
        (
            lambda api: api.respond("gpt-6-luna", "Hello there"),
            lambda api: api.get_response("resp_1"),
            lambda api: api.cancel_response("resp_1"),
            lambda api: api.delete_response("resp_1"),
            lambda api: api.count_tokens("gpt-6-luna", "Hello there"),
            lambda api: api.complete("gpt-oss-20b", "Once upon"),
            lambda api: api.embed("text-embedding-3-small", ["a", "bbb"]),
            lambda api: api.moderate("omni-moderation-latest", "a"),
            lambda api: api.transcribe("gpt-transcribe", "hello.wav", b"RIFF"),
            lambda api: api.translate("whisper-1", "hallo.wav", b"RIFF"),
            lambda api: api.speak("gpt-4o-mini-tts", "Hello", "alloy"),
            lambda api: api.draw("gpt-image-2", "a cat"),
            lambda api: api.edit_image("gpt-image-2", "a hat", ("cat.png", b"PNG")),
            lambda api: api.upload_file("in.jsonl", b"{}", "batch"),
            lambda api: api.list_files(),
            lambda api: api.get_file("file-1"),
            lambda api: api.download_file("file-1"),
            lambda api: api.delete_file("file-1"),
            lambda api: api.create_batch("file-1", "/v1/responses"),
            lambda api: api.list_batches(),
            lambda api: api.get_batch("batch-1"),
            lambda api: api.cancel_batch("batch-1"),
            lambda api: api.list_models(),
            lambda api: api.model_info("gpt-6-luna"),
        ),
    ),
    Case(
        "claude", "ClaudeError", "claude", "", "https://api.anthropic.com", BEARER, "CLAUDE_API_KEY",
        lambda api: api.chat("claude-opus-5-5", HELLO),
        (lambda api: api.stream_chat("claude-opus-5-5", HELLO),),
        (
            lambda api: api.count_tokens("claude-opus-5-5", HELLO),
            lambda api: api.create_batch([MESSAGE]),
            lambda api: api.list_batches(),
            lambda api: api.get_batch("msgbatch_1"),
            lambda api: list(api.batch_results("msgbatch_1")),
            lambda api: api.cancel_batch("msgbatch_1"),
            lambda api: api.delete_batch("msgbatch_1"),
            lambda api: api.upload_file("a.txt", b"hi"),
            lambda api: api.list_files(),
            lambda api: api.get_file("file_1"),
            lambda api: api.download_file("file_1"),
            lambda api: api.delete_file("file_1"),
            lambda api: api.list_models(),
            lambda api: api.model_info("claude-opus-5-5"),
        ),
    ),
    Case(
        "groq", "GroqError", "groq", "/openai/v1", "https://api.groq.com/openai/v1", BEARER, "GROQ_API_KEY",
        lambda api: api.chat("openai/gpt-oss-120b", HELLO),
        (lambda api: api.stream_chat("openai/gpt-oss-120b", HELLO),),
        (
            lambda api: api.embed("nomic-embed-text-v1_5", ["a", "bbb"]),
            lambda api: api.transcribe("whisper-large-v3-turbo", "hello.wav", b"RIFF"),
            lambda api: api.translate("whisper-large-v3", "hallo.wav", b"RIFF"),
            lambda api: api.speak("canopylabs/orpheus-v1-english", "Hello", "troy"),
            lambda api: api.upload_file("in.jsonl", b"{}"),
            lambda api: api.list_files(),
            lambda api: api.get_file("file-1"),
            lambda api: api.download_file("file-1"),
            lambda api: api.delete_file("file-1"),
            lambda api: api.create_batch("file-1"),
            lambda api: api.list_batches(),
            lambda api: api.get_batch("batch-1"),
            lambda api: api.cancel_batch("batch-1"),
            lambda api: api.list_models(),
            lambda api: api.model_info("openai/gpt-oss-120b"),
        ),
    ),
    Case(
        "gemini", "GeminiError", "gemini", "/v1", "https://generativelanguage.googleapis.com/v1",
        ("x-goog-api-key", ""), "GEMINI_API_KEY",
        lambda api: api.chat("gemini-3.8-flash", HELLO),
        (
            lambda api: api.stream_chat("gemini-3.8-flash", HELLO),
            lambda api: api.stream_interaction("gemini-3.8-flash", "Hello there"),
        ),
        (
            lambda api: api.interact("gemini-3.8-flash", "Hello there"),
            lambda api: api.get_interaction("int-1"),
            lambda api: api.cancel_interaction("int-1"),
            lambda api: api.delete_interaction("int-1"),
            lambda api: api.embed("gemini-embedding-2", ["a", "bbb"]),
            lambda api: api.count_tokens("gemini-3.8-flash", HELLO),
            lambda api: api.upload_file("a.txt", b"hi"),
            lambda api: api.list_files(),
            lambda api: api.get_file("abc"),
            lambda api: api.download_file("abc"),
            lambda api: api.delete_file("abc"),
            lambda api: api.create_cache("gemini-3.8-flash", HELLO),
            lambda api: api.list_caches(),
            lambda api: api.get_cache("abc"),
            lambda api: api.update_cache("abc", ttl="60s"),
            lambda api: api.delete_cache("abc"),
            lambda api: api.create_batch("gemini-3.8-flash", "files/abc"),
            lambda api: api.list_batches(),
            lambda api: api.get_batch("abc"),
            lambda api: api.cancel_batch("abc"),
            lambda api: api.delete_batch("abc"),
            lambda api: api.list_models(),
            lambda api: api.model_info("gemini-3.8-flash"),
        ),
    ),
    Case(
        "ollama", "OllamaError", "ollama", "", "http://localhost:11434", BEARER, "OLLAMA_API_KEY",
        lambda api: api.chat("llama3.2", HELLO),
        (
            lambda api: api.stream_chat("llama3.2", HELLO),
            lambda api: api.stream_complete("llama3.2", "Once upon"),
            lambda api: api.pull("gemma3"),
            lambda api: api.create("short", from_="llama3.2"),
        ),
        (
            lambda api: api.complete("llama3.2", "Once upon"),
            lambda api: api.embed("all-minilm", ["a", "bbb"]),
            lambda api: api.list_models(),
            lambda api: api.ps(),
            lambda api: api.show("llama3.2"),
            lambda api: api.copy("llama3.2", "second"),
            lambda api: api.delete("llama3.2"),
            lambda api: api.version(),
        ),
    ),
    Case(
        "hf_tgi", "TGIError", "hf_tgi", "", "http://localhost:8080", BEARER, "HF_TOKEN",
        lambda api: api.generate("Hello there"),
        (
            lambda api: api.stream_generate("Hello there"),
            lambda api: api.stream_chat("tgi", HELLO),
            lambda api: api.stream_complete("tgi", "Once upon"),
        ),
        (
            lambda api: api.chat("tgi", HELLO),
            lambda api: api.complete("tgi", "Once upon"),
            lambda api: api.tokenize("abc"),
            lambda api: api.chat_tokenize("tgi", HELLO),
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
            lambda api: api.embed_all("a"),
            lambda api: api.openai_embed("BAAI/bge-base-en-v1.5", ["a", "bbb"]),
            lambda api: api.similarity("a", ["a", "b"]),
            lambda api: api.rerank("sky", ["blue", "the sky"]),
            lambda api: api.predict(["a", "b"]),
            lambda api: api.tokenize("abc"),
            lambda api: api.decode([97, 98]),
            lambda api: api.list_models(),
            lambda api: api.info(),
            lambda api: api.health(),
        ),
    ),
    Case(
        "llvm", "LLVMError", "llvm", "/v1", "http://localhost:8000/v1", BEARER, "LLVM_API_KEY",
        lambda api: api.chat(QWEN, HELLO),
        (
            lambda api: api.stream_chat(QWEN, HELLO),
            lambda api: api.stream_complete(QWEN, "Once upon"),
            lambda api: api.stream_response(QWEN, "Hello there"),
        ),
        (
            lambda api: api.respond(QWEN, "Hello there"),
            lambda api: api.complete(QWEN, "Once upon"),
            lambda api: api.embed(QWEN, ["a", "bbb"]),
            lambda api: api.rerank("BAAI/bge-reranker-v2-m3", "sky", ["blue", "the sky"]),
            lambda api: api.tokenize(QWEN, "abc"),
            lambda api: api.list_models(),
            lambda api: api.model_info(QWEN),
        ),
    ),
    Case(
        "opea", "OPEAError", "opea", "", "http://localhost:8888", BEARER, "OPEA_API_KEY",
        lambda api: api.chat("a-model", HELLO),
        (lambda api: api.stream_chat("a-model", HELLO), lambda api: api.stream_complete("a-model", "Once upon")),
        (
            lambda api: api.complete("a-model", "Once upon"),
            lambda api: api.embed("a-model", ["a", "bbb"]),
            lambda api: api.rerank("sky", ["blue", "the sky"]),
            lambda api: api.retrieve("sky", [0.5]),
            lambda api: api.ingest([("a.txt", b"hi")]),
            lambda api: api.list_files(),
            lambda api: api.delete_file("a.txt"),
            lambda api: api.health(),
        ),
    ),
    Case(
        "ovms", "OVMSError", "ovms", "", "http://localhost:8000", BEARER, "OVMS_API_KEY",
        lambda api: api.chat("OpenVINO/Qwen3-8B", HELLO),
        (
            lambda api: api.stream_chat("OpenVINO/Qwen3-8B", HELLO),
            lambda api: api.stream_complete("OpenVINO/Qwen3-8B", "Once upon"),
            lambda api: api.stream_response("OpenVINO/Qwen3-8B", "Hello there"),
        ),
        (
            lambda api: api.respond("OpenVINO/Qwen3-8B", "Hello there"),
            lambda api: api.complete("OpenVINO/Qwen3-8B", "Once upon"),
            lambda api: api.embed("OpenVINO/Qwen3-8B", ["a", "bbb"]),
            lambda api: api.rerank("OpenVINO/Qwen3-8B", "sky", ["blue", "the sky"]),
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
