"""OpenVINO Model Server: inference by KServe v2, TensorFlow Serving's REST API, and OpenAI's.

API reference: https://docs.openvino.ai/2025/model-server/ovms_docs_server_api.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests

from ._events import sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    bearer,
    checked,
    embeddings,
    failures_as,
    json_object,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import

NOT_READY = frozenset(range(400, 600)) - {401, 403}
"""What the server answers if it, or a model, is not ready: "otherwise 4xx", says its reference."""


class OVMSError(BackendError):
    """OpenVINO Model Server said no."""


class ovms:
    """A client of OpenVINO Model Server's REST port.

    Where a method takes a `version`, None stands for the latest.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
        api_key: sent as a bearer token, if the server or a proxy before it wants one.
        base_url: where the REST port is (the server's `--rest_port`; 9000 is usually the gRPC port).

    Raises:
        OVMSError: from every method, when the server answers with an error, or cannot be reached.
    """

    def __init__(
        self,
        resources: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        self.resources = {} if resources is None else resources
        self.metadata = {} if metadata is None else metadata
        self.api_key = api_key
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:8000")
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        """Return the chat completion of `messages`; `options` go into the request's body."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/v3/chat/completions", body), OVMSError)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/v3/chat/completions", body, stream=True), OVMSError)

    def complete(self, model: str, prompt: str, **options: Any) -> dict[str, Any]:
        """Return the text completion of `prompt`."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/v3/completions", body), OVMSError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/v3/completions", body, stream=True), OVMSError)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/v3/embeddings", body), OVMSError, embeddings)

    def infer(
        self, model: str, inputs: list[dict[str, Any]], version: int | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """Return the output tensors for `inputs` (KServe v2).

        A tensor is `{"name": …, "shape": […], "datatype": "FP32", "data": […]}`. `data` may be bytes: numbers in
        little-endian order, row by row; or, where `datatype` is `BYTES`, each element (an image, say) behind its
        length in four bytes. They go behind the JSON as they are, by KServe's binary extension. The
        outputs come as JSON.
        """
        path = _model_path("/v2", model, version) + "/infer"
        tensors, binary = _without_bytes(inputs)
        response = self._post(path, {**options, "inputs": tensors}, binary=binary)
        return read_json(response, OVMSError, lambda answer: list(answer["outputs"]))

    def predict(
        self, model: str, inputs: list[Any] | dict[str, Any], version: int | None = None, **options: Any
    ) -> Any:
        """Return the model's predictions (TensorFlow Serving).

        A list is sent as rows (`instances`), a dict of tensors by name as columns (`inputs`); the
        answer comes in the same order. An image goes as `{"b64": …}`, in base64.
        """
        by_row = isinstance(inputs, list)
        body = {**options, "instances" if by_row else "inputs": inputs}
        response = self._post(_model_path("/v1", model, version) + ":predict", body)
        return read_json(response, OVMSError, lambda answer: answer["predictions" if by_row else "outputs"])

    def list_models(self) -> list[str]:
        """Return the names of the models and graphs that the server has."""
        return list(json_object(self._get("/v1/config"), OVMSError))

    def model_status(self, model: str, version: int | None = None) -> list[dict[str, Any]]:
        """Return `version`, `state` and `status` of each version of `model`."""
        response = self._get(_model_path("/v1", model, version))
        return read_json(response, OVMSError, lambda answer: list(answer["model_version_status"]))

    def model_metadata(self, model: str, version: int | None = None) -> dict[str, Any]:
        """Return the platform, the inputs and the outputs of `model`."""
        return json_object(self._get(_model_path("/v2", model, version)), OVMSError)

    def model_ready(self, model: str, version: int | None = None) -> bool:
        """Return True if `model` can be used for inference."""
        return self._is_up(_model_path("/v2", model, version) + "/ready")

    def server_live(self) -> bool:
        """Return True if the server is running."""
        return self._is_up("/v2/health/live")

    def server_ready(self) -> bool:
        """Return True if all models can be used for inference."""
        return self._is_up("/v2/health/ready")

    def test_connection(self) -> bool:
        """Return True if the server can be reached and lets this client list its models."""
        return succeeds(self.list_models, OVMSError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _is_up(self, path: str) -> bool:
        return succeeds(lambda: self._get(path), OVMSError, NOT_READY)

    def _get(self, path: str) -> requests.Response:
        with failures_as(OVMSError):
            response = self._queued(self.session.get)(
                self.base_url + path, headers=bearer(self.api_key), timeout=self.timeout
            )
        return checked(response, OVMSError)

    def _post(
        self, path: str, body: dict[str, Any], stream: bool = False, binary: bytes = b""
    ) -> requests.Response:
        head = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **bearer(self.api_key)}
        if binary:
            headers["Content-Type"] = "application/octet-stream"
            headers["Inference-Header-Content-Length"] = str(len(head))
        with failures_as(OVMSError):
            response = self._queued(self.session.post)(
                self.base_url + path,
                data=head + binary,
                headers=headers,
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, OVMSError)

    # >>> retrofit:queue v1 2fb6b1c4ed
    # Request queue: so many API requests are in flight at once; the others wait in line.
    queue_enabled = RequestEngine.setting(True)
    max_concurrent_requests = RequestEngine.setting(5)
    queue_size = RequestEngine.setting(100)
    queue_timeout = RequestEngine.setting(None)
    total_timeout = RequestEngine.setting(None)
    reuse_connections = RequestEngine.setting(False)

    @property
    def request_queue(self) -> RequestEngine.Waiting:
        """The requests that wait, oldest first."""
        return RequestEngine.of(self).waiting

    @property
    def current_requests(self) -> int:
        """How many requests are in flight."""
        return RequestEngine.of(self).in_flight

    def submit(
        self, call: RequestEngine.Call, /, *args: object, **kwargs: object
    ) -> RequestEngine.Result:
        """Queue `call(*args, **kwargs)` and return its `concurrent.futures.Future` at once."""
        return RequestEngine.of(self).submit(call, *args, **kwargs)

    def priority(self, level: str | int) -> RequestEngine.Block:
        """In a `with` block: let requests wait before ("high") or behind ("low") the others."""
        return RequestEngine.of(self).priority(level)

    def queue_stats(self) -> dict[str, float]:
        """Return a dict of counts: requests, sent, retried, failed, waiting, seconds waited, ..."""
        return RequestEngine.of(self).stats()

    __enter__ = RequestEngine.entered

    def __exit__(self, *exc: object) -> None:
        self.close()

    close = RequestEngine.closing(close)
    _queued = RequestEngine.entry_point()  # self._queued(function)(...): in turn, and retried
    # <<< retrofit:queue

    # >>> retrofit:backoff v1 be28e6e28c
    # Exponential backoff: a failed request is tried again after 1, 2, 4, 8, 16 s, or when the server says.
    max_retries = RequestEngine.setting(5)
    initial_retry_delay = RequestEngine.setting(1)
    backoff_factor = RequestEngine.setting(2)
    max_retry_delay = RequestEngine.setting(60)
    max_retry_after = RequestEngine.setting(120)
    retry_jitter = RequestEngine.setting(0.1)
    retry_budget = RequestEngine.setting(None)
    circuit_breaker = RequestEngine.setting(None)
    # <<< retrofit:backoff

    # >>> retrofit:env_key v1 0d5e143004
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "OVMS_API_KEY",
        metadata_names=("ovms_api_key",),
        missing="",
    )
    # <<< retrofit:env_key


def _model_path(api: str, model: str, version: int | None) -> str:
    path = f"{api}/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _without_bytes(tensors: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bytes]:
    """Return `tensors` with the size in place of data that is bytes, and those bytes, one after the other."""
    described: list[dict[str, Any]] = []
    binary = b""
    for tensor in tensors:
        data = tensor.get("data")
        if isinstance(data, bytes | bytearray | memoryview):
            tensor = {name: value for name, value in tensor.items() if name != "data"}
            tensor["parameters"] = {**tensor.get("parameters", {}), "binary_data_size": len(bytes(data))}
            binary += data
        described.append(tensor)
    return described, binary
