"""B7: what may be sent twice, judged by real SDKs' methods and by paths; and with which body it is."""

from __future__ import annotations

import asyncio
import io
import urllib.error
import urllib.request
from functools import partial, reduce
from typing import Any

import aiohttp
import boto3
import httpx
import pytest
import requests
import urllib3
import yarl

from backend_retrofit_runtime.repeating import may_be_repeated
from test.loopback import Reply
from test.runtime.conftest import PATIENCE, Answer, closed_later
from test.runtime.test_async import run

AWS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


def client(sdk: str) -> Any:
    """Return a client of an SDK, none of whose requests is made."""
    if sdk.startswith("boto3 "):
        return boto3.client(sdk.partition(" ")[2], **AWS)
    package, _, name = sdk.rpartition(".")
    return getattr(pytest.importorskip(package), name)(
        **{} if package == "huggingface_hub" else {"api_key": "test-key"}
    )


METHODS = {
    "openai.OpenAI": (
        "chat.completions.create responses.create embeddings.create audio.speech.create images.edit images.generate"
        " moderations.create files.content files.list responses.input_tokens.count",
        "beta.threads.messages.create beta.threads.runs.create uploads.create uploads.complete files.create"
        " fine_tuning.jobs.create batches.create vector_stores.create videos.create",
    ),
    "anthropic.Anthropic": (
        "messages.create messages.stream messages.count_tokens messages.batches.results messages.batches.retrieve",
        "messages.batches.create beta.messages.batches.create beta.files.upload",
    ),
    "cohere.ClientV2": ("chat embed rerank", "embed_jobs.create datasets.create"),
    "mistralai.client.Mistral": (
        "chat.complete chat.stream fim.stream agents.stream embeddings.create ocr.process",
        "files.upload batch.jobs.create",
    ),
    "google.genai.Client": (
        "models.generate_content models.embed_content models.compute_tokens models.count_tokens",
        "batches.create batches.create_embeddings models.generate_videos files.upload caches.create",
    ),
    "huggingface_hub.HfApi": (
        "file_exists model_info list_models",
        "create_inference_endpoint run_job create_repo upload_file",
    ),
    "boto3 bedrock-runtime": ("converse invoke_model", "start_async_invoke"),
    "boto3 s3": ("get_object put_object list_objects_v2", "complete_multipart_upload create_bucket"),
    "boto3 lambda": ("list_functions", "invoke"),
    "boto3 organizations": ("describe_account", "create_account"),
    "boto3 sagemaker": ("describe_endpoint", "create_inference_component"),
}


@pytest.mark.parametrize(
    ("sdk", "method", "wanted"),
    [
        (sdk, method, wanted)
        for sdk, (repeated, not_repeated) in METHODS.items()
        for wanted, methods in ((True, repeated), (False, not_repeated))
        for method in methods.split()
    ],
)
def test_B7_methods_of_sdks(sdk, method, wanted):
    call = reduce(getattr, method.split("."), client(sdk))
    assert may_be_repeated(call, (), {}) is wanted


REPEATED = """
/v1/chat/completions /api/generate /hf-inference/models/x /v2/models/m/infer /v1/audio/speech /v1/fim/completions
/v1beta/models/m:batchEmbedContents /v1beta/models/m:countTokens /invocations /endpoints/e/invocations /score /rerank
/client/v4/accounts/1/ai/run/x /v1/images/edits /v1/interactions /api/show /decode /v1/retrieval
""".split()
NOT_REPEATED = """
/v1/messages/batches /v1/threads/t/messages /v1/embed-jobs /v1/accounts/me/supervisedFineTuningJobs /v1/fine_tuning/jobs
/v1/projects/p/batchPredictionJobs /models/my-chat-model/upload /v1/uploads/u/complete /v1/videos/generations
/v1/responses/r/cancel /v1/interactions/i/cancel /v1beta/models/m:predictLongRunning /v1beta/models/m:batchGenerateContent /api/pull /2015-03-31/functions/f/invocations
/v1/accounts
""".split()


@pytest.mark.parametrize("where", ["https://api.example.com", ""], ids=["with a host", "below a base URL"])
@pytest.mark.parametrize(
    ("path", "wanted"), [*((path, True) for path in REPEATED), *((path, False) for path in NOT_REPEATED)]
)
def test_B7_posts(where, path, wanted):
    for url in (where + path, httpx.URL(where + path), yarl.URL(where + path)):
        for call, args, kwargs in (
            (requests.post, (url,), {}),
            (requests.post, (), {"url": url}),
            (requests.request, ("POST", url), {}),
            (partial(requests.post, url), (), {}),
        ):
            assert may_be_repeated(call, args, kwargs) is wanted


