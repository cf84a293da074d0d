"""B12: the unit of retry is one request. What makes several is queued only, with the library's own retries on."""

from __future__ import annotations

import asyncio
import gc
import io
import re
import weakref
from contextlib import suppress

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import openai
import pytest
from boto3.s3.transfer import S3Transfer, TransferConfig

from test.loopback import Reply, Request, Reset
from test.runtime.conftest import Api, assert_at_rest, caller, closed_later

try:
    from google import genai
    from google.genai import types
except ImportError:  # it is not in every environment that these tests run in
    genai = types = None

AWS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
BUSY = {"error": {"message": "busy"}}


@pytest.fixture
def api():
    api = Api(initial_retry_delay=0.01)
    yield api
    assert_at_rest(api)
    api.close()


class FailsOnce:
    """An app whose first request of the kind that `fails` names is answered 503; a header lets the SDKs not wait."""

    def __init__(self, fails, answer, reply=None):
        self.fails, self.answer = fails, answer
        self.reply = reply or Reply(503, BUSY, {"retry-after-ms": "1"})
        self.failed = False

    def __call__(self, request: Request):
        if not self.failed and self.fails(request):
            self.failed = True
            return self.reply
        return self.answer(request)


def run_async(coroutine):
    return caller(asyncio.run, coroutine).result(30)


# What an SDK makes of several requests.

RUN = {
    "id": "run", "object": "thread.run", "thread_id": "t", "assistant_id": "a", "created_at": 1, "model": "m",
    "instructions": "", "tools": [], "metadata": {}, "parallel_tool_calls": False,
}  # fmt: skip
BATCH = {"id": "b", "object": "vector_store.files_batch", "created_at": 1, "vector_store_id": "v"}
COUNTS = {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1}
VIDEO = {
    "id": "video",
    "object": "video",
    "created_at": 1,
    "model": "m",
    "progress": 0,
    "seconds": "4",
    "size": "1x1",
}
POLLED = {
    "a run": (
        lambda client: client.beta.threads.runs.create_and_poll,
        {"thread_id": "t", "assistant_id": "a", "poll_interval_ms": 1},
        (RUN | {"status": "queued"}, RUN | {"status": "completed"}),
    ),
    "a thread and its run": (
        lambda client: client.beta.threads.create_and_run_poll,
        {"assistant_id": "a", "poll_interval_ms": 1},
        (RUN | {"status": "queued"}, RUN | {"status": "completed"}),
    ),
    "a batch of files": (
        lambda client: client.vector_stores.file_batches.create_and_poll,
        {"vector_store_id": "v", "file_ids": ["f"], "poll_interval_ms": 1},
        (BATCH | {"status": "in_progress", "file_counts": COUNTS}, BATCH | {"status": "completed", "file_counts": COUNTS}),
    ),
    "a video": (
        lambda client: client.videos.create_and_poll,
        {"prompt": "p", "poll_interval_ms": 1},
        (VIDEO | {"status": "queued"}, VIDEO | {"status": "completed"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("polled", POLLED)
def test_B12_what_is_polled_is_made_once(api, server, polled, asynchronous):
    if polled == "a video" and not hasattr(openai.OpenAI, "videos"):
        pytest.skip("this version of the SDK makes none")
    method, arguments, (begun, done) = POLLED[polled]
    server.app = FailsOnce(
        lambda request: request.method == "GET",
        lambda request: Reply(200, begun if request.method == "POST" else done),
    )

    async def go():
        async with openai.AsyncOpenAI(api_key="test-key", base_url=server.url) as client:
            return await api.acall(method(client), **arguments)

    if asynchronous:
        got = run_async(go())
    else:
        got = api.call(
            method(closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))), **arguments
        )
    assert got.status == "completed"
    assert [request.method for request in server.requests] == ["POST", "GET", "GET"]


def test_B12_the_sdk_retries_each_request_of_what_is_polled(api, server):
    method, arguments, (begun, done) = POLLED["a run"]
    server.app = FailsOnce(
        lambda request: request.method == "POST",
        lambda request: Reply(200, begun if request.method == "POST" else done),
    )
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))
    assert api.call(method(client), **arguments).status == "completed"
    assert [request.method for request in server.requests] == ["POST", "POST", "GET"]
    assert api.queue_stats()["retried"] == 0


