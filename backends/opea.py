"""OPEA (Open Platform for Enterprise AI): chat and completion by a megaservice, embeddings, reranking, retrieval, dataprep.

API reference: https://opea-project.github.io/latest/developer-guides/OPEA_API.html, and for what it leaves out the
services themselves: https://github.com/opea-project/GenAIComps (read in November 2026)
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import requests

from ._events import event_object, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    File,
    Json,
    as_form,
    as_json,
    as_query,
    bearer,
    checked,
    embeddings,
    failures_as,
    json_list,
    json_object,
    merged_headers,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class OPEAError(BackendError):
    """An OPEA service returned an error, or could not be reached."""


class opea:
    """A client of an OPEA gateway: a megaservice such as ChatQnA, or a single microservice.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it; `chat_path`: the service that answers `chat` and `complete`, `/v1/chatqna`
            if it is not there (a microservice for text generation has `/v1/chat/completions`); and `headers`: a dict
            of headers for all requests, which can be changed in the attribute `headers`.
        api_key: sent as a bearer token, if a gateway in front of the services wants one.
        base_url: where the gateway is, without `/v1`.

    Raises:
        OPEAError: from every method, when the service answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:8888")
        self.chat_path = str(self.metadata.get("chat_path") or "/v1/chatqna")
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the chat completion of `messages`."""
        return self._completion(model, messages, options)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the chunks of a chat completion as they come, all in OpenAI's form."""
        yield from self._stream(model, messages, options)

    def complete(self, model: str, prompt: str, **options: Any) -> Json:
        """Return the answer to `prompt`, as a chat completion.

        OPEA has no service for this alone: its chat takes a text in place of the messages.
        """
        return self._completion(model, prompt, options)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[Json]:
        """Yield the chunks of the answer to `prompt` as they come, all in OpenAI's form."""
        yield from self._stream(model, prompt, options)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/v1/embeddings", body), OPEAError, embeddings)

    def rerank(self, query: str, texts: list[str], **options: Any) -> list[Json]:
        """Return `text` and `score` of the texts, the best answer to `query` first; only that one without `top_n`."""
        documents = [{"text": text} for text in texts]
        response = self._post("/v1/reranking", {**options, "input": query, "retrieved_docs": documents})
        return read_json(response, OPEAError, lambda answer: list(answer["reranked_docs"]))

    def retrieve(self, text: str, embedding: list[float], **options: Any) -> list[Json]:
        """Return the documents in the vector store that are nearest to `embedding`, with their `text`.

        Args:
            text: what `embedding` was made of.
            options: such as `k=4`, `search_type="similarity_score_threshold"`, `score_threshold=0.2`.
        """
        response = self._post("/v1/retrieval", {**options, "text": text, "embedding": embedding})
        return read_json(response, OPEAError, lambda answer: list(answer["retrieved_docs"]))

    def ingest(self, files: list[File] | None = None, links: list[str] | None = None, **options: Any) -> Json:
        """Have documents read, cut into pieces, embedded, and put into the vector store.

        Args:
            files: the name and the content of each.
            links: pages of the web.
            options: such as `chunk_size=1500`, `chunk_overlap=100`.
        """
        fields = {**options, **({"link_list": json.dumps(links)} if links else {})}
        form = as_form(fields, *(("files", file) for file in files or ()))
        return json_object(self._request("POST", "/v1/dataprep/ingest", form), OPEAError)

    def list_files(self, **options: Any) -> list[Json]:
        """Return `name`, `id`, `type` and `parent` of the documents that were ingested."""
        return json_list(self._post("/v1/dataprep/get", options), OPEAError)

    def delete_file(self, file_path: str, **options: Any) -> Json:
        """Take a document out of the vector store; `"all"` takes out all."""
        return json_object(self._post("/v1/dataprep/delete", {**options, "file_path": file_path}), OPEAError)

    def health(self, **options: Any) -> Json:
        """Return the title and the description of the service, which it gives while it is up."""
        return json_object(self._get("/v1/health_check", options), OPEAError)

    def test_connection(self) -> bool:
        """Return True if the gateway can be reached and accepts the key."""
        return succeeds(
            lambda: json_object(self._ask("GET", "/v1/health_check", as_query({})), OPEAError), OPEAError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _completion(self, model: str, messages: Any, options: dict[str, Any]) -> Json:
        # The megaservices stream unless they are told not to.
        body = {**options, "model": model, "messages": messages, "stream": False}
        return json_object(self._post(self.chat_path, body), OPEAError)

    def _stream(self, model: str, messages: Any, options: dict[str, Any]) -> Iterator[Json]:
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post(self.chat_path, body, stream=True), OPEAError, decode=_chunk)

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(body), stream)

    def _request(self, method: str, path: str, content: Json, stream: bool = False) -> requests.Response:
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OPEAError):
            response = self._queued(self.session.request)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, OPEAError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OPEAError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, OPEAError)

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

    # >>> retrofit:env_key v2 778eaca42a
    api_key = RequestEngine.api_key("OPEA_API_KEY", missing="")  # where none is given
    # <<< retrofit:env_key


def _chunk(data: str, response: requests.Response, error: type[BackendError]) -> Json:
    """Return the chunk of a stream in OpenAI's form, from either of the two formats that OPEA's services write.

    A text generation microservice sends OpenAI's chunks. ChatQnA and others send the text only, as
    Python writes its bytes: `data: b'Hello'`.
    """
    if not data.startswith(("b'", 'b"')):
        return event_object(data, response, error)
    choice = {"index": 0, "delta": {"content": _text(data)}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def _text(data: str) -> str:
    """Return the text in `b'…'`; as it stands where a service put it there without escaping it."""
    try:
        return bytes(ast.literal_eval(data)).decode("utf-8", "replace")
    except (SyntaxError, ValueError):
        return data[2:].removesuffix(data[1])
