"""OpenVINO Model Server's REST APIs (https://docs.openvino.ai/2025/model-server/ovms_docs_server_api.html)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"
BEARER = f"Bearer {KEY}"
MODELS = ("resnet", "OpenVINO/Qwen3-8B")
CHUNK = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}


def error(status: int, message: str) -> Reply:
    """Return an answer in the format of the server's errors."""
    return Reply(status, {"error": message})


def failing_stream(message: str) -> Reply:
    """Return a stream that ends in an error, which the server writes without `data:` and line end."""

    def chunks() -> Iterable[bytes]:
        yield b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
        yield json.dumps({"error": message}).encode()

    return Reply(200, chunks(), {"Content-Type": "text/event-stream"})


def app(request: Request) -> Reply:
    """Answer like OpenVINO Model Server."""
    if request.headers.get("authorization", BEARER) != BEARER:
        return error(401, "Unauthorized")
    if request.method == "GET" and request.path in ("/v2/health/live", "/v2/health/ready"):
        return Reply(200)
    if (request.method, request.path) == ("GET", "/v1/config"):
        return Reply(200, {name: _status("1") for name in MODELS})
    if request.path.startswith("/v3/"):
        return _generate(request.path, request.json())
    version, _, rest = request.path.strip("/").partition("/models/")
    name, *more = rest.replace(":predict", "/predict").split("/")
    if unquote(name) not in MODELS:
        return error(404, "Model with requested name is not found")
    return _model(version, unquote(name), more, request)


def _status(version: str) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": "OK"}
    return {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": status}]}


def _model(api: str, name: str, more: list[str], request: Request) -> Reply:
    version = more[1] if more[:1] == ["versions"] else "1"
    action = more[-1] if more and more[-1] in ("ready", "infer", "predict") else ""
    if version != "1":
        return error(404, "Model with requested version is not found")
    if (request.method, api, action) == ("GET", "v1", ""):
        return Reply(200, _status(version))
    if (request.method, api, action) == ("GET", "v2", ""):
        tensor = {"name": "data", "datatype": "FP32", "shape": [1, 3]}
        return Reply(
            200, {"name": name, "versions": ["1"], "platform": "OpenVINO", "inputs": [tensor], "outputs": []}
        )
    if (request.method, api, action) == ("GET", "v2", "ready"):
        return Reply(200)
    body = request.json()
    if (request.method, api, action) == ("POST", "v1", "predict"):
        if "instances" in body:
            return Reply(200, {"predictions": [sum(row) for row in body["instances"]]})
        return Reply(
            200, {"outputs": {name: [sum(row) for row in rows] for name, rows in body["inputs"].items()}}
        )
    if (request.method, api, action) == ("POST", "v2", "infer"):
        if any("data" not in tensor for tensor in body["inputs"]):
            return error(400, "Invalid JSON structure. One of inputs has no data field")
        outputs = [{**tensor, "name": "out"} for tensor in body["inputs"]]
        return Reply(200, {"model_name": name, "model_version": version, "outputs": outputs})
    return error(405, "Unsupported method")


def _generate(path: str, body: dict[str, Any]) -> Reply:
    if body["model"] not in MODELS:
        return error(404, "Mediapipe graph definition with requested name is not found")
    if path == "/v3/chat/completions":
        text = "Echo: " + body["messages"][-1]["content"]
        if body.get("stream"):
            return sse(
                {**CHUNK, "choices": [{"index": 0, "delta": {"content": w + " "}}]} for w in text.split()
            )
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return Reply(200, {"object": "chat.completion", "model": body["model"], "choices": [choice]})
    if path == "/v3/completions":
        return Reply(
            200, {"object": "text_completion", "choices": [{"index": 0, "text": "Echo: " + body["prompt"]}]}
        )
    if path == "/v3/embeddings":
        rows = [
            {"object": "embedding", "index": i, "embedding": [float(len(t))]}
            for i, t in enumerate(body["input"])
        ]
        return Reply(200, {"object": "list", "data": rows[::-1]})
    return error(404, "Invalid request URL")