def test_B12_a_file_that_is_uploaded_in_parts_is_begun_once(api, server):
    upload = {
        "id": "u", "object": "upload", "bytes": 4, "created_at": 1, "expires_at": 2, "filename": "f", "purpose": "batch",
        "status": "completed",
    }  # fmt: skip

    def answer(request):
        part = request.path.endswith("/parts")
        return Reply(
            200, {"id": "p", "object": "upload.part", "created_at": 1, "upload_id": "u"} if part else upload
        )

    server.app = FailsOnce(lambda request: request.path.endswith("/parts"), answer)
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))
    api.call(
        client.uploads.upload_file_chunked, file=b"abcd", filename="f", bytes=4, mime_type="text/plain",
        purpose="batch", part_size=4,
    )  # fmt: skip
    assert [request.path for request in server.requests] == [
        "/uploads", "/uploads/u/parts", "/uploads/u/parts", "/uploads/u/complete",
    ]  # fmt: skip


# Pages.


def files(more, *numbers):
    made = [
        {"id": f"file-{n}", "object": "file", "bytes": 1, "created_at": 1, "filename": "x", "purpose": "batch", "status": "processed"}
        for n in numbers
    ]  # fmt: skip
    return Reply(200, {"object": "list", "data": made, "has_more": more})


def models(more, *numbers):
    made = [{"id": f"file-{n}", "type": "model", "display_name": "x", "created_at": "2026-01-01T00:00:00Z"} for n in numbers]  # fmt: skip
    return Reply(200, {"data": made, "has_more": more, "first_id": None, "last_id": f"file-{numbers[-1]}"})


def pages(request, page=files):
    after = (request.query.get("after") or request.query.get("after_id") or [""])[0]
    return {"": page(True, 1, 2), "file-2": page(True, 3, 4), "file-4": page(False, 5)}[after]


def is_second(request):
    return "file-2" in str(request.query)


LISTED = [f"file-{n}" for n in range(1, 6)]
PAGED = {
    "openai": (openai.OpenAI, openai.AsyncOpenAI, lambda client: client.files, files),
    "anthropic": (anthropic.Anthropic, anthropic.AsyncAnthropic, lambda client: client.models, models),
}


@pytest.mark.parametrize("raw", [False, True], ids=["", "raw"])
@pytest.mark.parametrize("sdk", PAGED)
def test_B12_the_sdk_retries_later_pages(api, server, sdk, raw):
    make, _, resource_of, page = PAGED[sdk]
    server.app = FailsOnce(is_second, lambda request: pages(request, page))
    resource = resource_of(closed_later(make(api_key="test-key", base_url=server.url)))
    listed = (
        api.call(resource.with_raw_response.list, limit=2).parse()
        if raw
        else api.call(resource.list, limit=2)
    )
    assert [item.id for item in listed] == LISTED
    assert len(server.requests) == 4


@pytest.mark.parametrize("how", ["await", "async for", "raw"])
@pytest.mark.parametrize("sdk", PAGED)
def test_B12_the_sdk_retries_later_pages_of_async_lists(api, server, sdk, how):
    _, make, resource_of, page = PAGED[sdk]
    server.app = FailsOnce(is_second, lambda request: pages(request, page))

    async def go():
        async with make(api_key="test-key", base_url=server.url) as client:
            resource = resource_of(client)
            if how == "raw":
                listed = (await api._queued(resource.with_raw_response.list)(limit=2)).parse()
                listed = await listed if sdk == "anthropic" else listed
            else:
                listed = api._queued(resource.list)(limit=2)
                listed = await listed if how == "await" else listed
            return [item.id async for item in listed]

    assert run_async(go()) == LISTED
    assert len(server.requests) == 4


@pytest.mark.parametrize("how", ["sync", "await", "async for"])
def test_B12_the_first_page_is_retried_in_one_layer(delays, server, how):
    server.app = lambda request: Reply(503, BUSY)
    api = Api()

    async def go():
        async with openai.AsyncOpenAI(api_key="test-key", base_url=server.url) as client:
            listed = api._queued(client.files.list)()
            if how == "await":
                await listed
            else:
                async for _ in listed:
                    pass

    def ask():
        if how == "sync":
            api.call(closed_later(openai.OpenAI(api_key="test-key", base_url=server.url)).files.list)
        else:
            run_async(go())

    with pytest.raises(openai.InternalServerError):
        ask()
    assert len(server.requests) == 6


def test_B12_a_page_keeps_the_retries_that_the_call_was_given(api, server):
    """`with_options(max_retries=...)` is a client of its own, and its pages remember that one."""
    server.app = lambda request: (
        Reply(503, BUSY, {"retry-after-ms": "1"}) if is_second(request) else pages(request)
    )
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url)).with_options(max_retries=4)
    listed = api.call(client.files.list, limit=2)
    with pytest.raises(openai.InternalServerError):
        list(listed)
    assert len(server.requests) == 1 + 5


