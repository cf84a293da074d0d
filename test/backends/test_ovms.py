"""Behaviour of the OpenVINO Model Server backend against a loopback server that speaks its formats."""

from __future__ import annotations

import json
import struct

import pytest

from ..loopback import Reply, Reset, sse
from ..vendors import ovms
from .cases import HELLO

QWEN = "OpenVINO/Qwen3-8B"
TENSOR = {"name": "data", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}


def test_infer_returns_the_output_tensors(api, server):
    assert api.infer("resnet", [TENSOR], id="7") == [{**TENSOR, "name": "out"}]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v2/models/resnet/infer")
    assert request.json() == {"inputs": [TENSOR], "id": "7"}


def test_infer_with_a_version(api, server):
    api.infer("resnet", [TENSOR], version=1)
    assert server.requests[0].path == "/v2/models/resnet/versions/1/infer"


def test_infer_sends_bytes_behind_the_json(api, server):
    floats = {"name": "data", "shape": [1, 3], "datatype": "FP32", "data": struct.pack("<3f", 1, 2, 3)}
    images = [b"\x89PNG", b"\xff\xd8JPEG"]
    framed = b"".join(struct.pack("<I", len(image)) + image for image in images)
    outputs = api.infer(
        "resnet", [floats, TENSOR, {"name": "i", "shape": [2], "datatype": "BYTES", "data": framed}]
    )
    assert [output["data"] for output in outputs] == [[1, 2, 3], [1, 2, 3], [4, 6]]
    (request,) = server.requests
    size = int(request.headers["inference-header-content-length"])
    assert request.body[size:] == floats["data"] + framed
    assert json.loads(request.body[:size])["inputs"][0] == {
        "name": "data", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12},
    }  # fmt: skip
    assert request.headers["content-type"] == "application/octet-stream"


def test_infer_leaves_the_callers_tensors_as_they_are(api):
    tensor = {"name": "data", "shape": [1], "datatype": "FP32", "data": struct.pack("<f", 1)}
    before = dict(tensor)
    api.infer("resnet", [tensor])
    assert tensor == before


def test_infer_without_bytes_is_plain_json(api, server):
    api.infer("resnet", [TENSOR])
    assert server.requests[0].headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in server.requests[0].headers


def test_predict_by_row(api, server):
    assert api.predict("resnet", [[1, 2], [3, 4]], signature_name="serving_default") == [3, 7]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/models/resnet:predict")
    assert request.json() == {"instances": [[1, 2], [3, 4]], "signature_name": "serving_default"}


def test_predict_by_column(api, server):
    assert api.predict("resnet", {"data": [[1, 2], [3, 4]]}, version=1) == {"data": [3, 7]}
    (request,) = server.requests
    assert request.path == "/v1/models/resnet/versions/1:predict"
    assert request.json() == {"inputs": {"data": [[1, 2], [3, 4]]}}


