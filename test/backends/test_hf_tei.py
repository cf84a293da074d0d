"""Behaviour of the TEI backend against a loopback server that speaks Text Embeddings Inference's format."""

from __future__ import annotations

import pytest

from ..loopback import Reply
from ..vendors import hf_tei


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed(["a", "bbb"], truncate=True) == [[1.0], [3.0]]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/embed")
    assert request.json() == {"inputs": ["a", "bbb"], "truncate": True}


def test_embed_takes_a_single_text(api, server):
    assert api.embed("abcd") == [[4.0]]
    assert server.requests[0].json() == {"inputs": "abcd"}


def test_embed_sparse(api, server):
    assert api.embed_sparse(["abc"]) == [[{"index": 3, "value": 1.0}]]
    assert (server.requests[0].path, server.requests[0].json()) == ("/embed_sparse", {"inputs": ["abc"]})


def test_rerank_gives_the_best_text_first(api, server):
    ranks = api.rerank("deep", ["shallow", "deep learning"], raw_scores=True)
    assert ranks == [{"index": 1, "score": 1.0}, {"index": 0, "score": 0.0}]
    (request,) = server.requests
    assert request.path == "/rerank"
    assert request.json() == {"query": "deep", "texts": ["shallow", "deep learning"], "raw_scores": True}


def test_predict_of_one_text_gives_its_labels(api, server):
    assert api.predict("fine") == [{"score": 0.9, "label": "fine"}]
    assert (server.requests[0].path, server.requests[0].json()) == ("/predict", {"inputs": "fine"})


def test_predict_of_two_texts_is_not_taken_for_a_pair(api, server):
    assert len(api.predict(["good", "bad"])) == 2
    assert server.requests[0].json() == {"inputs": [["good"], ["bad"]]}


def test_predict_of_pairs(api, server):
    api.predict([("premise", "claim"), "alone"])
    assert server.requests[0].json() == {"inputs": [["premise", "claim"], ["alone"]]}


def test_tokenize(api, server):
    assert [[token["text"] for token in text] for text in api.tokenize(["Hi", "x"])] == [["H", "i"], ["x"]]
    assert (server.requests[0].path, server.requests[0].json()) == ("/tokenize", {"inputs": ["Hi", "x"]})


def test_info(api, server):
    assert api.info()["model_id"] == hf_tei.MODEL
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/info")


def test_list_models(api):
    assert api.list_models() == [hf_tei.MODEL]


def test_health_is_true_of_a_healthy_server(api, server):
    assert api.health() is True
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/health")


def test_health_is_false_of_an_unhealthy_server(api, server):
    server.script(hf_tei.error(503, "unhealthy", "Unhealthy"))
    assert api.health() is False


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.TEIError) as caught:
        api.embed([])
    assert (caught.value.status, caught.value.message) == (400, "`inputs` cannot be empty")


def test_batch_that_is_too_large_has_its_status(api, backend):
    with pytest.raises(backend.TEIError, match="maximum allowed batch size 32") as caught:
        api.embed(["a"] * 33)
    assert caught.value.status == 413


def test_health_needs_no_key_and_the_connection_test_does(case, backend, server):
    api = case.make(backend, server, "wrong")
    assert api.health() is True
    assert api.test_connection() is False


def test_refused_key_is_an_error_although_the_body_is_empty(case, backend, server):
    with pytest.raises(backend.TEIError, match=r"^HTTP 401: Unauthorized$"):
        case.make(backend, server, "wrong").embed("a")


def test_wrong_kind_of_model_has_its_status(api, backend, server):
    server.script(hf_tei.error(424, "model is not a re-ranker model", "Backend"))
    with pytest.raises(backend.TEIError) as caught:
        api.rerank("q", ["t"])
    assert (caught.value.status, caught.value.message) == (424, "model is not a re-ranker model")


def test_overloaded_server_has_its_status(api, backend, server):
    server.script(hf_tei.error(429, "Model is overloaded", "Overloaded"))
    with pytest.raises(backend.TEIError) as caught:
        api.embed("a")
    assert (caught.value.status, caught.value.message) == (429, "Model is overloaded")


def test_answer_that_is_no_list_is_refused(api, backend, server):
    server.script(Reply(200, {"data": []}), Reply(200, "<html>"))
    with pytest.raises(backend.TEIError, match="not the form that the API documents"):
        api.embed("a")
    with pytest.raises(backend.TEIError, match="not JSON"):
        api.embed("a")


def test_embed_all_has_an_embedding_for_each_token(api, server):
    assert api.embed_all(["a bbb", "cc"], truncate=True) == [[[1.0], [3.0]], [[2.0]]]
    assert server.requests[0].path == "/embed_all"
    assert server.requests[0].json() == {"inputs": ["a bbb", "cc"], "truncate": True}


def test_openai_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.openai_embed(hf_tei.MODEL, ["a", "bbb"]) == [[1.0], [3.0]]
    assert server.requests[0].path == "/v1/embeddings"
    assert server.requests[0].json() == {"model": hf_tei.MODEL, "input": ["a", "bbb"]}


def test_similarity(api, server):
    assert api.similarity("a", ["b", "a"], truncate=True) == [0.0, 1.0]
    assert server.requests[0].path == "/similarity"
    assert server.requests[0].json() == {
        "inputs": {"source_sentence": "a", "sentences": ["b", "a"]},
        "parameters": {"truncate": True},
    }


def test_decode_of_one_text_or_several(api, server):
    assert api.decode([97, 98], skip_special_tokens=False) == ["ab"]
    assert api.decode([[97], [98]]) == ["a", "b"]
    assert server.requests[0].path == "/decode"
    assert server.requests[0].json() == {"ids": [97, 98], "skip_special_tokens": False}