# The user's own functions.


def look_up(word: str) -> str:
    """Look a word up.

    Args:
        word: to be looked up.
    """
    return word


def content(part):
    return Reply(
        200, {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}
    )


def gemini(request):
    if b"functionResponse" in request.body:
        return content({"text": "done"})
    return content({"functionCall": {"name": "send_mail", "args": {"to": "a@example.org"}}})


def gemini_client(server, **options):
    if genai is None:
        pytest.skip("google-genai is not installed")
    return closed_later(
        genai.Client(api_key="test-key", http_options=types.HttpOptions(base_url=server.url, **options))
    )


@pytest.fixture
def mail():
    sent = []

    def send_mail(to: str) -> str:
        """Send a mail.

        Args:
            to: the address.
        """
        sent.append(to)
        return "sent"

    send_mail.__annotations__ = {"to": str, "return": str}  # not as texts, which not all versions read
    send_mail.sent = sent
    return send_mail


HOW_TO_ASK = {
    "generate_content": lambda client, tools: (
        client.models.generate_content,
        {"model": "m", "contents": "x", "config": types.GenerateContentConfig(tools=tools)},
    ),
    "a dict": lambda client, tools: (
        client.models.generate_content,
        {"model": "m", "contents": "x", "config": {"tools": tools}},
    ),
    "a chat": lambda client, tools: (
        client.chats.create(model="m", config=types.GenerateContentConfig(tools=tools)).send_message,
        {"message": "x"},
    ),
    "a message with tools": lambda client, tools: (
        client.chats.create(model="m").send_message,
        {"message": "x", "config": {"tools": tools}},
    ),
}


@pytest.mark.parametrize("how", HOW_TO_ASK)
def test_B12_gemini_runs_a_tool_once(api, server, mail, how):
    server.app = FailsOnce(lambda request: b"functionResponse" in request.body, gemini)
    call, arguments = HOW_TO_ASK[how](gemini_client(server), [mail])
    with suppress(genai.errors.ServerError):
        api.call(call, **arguments)
    assert mail.sent == ["a@example.org"]


def test_B12_gemini_runs_a_tool_once_in_an_async_call(api, server, mail):
    server.app = FailsOnce(lambda request: b"functionResponse" in request.body, gemini)

    async def go():
        client = gemini_client(server)
        with suppress(genai.errors.ServerError):
            await api.acall(
                client.aio.models.generate_content, model="m", contents="x", config={"tools": [mail]}
            )
        await client.aio.aclose()

    run_async(go())
    assert mail.sent == ["a@example.org"]


@pytest.mark.parametrize(
    "config",
    [
        None,
        {"tools": [{"code_execution": {}}]},
        {"tools": [look_up], "automatic_function_calling": {"disable": True}},
    ],
    ids=["no tools", "tools of the server", "automatic calls are off"],
)
def test_B12_gemini_is_retried_where_it_runs_nothing_of_the_users(api, server, config):
    server.app = FailsOnce(lambda request: True, lambda request: content({"text": "done"}))
    got = api.call(gemini_client(server).models.generate_content, model="m", contents="x", config=config)
    assert got.text == "done"
    assert len(server.requests) == 2