def test_chat_returns_the_completion(api, server):
    answer = api.chat(QWEN, HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v3/chat/completions")
    assert request.json() == {"model": QWEN, "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = api.stream_chat(QWEN, HELLO)
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": QWEN, "messages": HELLO, "stream": True}


def test_error_inside_a_stream_is_raised(api, backend, server):
    server.script(ovms.failing_stream("Mediapipe execution failed."))
    chunks = api.stream_chat(QWEN, HELLO)
    assert next(chunks)["choices"][0]["delta"] == {"content": "Hel"}
    with pytest.raises(backend.OVMSError, match=r"^Mediapipe execution failed\.$") as caught:
        next(chunks)
    assert caught.value.status is None


def test_error_before_a_stream_has_its_status(api, backend):
    with pytest.raises(backend.OVMSError, match="graph definition") as caught:
        list(api.stream_chat("gone", HELLO))
    assert caught.value.status == 404


def test_complete(api, server):
    assert api.complete(QWEN, "Hi", max_tokens=5)["choices"][0]["text"] == "Echo: Hi"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v3/completions")
    assert request.json() == {"model": QWEN, "prompt": "Hi", "max_tokens": 5}


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed(QWEN, ["a", "bbb"]) == [[1.0], [3.0]]
    assert server.requests[0].path == "/v3/embeddings"
    assert server.requests[0].json() == {"model": QWEN, "input": ["a", "bbb"]}


def test_list_models(api, server):
    assert api.list_models() == list(ovms.MODELS)
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/config")


def test_model_status(api, server):
    assert [version["state"] for version in api.model_status("resnet")] == ["AVAILABLE"]
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models/resnet")


def test_model_metadata(api, server):
    assert api.model_metadata("resnet", version=1)["inputs"][0]["shape"] == [1, 3]
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v2/models/resnet/versions/1")


def test_model_name_with_a_slash_stays_one_part_of_the_path(api, server):
    assert api.model_metadata(QWEN)["name"] == QWEN
    assert server.requests[0].path == "/v2/models/OpenVINO%2FQwen3-8B"


def test_model_ready(api, server):
    assert api.model_ready("resnet") is True
    assert api.model_ready("gone") is False
    assert [r.path for r in server.requests] == ["/v2/models/resnet/ready", "/v2/models/gone/ready"]


def test_server_live_and_ready(api, server):
    assert api.server_live() is True
    assert api.server_ready() is True
    assert [r.path for r in server.requests] == ["/v2/health/live", "/v2/health/ready"]


def test_server_that_is_not_ready(api, server):
    server.script(Reply(404))
    assert api.server_ready() is False


def test_refused_key_is_not_taken_for_a_server_that_is_not_ready(case, backend, server):
    with pytest.raises(backend.OVMSError) as caught:
        case.make(backend, server, "wrong").server_ready()
    assert caught.value.status == 401


def test_server_that_cannot_be_reached_is_not_taken_for_one_that_is_not_ready(api, backend, server):
    server.script(Reset())
    with pytest.raises(backend.OVMSError, match=r"^ConnectionError: "):
        api.server_live()


def test_stream_complete_yields_the_chunks(api, server):
    chunks = api.stream_complete(QWEN, "Hi")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Echo: Hi "
    assert server.requests[0].json() == {"model": QWEN, "prompt": "Hi", "stream": True}


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.OVMSError) as caught:
        api.infer("resnet", [{"name": "data"}])
    assert caught.value.status == 400
    assert caught.value.message == "Invalid JSON structure. One of inputs has no data field"


def test_respond_returns_the_response(api, server):
    answer = api.respond(QWEN, "Hello there", temperature=0)
    assert answer["output"][0]["content"][0]["text"] == "Echo: Hello there"
    assert server.requests[0].path == "/v3/responses"
    assert server.requests[0].json() == {"model": QWEN, "input": "Hello there", "temperature": 0}


def test_stream_response_yields_the_typed_events(api, server):
    events = list(api.stream_response(QWEN, "Hello there"))
    assert events[-1]["type"] == "response.completed"
    assert "".join(event.get("delta", "") for event in events) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": QWEN, "input": "Hello there", "stream": True}


def test_event_of_a_failed_response_is_raised(api, backend, server):
    server.script(sse([{"type": "response.failed", "response": {"error": {"message": "out of memory"}}}]))
    with pytest.raises(backend.OVMSError, match=r"^out of memory$"):
        list(api.stream_response(QWEN, "Hi"))


def test_rerank_returns_the_best_document_first(api, server):
    ranks = api.rerank(QWEN, "sky", ["blue", "the sky"], top_n=2)
    assert [(rank["index"], rank["relevance_score"]) for rank in ranks] == [(1, 1.0), (0, 0.0)]
    assert server.requests[0].path == "/v3/rerank"
    assert server.requests[0].json() == {
        "model": QWEN, "query": "sky", "documents": ["blue", "the sky"], "top_n": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "call", [lambda api: api.predict("resnet", [[1, 2]]), lambda api: api.model_status("resnet")]
)
def test_call_that_a_new_server_does_not_know_says_what_it_needs(api, backend, server, call):
    server.app = ovms.new_app
    with pytest.raises(backend.OVMSError, match=r"needs a server before 2026\.3"):
        call(api)
    assert len(server.requests) == 1


def test_refused_key_is_not_taken_for_a_new_server(case, backend, server):
    with pytest.raises(backend.OVMSError) as caught:
        case.make(backend, server, "wrong").predict("resnet", [[1, 2]])
    assert caught.value.message == "Unauthorized"


def test_all_else_works_with_a_new_server(api, case, server):
    server.app = ovms.new_app
    for call in case.calls:
        if not {"predict", "model_status"} & set(call.__code__.co_names):
            call(api)