def test_B7_a_host_that_is_called_like_a_model_says_nothing():
    assert not may_be_repeated(requests.post, ("https://chat.example.com/orders",), {})


def test_B7_a_prompt_with_an_address_in_it_is_no_address(delays, api, server):
    hub = pytest.importorskip("huggingface_hub")
    server.script(Reply(200, delay=60))
    server.app = lambda request: Reply(200, [{"generated_text": "done"}])
    inference = hub.InferenceClient(server.url, token="test-key", timeout=PATIENCE)
    prompt = "https://example.com/page is to be summarized"
    assert api.call(inference.text_generation, prompt) == "done"
    assert len(server.requests) == 2


@pytest.mark.parametrize("path", ["/v1/chat/completions", "v1/embeddings"])
def test_B7_a_lost_answer_below_a_base_url(delays, api, server, path):
    server.script(Reply(200, delay=60))
    session = closed_later(httpx.Client(base_url=server.url, timeout=PATIENCE))
    assert api.call(session.post, path, json={}).status_code == 200
    assert len(server.requests) == 2


def test_B7_a_lost_answer_below_a_base_url_of_aiohttp(delays, api, server):
    async def go():
        async with aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
            async with api._queued(session.post)("/v1/chat/completions", json={}) as response:
                assert response.status == 200
            server.script(Reply(200, delay=60))
            with pytest.raises(asyncio.TimeoutError):
                await api.acall(session.post, "/v1/messages/batches", json={})

    server.script(Reply(200, delay=60))
    run(go())
    assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 2 + [
        "/v1/messages/batches"
    ]


# Bodies.

BODIES = {
    "a file": lambda file: {"data": file},
    "a dict of files": lambda file: {"files": {"file": file}},
    "a list of pairs": lambda file: {"files": [("file", file)]},
    "a list with names": lambda file: {"files": [("file", ("a.txt", file))]},
    "a list with names and types": lambda file: {"files": [("file", ("a.txt", file, "text/plain"))]},
    "a dict with names, types and headers": lambda file: {
        "files": {"file": ("a.txt", file, "text/plain", {"X-Part": "1"})}
    },
}


@pytest.mark.parametrize("how", ["keyword", "partial", "submitted partial"])
@pytest.mark.parametrize("body", BODIES)
def test_B7_a_body_is_rewound_wherever_it_is(api, server, body, how):
    server.script(Reply(503), Reply(503))
    arguments = BODIES[body](io.BytesIO(b"first, second"))
    url = server.url + "/upload"
    if how == "keyword":
        response = api.call(requests.post, url, **arguments)
    elif how == "partial":
        response = api.call(partial(requests.post, url, **arguments))
    else:
        response = api.submit(partial(requests.post, url, **arguments)).result(15)
    assert response.status_code == 200
    assert [request.body.count(b"first, second") for request in server.requests] == [1, 1, 1]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_B7_an_iterator_in_a_partial_is_not_sent_twice(api, server, asynchronous):
    server.app = lambda request: Reply(503)

    async def parts():
        yield b"first"

    async def go():
        async with httpx.AsyncClient() as client:
            return await api._queued(partial(client.post, server.url, content=parts()))()

    if asynchronous:
        response = run(go())
    else:
        response = api.call(partial(requests.post, server.url, data=iter([b"first"])))
    assert response.status_code == 503
    assert len(server.requests) == 1


def test_B7_an_argument_that_is_nested_deeply_is_no_obstacle(api, server):
    server.script(Reply(503))
    nested: Any = [[[[[[[["text"]]]]]]]]
    assert (
        api.call(lambda url, messages: requests.post(url, json=messages), server.url, nested).status_code
        == 200
    )


@pytest.mark.parametrize("place", [0, "data", "files", "body"])
@pytest.mark.parametrize("put", [lambda f: f, lambda f: [f], lambda f: {"a": {"b": [("name", f)]}}])
def test_B7_a_file_is_rewound_wherever_it_stands_in_a_body(api, delays, place, put):
    """Whether a body may hold a file is looked up before each request."""
    file, sent = io.BytesIO(b"xabc"), []
    file.read(1)

    def get_with(*args, **kwargs):
        sent.append(file.read())
        return Answer(503 if len(sent) < 3 else 200)

    args, kwargs = ((put(file),), {}) if place == 0 else ((), {place: put(file)})
    assert api.call(get_with, *args, **kwargs).status_code == 200
    assert sent == [b"abc"] * 3


async def _opened(opener, path):
    module, _, name = opener.rpartition(".")
    return await getattr(pytest.importorskip(module), name)(path, "rb")