def test_B12_anthropic_runs_a_tool_once(api, server):
    looked_up = []

    @anthropic.beta_tool
    def look_up(word: str) -> str:
        """Look a word up.

        Args:
            word: to be looked up.
        """
        looked_up.append(word)
        return "found"

    def answer(request):
        use = {"type": "tool_use", "id": "t", "name": "look_up", "input": {"word": "x"}}
        parts = [{"type": "text", "text": "done"}] if b"tool_result" in request.body else [use]
        return Reply(
            200,
            {
                "id": "m", "type": "message", "role": "assistant", "model": "m", "content": parts,
                "stop_reason": "end_turn" if b"tool_result" in request.body else "tool_use", "stop_sequence": None,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        )  # fmt: skip

    server.app = FailsOnce(lambda request: b"tool_result" in request.body, answer)
    client = closed_later(anthropic.Anthropic(api_key="test-key", base_url=server.url))

    messages = [{"role": "user", "content": "x"}]
    runner = api.call(
        client.beta.messages.tool_runner, model="m", max_tokens=5, messages=messages, tools=[look_up]
    )
    assert runner.until_done().content[0].text == "done"
    assert looked_up == ["x"]


# S3's transfers.

S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
SLOW_DOWN = Reply(503, "<Error><Code>SlowDown</Code></Error>")


class Bucket:
    """The answers of an S3 that takes uploads in parts, gives them back, and copies."""

    def __init__(self):
        self.begun = self.completed = 0

    def __call__(self, request):
        if request.method == "POST" and "uploads" in request.path + str(request.query):
            self.begun += 1
            return Reply(200, f"<InitiateMultipartUploadResult xmlns='{S3}'><UploadId>u{self.begun}</UploadId></InitiateMultipartUploadResult>")  # fmt: skip
        if request.method == "POST":
            if "uploadId" not in request.query:
                self.begun += 1
                return Reply(200, f"<InitiateMultipartUploadResult xmlns='{S3}'><UploadId>u{self.begun}</UploadId></InitiateMultipartUploadResult>")  # fmt: skip
            self.completed += 1
            return Reply(200, f"<CompleteMultipartUploadResult xmlns='{S3}'><ETag>e</ETag></CompleteMultipartUploadResult>")  # fmt: skip
        if request.method == "PUT" and "x-amz-copy-source" in request.headers:
            return Reply(200, f"<CopyPartResult xmlns='{S3}'><ETag>e</ETag></CopyPartResult>")
        if request.method == "PUT":
            return Reply(200, headers={"ETag": '"e"'})
        size = 12 << 20
        headers = {"ETag": '"e"', "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return Reply(200, headers=headers | {"Content-Length": str(size)})
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return Reply(200, bytes(size), headers)
        first, last = int(wanted[1]), int(wanted[2] or size - 1)
        return Reply(
            206, bytes(last - first + 1), headers | {"Content-Range": f"bytes {first}-{last}/{size}"}
        )


PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=1)


def s3_of(server, **options):
    return closed_later(boto3.client("s3", endpoint_url=server.url, **AWS, **options))


TRANSFERS = {
    "upload_file": lambda s3, path: (s3.upload_file, (path, "bucket", "key"), {"Config": PARTS}),
    "upload_fileobj": lambda s3, path: (
        s3.upload_fileobj, (io.BytesIO(bytes(12 << 20)), "bucket", "key"), {"Config": PARTS},
    ),
    "download_file": lambda s3, path: (s3.download_file, ("bucket", "key", path), {"Config": PARTS}),
    "download_fileobj": lambda s3, path: (s3.download_fileobj, ("bucket", "key", io.BytesIO()), {"Config": PARTS}),
    "copy": lambda s3, path: (
        s3.copy, ({"Bucket": "from", "Key": "key"}, "bucket", "key"), {"Config": PARTS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", [SLOW_DOWN, Reset()], ids=["SlowDown", "reset"])
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_B12_one_part_of_a_transfer_is_sent_again(api, server, tmp_path, transfer, fault):
    """The server sees the same requests as without the retrofit."""
    path = tmp_path / "file"
    path.write_bytes(bytes(12 << 20))
    seen = []
    for retrofitted in (False, True):
        bucket = Bucket()
        server.requests.clear()
        server.app = FailsOnce(
            lambda request: request.query.get("partNumber") == ["2"] or "range" in request.headers,
            bucket,
            fault,
        )
        call, args, kwargs = TRANSFERS[transfer](s3_of(server), str(path))
        (api._queued(call) if retrofitted else call)(*args, **kwargs)
        assert server.app.failed
        assert bucket.begun == bucket.completed <= 1
        seen.append(sorted((request.method, str(request.query)) for request in server.requests))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("how", ["bucket", "object", "S3Transfer"])
def test_B12_transfers_of_resources_and_of_s3transfer(api, server, tmp_path, how):
    path = tmp_path / "file"
    path.write_bytes(bytes(12 << 20))
    server.app = FailsOnce(
        lambda request: request.query.get("partNumber") == ["2"], bucket := Bucket(), SLOW_DOWN
    )
    if how == "S3Transfer":
        transfer = S3Transfer(s3_of(server), PARTS)
        api.call(transfer.upload_file, str(path), "bucket", "key")
    else:
        s3 = boto3.resource("s3", endpoint_url=server.url, **AWS)
        target = s3.Bucket("bucket") if how == "bucket" else s3.Object("bucket", "key")
        args = (str(path), "key") if how == "bucket" else (str(path),)
        api.call(target.upload_file, *args, Config=PARTS)
    assert bucket.begun == bucket.completed == 1
    assert server.app.failed


def test_B12_a_paginator_and_a_waiter_keep_the_retries_of_their_client(api, server):
    page = f"<ListBucketResult xmlns='{S3}'><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>"
    s3 = s3_of(server)
    server.app = FailsOnce(lambda request: True, lambda request: Reply(200, page), SLOW_DOWN)
    paginate = s3.get_paginator("list_objects_v2").paginate
    (got,) = api.call(paginate, Bucket="bucket")
    assert got["Contents"][0]["Key"] == "a"
    server.app = FailsOnce(lambda request: True, lambda request: Reply(200), SLOW_DOWN)
    api.call(s3.get_waiter("bucket_exists").wait, Bucket="bucket")
    assert len(server.requests) == 4
    assert api.queue_stats()["retried"] == 0


# The owner's client is as it was.


def page_of_s3(keys, more):
    token = "<NextContinuationToken>t</NextContinuationToken>" if more else ""
    found = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    return Reply(200, f"<ListBucketResult xmlns='{S3}'><IsTruncated>{str(more).lower()}</IsTruncated>{token}{found}</ListBucketResult>")  # fmt: skip


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_B10_boto3_keeps_its_retries_for_what_is_not_ours(api, server, mode):
    def answer(request):
        if request.method == "PUT":
            return Reply(200, headers={"ETag": '"e"'})
        return page_of_s3("b", False) if "continuation-token" in request.query else page_of_s3("a", True)

    s3 = s3_of(server, config=botocore.config.Config(retries={"mode": mode}))
    server.script(SLOW_DOWN)
    server.app = FailsOnce(lambda request: "continuation-token" in request.query, answer, SLOW_DOWN)
    api.call(s3.put_object, Bucket="bucket", Key="a", Body=b"x")
    got = [
        e["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket="bucket") for e in p["Contents"]
    ]
    assert got == ["a", "b"]
    assert [request.method for request in server.requests] == ["PUT", "PUT", "GET", "GET", "GET"]
    assert api.queue_stats()["retried"] == 1


def test_B10_gemini_keeps_its_retries_for_what_is_not_ours(delays, server):
    api = Api()
    client = gemini_client(server, retry_options={"attempts": 3})
    client._api_client._retry.wait = lambda state: 0
    server.app = lambda request: Reply(
        503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}
    )
    ask = client.models.generate_content
    for call, wanted in ((ask, 3), (api._queued(ask), 6), (ask, 3)):
        server.requests.clear()
        with pytest.raises(genai.errors.ServerError):
            call(model="m", contents="x")
        assert len(server.requests) == wanted


def test_B10_a_client_that_is_changed_later_is_used_as_it_is_then(api, server):
    client = closed_later(openai.OpenAI(api_key="first", base_url=server.url))
    server.app = lambda request: Reply(200, {"object": "list", "data": []})
    api.call(client.models.list)
    client.api_key = "second"
    api.call(client.models.list)
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer first",
        "Bearer second",
    ]


@pytest.mark.parametrize("make", ["boto3", "openai", "gemini"])
def test_Q12_no_client_is_kept_alive(api, server, make):
    if make == "gemini" and genai is None:
        pytest.skip("google-genai is not installed")
    server.app = lambda request: (
        Reply(200, {"object": "list", "data": []}) if make != "gemini" else content({"text": "x"})
    )

    def use():
        if make == "boto3":
            client = boto3.client("s3", endpoint_url=server.url, **AWS)
            api.call(client.head_bucket, Bucket="bucket")
        elif make == "openai":
            client = openai.OpenAI(api_key="test-key", base_url=server.url)
            api.call(client.models.list)
        else:
            client = genai.Client(api_key="test-key", http_options=types.HttpOptions(base_url=server.url))
            api.call(client.models.generate_content, model="m", contents="x")
        client.close()
        return weakref.ref(client), weakref.ref(type(client)) if make == "boto3" else lambda: None

    references = [reference for _ in range(3) for reference in use()]
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


def test_B10_a_call_of_a_client_of_boto3_is_made_in_many_threads_at_once(api, server):
    s3 = s3_of(server)
    server.app = FailsOnce(lambda request: True, lambda request: Reply(200), SLOW_DOWN)
    calls = [caller(api.call, s3.head_bucket, Bucket="bucket") for _ in range(8)]
    assert all(call.result(30)["ResponseMetadata"]["HTTPStatusCode"] == 200 for call in calls)
    assert len(server.requests) == 9
