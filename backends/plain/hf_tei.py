"""Hugging Face Text Embeddings Inference (TEI): embeddings, similarity, reranking, classification, tokens.

API reference: https://huggingface.github.io/text-embeddings-inference/ (read in November 2026)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests

from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
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


class TEIError(BackendError):
    """A TEI server returned an error, or could not be reached."""


class hf_tei:
    """A client of a Text Embeddings Inference server.

    A server has one model, which decides what it can do: embed, embed sparsely, rerank or predict.
    It answers 424 to the rest.

    All methods take the server's own options, such as `truncate=True`: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
        api_key: sent as a bearer token, which a server started with `--api-key` or a Hugging Face
            endpoint wants.
        base_url: where the server is.

    Raises:
        TEIError: from every method, when the server answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:8080")
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def embed(self, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        return json_list(self._post("/embed", {**options, "inputs": texts}), TEIError)

    def embed_sparse(self, texts: str | list[str], **options: Any) -> list[list[Json]]:
        """Return one sparse embedding a text: `index` and `value` of all that is not zero."""
        return json_list(self._post("/embed_sparse", {**options, "inputs": texts}), TEIError)

    def embed_all(self, texts: str | list[str], **options: Any) -> list[list[list[float]]]:
        """Return, for each text, one embedding a token: those that `embed` makes one of (by pooling)."""
        return json_list(self._post("/embed_all", {**options, "inputs": texts}), TEIError)

    def openai_embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, by OpenAI's API; the server has one model, whatever `model` says."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/v1/embeddings", body), TEIError, embeddings)

    def similarity(
        self, sentence: str, others: list[str], extra_headers: dict[str, str] | None = None, **parameters: Any
    ) -> list[float]:
        """Return how similar `sentence` is to each of `others`; `parameters` are such as `truncate=True`."""
        inputs = {"source_sentence": sentence, "sentences": others}
        body = {"inputs": inputs, "parameters": parameters, "extra_headers": extra_headers}
        return json_list(self._post("/similarity", body), TEIError)

    def rerank(self, query: str, texts: list[str], **options: Any) -> list[Json]:
        """Return `index` (into `texts`) and `score` of each text, the best answer to `query` first."""
        return json_list(self._post("/rerank", {**options, "query": query, "texts": texts}), TEIError)

    def predict(self, texts: str | Sequence[str | Sequence[str]], **options: Any) -> list[Any]:
        """Return the labels with their scores, the likeliest first.

        For one text a list of `{"label": …, "score": …}`; for several, a list of such lists. An
        element of `texts` may be a pair of texts, for a model that compares two.
        """
        # TEI takes a bare list of two strings for one pair, so each text goes in a list of its own.
        inputs = texts if isinstance(texts, str) else [[t] if isinstance(t, str) else list(t) for t in texts]
        return json_list(self._post("/predict", {**options, "inputs": inputs}), TEIError)

    def tokenize(self, texts: str | list[str], **options: Any) -> list[list[Json]]:
        """Return the tokens of each text: `id`, `text`, `special`, `start` and `stop`."""
        return json_list(self._post("/tokenize", {**options, "inputs": texts}), TEIError)

    def decode(self, ids: list[int] | list[list[int]], **options: Any) -> list[str]:
        """Return the texts of the ids of tokens: of one text, or of several."""
        return json_list(self._post("/decode", {**options, "ids": ids}), TEIError)

    def info(self, **options: Any) -> Json:
        """Return the server's version, its model and its limits."""
        return json_object(self._get("/info", options), TEIError)

    def list_models(self, **options: Any) -> list[str]:
        """Return the id of the one model that the server has."""
        return read_json(self._get("/info", options), TEIError, lambda info: [info["model_id"]])

    def health(self, **options: Any) -> bool:
        """Return True if the server can answer, False if it says that it cannot."""
        return succeeds(lambda: self._ask("GET", "/health", as_query(options)), TEIError, no={503})

    def test_connection(self) -> bool:
        """Return True if the server can be reached and accepts the key."""
        return succeeds(lambda: json_object(self._ask("GET", "/info", as_query({})), TEIError), TEIError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _post(self, path: str, body: Json) -> requests.Response:
        return self._request("POST", path, as_json(body))

    def _request(self, method: str, path: str, content: Json) -> requests.Response:
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(TEIError):
            response = self.session.request(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, TEIError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(TEIError):
            # retrofit: no-retry
            response = self.session.request(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, TEIError)