def _put_later(api, server, how, make_body):
    """Put what `await make_body()` gives with an async client; return the status."""

    async def go():
        if how == "httpx":
            async with httpx.AsyncClient() as client:
                return (await api.acall(client.put, server.url, content=await make_body())).status_code
        async with aiohttp.ClientSession() as session:
            if how == "aiohttp, awaited":
                return (await api.acall(session.put, server.url, data=await make_body())).status
            async with api._queued(session.put)(server.url, data=await make_body()) as response:
                return response.status

    return run(go())


@pytest.mark.parametrize("opener", ["aiofiles.open", "anyio.open_file"])
@pytest.mark.parametrize("how", ["httpx", "aiohttp", "aiohttp, awaited"])
def test_B7_a_file_that_tells_only_when_awaited_where_it_stands_is_not_sent_twice(
    api, server, tmp_path, opener, how
):
    """The second request would store an empty body."""
    (path := tmp_path / "upload").write_bytes(b"all of it")
    server.script(Reply(503))
    assert _put_later(api, server, how, lambda: _opened(opener, path)) == 503
    assert [request.body for request in server.requests] == [b"all of it"]


def _form(file):
    form = aiohttp.FormData()
    form.add_field("file", file, filename="upload")
    return form


def _parts(file):
    writer = aiohttp.MultipartWriter()
    writer.append(file)
    return writer


@pytest.mark.parametrize("wrap", [lambda file: file, lambda file: {"file": file}, _form, _parts])
@pytest.mark.parametrize("how", ["aiohttp", "aiohttp, awaited"])
def test_B7_a_file_that_aiohttp_closes_is_not_sent_twice(api, server, tmp_path, wrap, how):
    """The caller gets the 503, and no error of reading from a closed file."""
    (path := tmp_path / "upload").write_bytes(b"all of it")
    server.script(Reply(503))

    async def body():
        return wrap(path.open("rb"))

    assert _put_later(api, server, how, body) == 503
    assert len(server.requests) == 1
    assert b"all of it" in server.requests[0].body


@pytest.mark.parametrize("wrap", [lambda file: file, _form, _parts])
def test_B7_what_aiohttp_does_not_close_is_sent_again(api, server, wrap):
    server.script(Reply(503))

    async def body():
        return wrap(io.BytesIO(b"all of it"))

    assert _put_later(api, server, "aiohttp", body) == 200
    assert [request.body.count(b"all of it") for request in server.requests] == [1, 1]


class Parts:
    """A body in parts, each of which is given once, although the object can be iterated over again."""

    def __init__(self):
        self.left = [b"all ", b"of it"]

    def __iter__(self):
        while self.left:
            yield self.left.pop(0)


class PartsLater(Parts):
    """The same for async clients."""

    __iter__ = None

    async def __aiter__(self):
        while self.left:
            yield self.left.pop(0)


PUTS = {
    "requests": lambda api, url: api.call(requests.put, url, data=Parts()).status_code,
    "requests, by position": lambda api, url: api.call(requests.put, url, Parts()).status_code,
    "a session of requests": lambda api, url: (
        api.call(closed_later(requests.Session()).request, "PUT", url, data=Parts()).status_code
    ),
    "a request made beforehand": lambda api, url: (
        api.call(
            (session := closed_later(requests.Session())).send,
            session.prepare_request(requests.Request("PUT", url, data=Parts())),
        ).status_code
    ),
    "httpx": lambda api, url: api.call(httpx.put, url, content=Parts()).status_code,
    "urllib3": lambda api, url: api.call(closed_later(_pool()).request, "PUT", url, body=Parts()).status,
    "urllib": lambda api, url: api.call(urllib.request.urlopen, _of_urllib(url, Parts())).status,
}


def _pool():
    pool = urllib3.PoolManager()
    pool.close = pool.clear
    return pool


def _of_urllib(url, body):
    return urllib.request.Request(url, body, {"Transfer-Encoding": "chunked"}, method="PUT")


@pytest.mark.parametrize("put", PUTS)
def test_B7_a_body_that_may_be_read_only_once_is_not_sent_twice(api, server, put):
    server.script(Reply(503))
    try:
        status = PUTS[put](api, server.url)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    assert status == 503
    assert [request.body for request in server.requests] == [b"all of it"]


@pytest.mark.parametrize("how", ["httpx", "aiohttp"])
def test_B7_an_async_body_that_may_be_read_only_once_is_not_sent_twice(api, server, how):
    server.script(Reply(503))

    async def body():
        return PartsLater()

    assert _put_later(api, server, how, body) == 503
    assert [request.body for request in server.requests] == [b"all of it"]


@pytest.mark.parametrize(
    "body", [b"all of it", bytearray(b"all of it"), [("all of", "it")], {"all of": "it"}]
)
def test_B7_collections_are_sent_again(api, server, body):
    server.script(Reply(503))
    assert api.call(requests.put, server.url, data=body).status_code == 200
    first, second = (request.body for request in server.requests)
    assert first == second != b""
