"""OpenVINO Model Server, 2026.3 and later: OpenAI's API and Cohere's reranking under `/v3`, inference by KServe v2.

API reference: https://docs.openvino.ai/2026/model-server/ovms_docs_server_api.html (read in November 2026). Two methods
need an older server: `predict` and `model_status` speak TensorFlow Serving's REST API, which 2026.3 removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from ._events import response_ended, response_event, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    as_json,
    as_query,
    bearer,
    by_relevance,
    checked,
    embeddings,
    failures_as,
    in_path,
    json_object,
    merged_headers,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import

NOT_READY = frozenset(range(400, 600)) - {401, 403}
"""What the server answers if it, or a model, is not ready: "otherwise 4xx", says its reference."""


REMOVED = "this needs a server before 2026.3, which removed TensorFlow Serving's REST API"


class OVMSError(BackendError):
    """OpenVINO Model Server returned an error, or could not be reached."""


class ovms:
    """A client of OpenVINO Model Server's REST port.

    Where a method takes a `version`, None stands for the latest.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
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
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def respond(self, model: str, input: str | list[Json], **options: Any) -> Json:
        """Return the model's response to `input`, a text or a list of items, by OpenAI's Responses API."""
        body = {**options, "model": model, "input": input}
        return json_object(self._post("/v3/responses", body), OVMSError)

    def stream_response(self, model: str, input: str | list[Json], **options: Any) -> Iterator[Json]:
        """Yield the typed events of a response as they come, from `response.created` to `response.completed`.

        Raises:
            OVMSError: also for the events `error` and `response.failed`.
        """
        body = {**options, "model": model, "input": input, "stream": True}
        response = self._post("/v3/responses", body, stream=True)
        yield from sse_json(response, OVMSError, response_ended, response_event)

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the chat completion of `messages`."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/v3/chat/completions", body), OVMSError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/v3/chat/completions", body, stream=True), OVMSError)

    def complete(self, model: str, prompt: str, **options: Any) -> Json:
        """Return the text completion of `prompt`."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/v3/completions", body), OVMSError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[Json]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/v3/completions", body, stream=True), OVMSError)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/v3/embeddings", body), OVMSError, embeddings)

    def rerank(self, model: str, query: str, documents: list[str], **options: Any) -> list[Json]:
        """Return `index` (into `documents`) and `relevance_score` of each, the best answer to `query` first."""
        body = {**options, "model": model, "query": query, "documents": documents}
        return read_json(self._post("/v3/rerank", body), OVMSError, by_relevance)

    def infer(self, model: str, inputs: list[Json], version: int | None = None, **options: Any) -> list[Json]:
        """Return the output tensors for `inputs` (KServe v2).

        A tensor is `{"name": …, "shape": […], "datatype": "FP32", "data": […]}`. `data` may be bytes: numbers in
        little-endian order, row by row; or, where `datatype` is `BYTES`, each element (an image, say) behind its
        length in four bytes. They go behind the JSON as they are, by KServe's binary extension. The
        outputs come as JSON.
        """
        path = _model_path("/v2", model, version) + "/infer"
        tensors, binary = _without_bytes(inputs)
        content = as_json({**options, "inputs": tensors})
        if binary:
            content = _behind_json(content, binary)
        response = self._request("POST", path, content)
        return read_json(response, OVMSError, lambda answer: list(answer["outputs"]))

    def predict(
        self, model: str, inputs: list[Any] | Json, version: int | None = None, **options: Any
    ) -> Any:
        """Return the model's predictions, from a server before 2026.3; from a later one, `infer` does.

        A list is sent as rows (`instances`), a dict of tensors by name as columns (`inputs`); the
        answer comes in the same order. An image goes as `{"b64": …}`, in base64.
        """
        by_row = isinstance(inputs, list)
        body = {**options, "instances" if by_row else "inputs": inputs}
        with _older_server():
            response = self._post(_model_path("/v1", model, version) + ":predict", body)
        return read_json(response, OVMSError, lambda answer: answer["predictions" if by_row else "outputs"])

    def list_models(self, **options: Any) -> list[str]:
        """Return the names of the models and graphs that the server has."""
        return list(json_object(self._get("/v1/config", options), OVMSError))

    def model_status(self, model: str, version: int | None = None, **options: Any) -> list[Json]:
        """Return `version`, `state` and `status` of each version of `model`, from a server before 2026.3.

        From a later one, `model_ready` tells whether it can be used.
        """
        with _older_server():
            response = self._get(_model_path("/v1", model, version), options)
        if (
            json_object(response, OVMSError).get("object") == "model"
        ):  # OpenAI's, which has the path since then
            raise OVMSError(response.status_code, REMOVED)
        return read_json(response, OVMSError, lambda answer: list(answer["model_version_status"]))

    def model_metadata(self, model: str, version: int | None = None, **options: Any) -> Json:
        """Return the platform, the inputs and the outputs of `model`."""
        return json_object(self._get(_model_path("/v2", model, version), options), OVMSError)

    def model_ready(self, model: str, version: int | None = None, **options: Any) -> bool:
        """Return True if `model` can be used for inference."""
        return self._is_up(_model_path("/v2", model, version) + "/ready", options)

    def server_live(self, **options: Any) -> bool:
        """Return True if the server is running."""
        return self._is_up("/v2/health/live", options)

    def server_ready(self, **options: Any) -> bool:
        """Return True if all models can be used for inference."""
        return self._is_up("/v2/health/ready", options)

    def test_connection(self) -> bool:
        """Return True if the server can be reached and lets this client list its models."""
        return succeeds(
            lambda: json_object(self._ask("GET", "/v1/config", as_query({})), OVMSError), OVMSError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _is_up(self, path: str, options: Json) -> bool:
        return succeeds(lambda: self._ask("GET", path, as_query(options)), OVMSError, NOT_READY)

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(body), stream)

    def _request(self, method: str, path: str, content: Json, stream: bool = False) -> requests.Response:
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OVMSError):
            response = self._queued(self.session.request)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, OVMSError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OVMSError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, OVMSError)

    # >>> retrofit:queue v2 886b9fbe70
    queue_enabled = RequestEngine.setting(True)  # first in, first out
    max_concurrent_requests = RequestEngine.setting(5)  # run at once; the rest wait
    queue_size = RequestEngine.setting(100)  # may wait; one more is refused
    queue_full = queue_timeout = total_timeout = RequestEngine.setting()
    request_queue, current_requests = RequestEngine.views()
    submit, map, priority, queue_stats = RequestEngine.methods()
    __enter__, __exit__, close = RequestEngine.context(close)
    _queued = RequestEngine.entry_point()  # self._queued(function)(...): in turn, and retried
    # <<< retrofit:queue

    # >>> retrofit:backoff v2 2575cb89e0
    max_retries = RequestEngine.setting(5)  # of a request that failed
    initial_retry_delay = RequestEngine.setting(1)  # seconds, unless the server says
    backoff_factor = RequestEngine.setting(2)  # each delay is the last one times this
    max_retry_delay = RequestEngine.setting(60)  # longest delay, in seconds
    max_retry_after = retry_if = circuit_breaker = RequestEngine.setting()
    # <<< retrofit:backoff

    # >>> retrofit:env_key v2 c1982345da
    api_key = RequestEngine.api_key("OVMS_API_KEY", missing="")  # where none is given
    # <<< retrofit:env_key


def _model_path(api: str, model: str, version: int | None) -> str:
    path = f"{api}/models/{in_path(model)}"
    return path if version is None else f"{path}/versions/{version}"


@contextmanager
def _older_server() -> Iterator[None]:
    """Say what a call needs that a server does not know, or no longer; it says so of a model that it does not have, too."""
    try:
        yield
    except OVMSError as failure:
        if failure.status not in (404, 405):
            raise
        raise OVMSError(failure.status, f"{failure.message} ({REMOVED})") from None


def _behind_json(content: Json, binary: bytes) -> Json:
    """Return what a request is made of that has `binary` behind its JSON."""
    head = json.dumps(content["json"]).encode()
    kind = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return {"data": head + binary, "headers": {**(content["headers"] or {}), **kind}}


def _without_bytes(tensors: list[Json]) -> tuple[list[Json], bytes]:
    """Return `tensors` with the size in place of data that is bytes, and those bytes, one after the other."""
    described: list[Json] = []
    binary = b""
    for tensor in tensors:
        data = tensor.get("data")
        if isinstance(data, bytes | bytearray | memoryview):
            tensor = {name: value for name, value in tensor.items() if name != "data"}
            tensor["parameters"] = {**tensor.get("parameters", {}), "binary_data_size": len(bytes(data))}
            binary += data
        described.append(tensor)
    return described, binary
