"""OpenVINO Model Server's REST APIs (https://docs.openvino.ai/2026/model-server/ovms_docs_server_api.html).

It answers like a server before 2026.3, which has TensorFlow Serving's API too, and `new_app` like a later one.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from math import prod
from typing import Any
from urllib.parse import unquote

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODELS = ("resnet", "OpenVINO/Qwen3-8B")
V1 = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<action>:predict|/metadata)?")
V2 = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>\d+))?(?P<action>/ready|/infer)?")


def error(status: int, message: str) -> Reply:
    """Return an answer in the format of the server's errors."""
    return Reply(status, {"error": message})


def failing_stream(message: str) -> Reply:
    """Return a stream that ends in an error, which the server writes without `data:` and line end."""

    def chunks() -> Iterable[bytes]:
        yield b"data: " + json.dumps(forms.chunk(MODELS[1], {"content": "Hel"})).encode() + b"\n\n"
        yield json.dumps({"error": message}).encode()

    return Reply(200, chunks(), {"Content-Type": "text/event-stream"})


def app(request: Request) -> Reply:
    """Answer like OpenVINO Model Server with an API key."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "Unauthorized")
    return open_app(request)


def new_app(request: Request) -> Reply:
    """Answer like OpenVINO Model Server since 2026.3: below `/v1/models` is OpenAI's API, and nothing else."""
    if not request.path.startswith("/v1/models/"):
        return app(request)
    name = unquote(request.path.removeprefix("/v1/models/"))
    if request.method == "GET" and name in MODELS:
        return Reply(200, forms.model_list([name], "OVMS")["data"][0])
    return error(404, "Invalid request URL" if ":" in name or "/" in name else "Model not found")


def open_app(request: Request) -> Reply:
    """Answer like OpenVINO Model Server without a key, as it is unless told otherwise."""
    if request.method not in ("GET", "POST"):
        return error(405, "Unsupported method")
    if request.method == "GET" and request.path in ("/v2/health/live", "/v2/health/ready"):
        return Reply(200)
    if (request.method, request.path) == ("GET", "/v1/config"):
        return Reply(200, {name: _status("1") for name in MODELS})
    if request.method == "POST" and request.path in GENERATING:
        return _generate(request)
    for pattern, answer in ((V1, _tensorflow), (V2, _kserve)):
        if found := pattern.fullmatch(request.path):
            if unquote(found["name"]) not in MODELS:
                return error(404, "Model with requested name is not found")
            if found["version"] not in (None, "1"):
                return error(404, "Model with requested version is not found")
            return answer(unquote(found["name"]), found["action"], request)
    return error(404, "Invalid request URL")


def _status(version: str) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": "OK"}
    return {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": status}]}


def _tensorflow(name: str, action: str | None, request: Request) -> Reply:
    if request.method != ("POST" if action == ":predict" else "GET"):
        return error(405, "Unsupported method")
    if action is None:
        return Reply(200, _status("1"))
    body = request.json()
    if ("instances" in body) == ("inputs" in body):
        return error(400, "Invalid JSON structure. Nor instances nor inputs were found.")
    if "instances" in body:
        return Reply(200, {"predictions": [sum(row) for row in body["instances"]]})
    columns = {name: [sum(row) for row in rows] for name, rows in body["inputs"].items()}
    return Reply(200, {"outputs": columns})


def _kserve(name: str, action: str | None, request: Request) -> Reply:
    if request.method != ("POST" if action == "/infer" else "GET"):
        return error(405, "Unsupported method")
    if action == "/ready":
        return Reply(200)
    if action is None:
        tensor = {"name": "data", "datatype": "FP32", "shape": [1, 3]}
        known = {"versions": ["1"], "platform": "OpenVINO", "inputs": [tensor], "outputs": []}
        return Reply(200, {"name": name, **known})
    return _infer(name, request)


def _infer(name: str, request: Request) -> Reply:
    """Answer each tensor with its own data; read binary data behind the JSON, as KServe's extension has it."""
    size = int(request.headers.get("inference-header-content-length", len(request.body)))
    try:
        body = json.loads(request.body[:size])
    except ValueError:
        return error(400, "The file is not valid json")
    binary = request.body[size:]
    outputs = []
    for tensor in body.get("inputs", ()):
        length = tensor.pop("parameters", {}).get("binary_data_size")
        if "data" not in tensor and length is None:
            return error(400, "Invalid JSON structure. One of inputs has no data field")
        if length is not None:
            data, binary = binary[:length], binary[length:]
            if len(data) != length:
                return error(400, "Binary data size of input exceeds the request")
            tensor["data"] = _numbers(tensor, data)
        outputs.append({**tensor, "name": "out"})
    if binary:
        return error(400, "Not all of the binary data belongs to an input")
    return Reply(200, {"model_name": name, "model_version": "1", "outputs": outputs})


def _numbers(tensor: dict[str, Any], data: bytes) -> list[Any]:
    if tensor["datatype"] == "BYTES":
        lengths = []
        while data:
            lengths.append(struct.unpack("<I", data[:4])[0])
            data = data[4 + lengths[-1] :]
        return lengths
    return list(struct.unpack(f"<{prod(tensor['shape'])}f", data))


GENERATING = {
    "/v3/chat/completions": "messages", "/v3/completions": "prompt", "/v3/embeddings": "input",
    "/v3/responses": "input", "/v3/rerank": "documents",
}  # fmt: skip


def _generate(request: Request) -> Reply:
    if not forms.is_json(request):
        return error(400, "Unsupported content type")
    body = request.json()
    model, field = body.get("model"), GENERATING[request.path]
    if model not in MODELS:
        return error(404, "Mediapipe graph definition with requested name is not found")
    if field not in body:
        return error(
            400, f"Mediapipe execution failed. MP status - INVALID_ARGUMENT: {field} missing in request"
        )
    if request.path == "/v3/responses":
        return forms.response_reply(body, done="[DONE]")
    if request.path == "/v3/rerank":
        return forms.ranks(body)
    if field == "input":
        return Reply(200, forms.embedding_list(model, body["input"]))
    chat = field == "messages"
    text = "Echo: " + (forms.said(body) if chat else body["prompt"])
    if body.get("stream"):
        return sse(forms.chunks(model, text) if chat else forms.text_chunks(model, text))
    return Reply(200, forms.completion(model, text) if chat else forms.text_completion(model, text))
