"""Hugging Face Text Embeddings Inference (TEI): embeddings, reranking, classification.

API reference: https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests

from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    bearer,
    checked,
    failures_as,
    json_list,
    json_object,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)


class TEIError(BackendError):
    """A TEI server said no."""


class hf_tei:
    """A client of a Text Embeddings Inference server.

    A server has one model, which decides what it can do: embed, embed sparsely, rerank or predict.
    It answers 424 to the rest. All methods take the server's options, such as `truncate=True`.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
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
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def embed(self, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        return json_list(self._post("/embed", {**options, "inputs": texts}), TEIError)

    def embed_sparse(self, texts: str | list[str], **options: Any) -> list[list[dict[str, Any]]]:
        """Return one sparse embedding a text: `index` and `value` of all that is not zero."""
        return json_list(self._post("/embed_sparse", {**options, "inputs": texts}), TEIError)

    def rerank(self, query: str, texts: list[str], **options: Any) -> list[dict[str, Any]]:
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

    def tokenize(self, texts: str | list[str], **options: Any) -> list[list[dict[str, Any]]]:
        """Return the tokens of each text: `id`, `text`, `special`, `start` and `stop`."""
        return json_list(self._post("/tokenize", {**options, "inputs": texts}), TEIError)

    def info(self) -> dict[str, Any]:
        """Return the server's version, its model and its limits."""
        return json_object(self._get("/info"), TEIError)

    def list_models(self) -> list[str]:
        """Return the id of the one model that the server has."""
        return read_json(self._get("/info"), TEIError, lambda info: [info["model_id"]])

    def health(self) -> bool:
        """Return True if the server can answer, False if it says that it cannot."""
        return succeeds(lambda: self._get("/health"), TEIError, no={503})

    def test_connection(self) -> bool:
        """Return True if the server can be reached and accepts the key."""
        return succeeds(self.info, TEIError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str) -> requests.Response:
        with failures_as(TEIError):
            response = self.session.get(
                self.base_url + path, headers=bearer(self.api_key), timeout=self.timeout
            )
        return checked(response, TEIError)

    def _post(self, path: str, body: dict[str, Any]) -> requests.Response:
        with failures_as(TEIError):
            response = self.session.post(
                self.base_url + path,
                json=body,
                headers=bearer(self.api_key),
                timeout=self.timeout,
            )
        return checked(response, TEIError)
