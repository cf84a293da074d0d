"""B7: an answer that was lost. A gateway's 502 is one; a key makes a repetition known; a kept connection may just have ended."""

from __future__ import annotations

import logging
import socket
import threading
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from io import BytesIO
from urllib.parse import parse_qs

import aiohttp
import boto3
import httpx
import openai
import pytest
import requests
import urllib3

from test.loopback import Reply, Reset
from test.runtime.conftest import Api, assert_at_rest, closed_later
from test.runtime.test_async import run

AWS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


def outcome_of(call):
    with suppress(Exception):
        return call()
    return None


# Each sends one request with a method and to a path, in another way.


def by_session(api, server, method, path, **kwargs):
    return api.call(
        getattr(closed_later(requests.Session()), method), server.url + path, timeout=10, **kwargs
    )


def by_httpx_below_a_base_url(api, server, method, path, **kwargs):
    return api.call(getattr(closed_later(httpx.Client(base_url=server.url)), method), path, **kwargs)


def by_aiohttp(api, server, method, path, **kwargs):
    async def go():
        async with aiohttp.ClientSession() as session:
            async with api._queued(getattr(session, method))(server.url + path, **kwargs) as response:
                return response.status

    return run(go())


def by_urllib3(api, server, method, path, **kwargs):
    return api.call(urllib3.PoolManager().request, method.upper(), server.url + path, **kwargs)


def by_urllib(api, server, method, path, headers=None):
    body = None if method in ("get", "delete") else b"{}"
    request = urllib.request.Request(server.url + path, body, headers or {}, method=method.upper())
    with api.call(urllib.request.urlopen, request) as response:
        return response.status


def by_a_helper(api, server, method, path, **kwargs):
    """A function of the owner's, of which only the error tells what was sent."""

    def ask():
        response = requests.request(method, server.url + path, timeout=10, **kwargs)
        response.raise_for_status()

    return api.call(ask)


WAYS = [by_session, by_httpx_below_a_base_url, by_aiohttp, by_urllib3, by_urllib, by_a_helper]
LOST = [500, 502, 504, 520, 524]
REFUSED = [408, 425, 429, 503]


@pytest.mark.parametrize("method", ["post", "patch"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [*LOST, *REFUSED])
def test_B7_what_creates_something_is_repeated_only_where_it_was_refused(delays, server, way, method, status):
    server.script(Reply(status))
    outcome_of(lambda: way(Api(), server, method, "/orders"))
    assert len(server.requests) == (1 if status in LOST else 2)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
@pytest.mark.parametrize("way", WAYS)
def test_B7_idempotent_methods_are_repeated_after_a_lost_answer(delays, server, way, method):
    server.script(Reply(502))
    outcome_of(lambda: way(Api(), server, method, "/orders"))
    assert len(server.requests) == 2


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/points/search"])
@pytest.mark.parametrize("way", WAYS)
def test_B7_what_asks_a_model_is_repeated_after_a_lost_answer(delays, server, way, path):
    server.script(Reply(502))
    outcome_of(lambda: way(Api(), server, "post", path))
    assert len(server.requests) == 2


def test_B7_the_first_of_redirected_requests_is_judged(delays, server):
    """A POST that made something, and was sent on to a page that fails."""

    def ask():
        requests.post(server.url + "/orders", timeout=10).raise_for_status()

    server.script(Reply(303, headers={"Location": "/page"}), Reply(502))
    outcome_of(lambda: Api().call(ask))
    assert [(request.method, request.path) for request in server.requests] == [
        ("POST", "/orders"),
        ("GET", "/page"),
    ]


def test_B2_a_server_that_says_so_has_a_creating_post_repeated(delays, server):
    server.script(Reply(502, headers={"x-should-retry": "true"}))
    by_session(Api(), server, "post", "/orders")
    assert len(server.requests) == 2


def test_B8_the_lost_answer_is_returned(delays, server):
    server.script(Reply(502, b"bad gateway"))
    assert by_session(Api(), server, "post", "/orders").text == "bad gateway"


@pytest.mark.parametrize(
    ("method", "arguments", "repeated"),
    [
        (lambda client: client.files.create, {"file": b"x", "purpose": "batch"}, False),
        (lambda client: client.batches.create, {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "24h"}, False),
        (lambda client: client.chat.completions.create, {"model": "m", "messages": []}, True),
        (lambda client: client.files.delete, {"file_id": "f"}, True),
    ],
    ids=["files", "batches", "chat", "delete"],
)  # fmt: skip
def test_B7_methods_of_an_sdk_after_a_lost_answer(delays, server, method, arguments, repeated):
    server.script(Reply(502))
    server.app = lambda request: Reply(200, {})
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))
    outcome_of(lambda: Api().call(method(client), **arguments))
    assert len(server.requests) == 1 + repeated


# Keys by which the server knows a repetition.

NAMES = ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"]


@pytest.mark.parametrize("fault", [Reply(502), Reset()], ids=["502", "reset"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", [by_session, by_httpx_below_a_base_url, by_aiohttp, by_urllib3, by_urllib])
def test_B7_with_a_key_a_post_is_repeated_and_the_key_is_the_same(delays, server, way, name, fault):
    server.script(fault)
    way(Api(), server, "post", "/orders", headers={name: "key"})
    assert [request.headers["idempotency-key"] for request in server.requests] == ["key", "key"]


def test_B7_a_key_in_the_extra_headers_of_an_sdk(delays, server):
    server.script(Reply(502))
    server.app = lambda request: Reply(200, {})
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))
    Api().call(
        client.batches.create, input_file_id="f", endpoint="/v1/responses", completion_window="24h",
        extra_headers={"Idempotency-Key": "key"},
    )  # fmt: skip
    assert [request.headers["idempotency-key"] for request in server.requests] == ["key", "key"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_B7_a_key_that_an_sdk_makes_is_made_once_for_all_attempts(delays, server, asynchronous):
    """Those SDKs whose vendors honour one make it for each request that they send; two calls are two requests."""
    server.script(Reply(502), Reply(200, {}), Reply(502))
    server.app = lambda request: Reply(200, {})
    api = Api()
    arguments = {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "24h"}

    async def go():
        async with openai.AsyncOpenAI(api_key="test-key", base_url=server.url) as client:
            client._idempotency_header = "Idempotency-Key"
            create = api._queued(client.batches.create)
            await create(**arguments)
            await create(**arguments)

    if asynchronous:
        run(go())
    else:
        client = closed_later(openai.OpenAI(api_key="test-key", base_url=server.url))
        client._idempotency_header = "Idempotency-Key"
        create = api._queued(client.batches.create)
        create(**arguments)
        create(**arguments)
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert keys[0] == keys[1] != keys[2] == keys[3]


OK = "<RunInstancesResponse xmlns='http://ec2.amazonaws.com/doc/2016-11-15/'><instancesSet/></RunInstancesResponse>"
INSTANCE = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}


def aws(server, service):
    return closed_later(boto3.client(service, endpoint_url=server.url, **AWS))


@pytest.mark.parametrize("fault", [Reply(500), Reset(), Reply(503)], ids=["500", "reset", "503"])
@pytest.mark.parametrize("how", ["method", "_make_api_call", "submitted"])
def test_B7_botocores_token_is_the_same_in_all_attempts(delays, server, how, fault):
    server.script(fault)
    server.app = lambda request: Reply(200, OK)
    ec2, api = aws(server, "ec2"), Api()
    for _ in range(2):
        if how == "method":
            api.call(ec2.run_instances, **INSTANCE)
        elif how == "submitted":
            api.submit(api._queued(ec2.run_instances), **INSTANCE).result(20)
        else:
            api.call(ec2._make_api_call, "RunInstances", INSTANCE)
    tokens = [parse_qs(request.body.decode())["ClientToken"][0] for request in server.requests]
    assert tokens[0] == tokens[1] != tokens[2]
    assert len({uuid.UUID(token) for token in tokens}) == 2


def test_B7_a_token_of_the_callers_own_stays(delays, server):
    server.script(Reply(500))
    server.app = lambda request: Reply(200, OK)
    Api().call(aws(server, "ec2").run_instances, ClientToken="mine", **INSTANCE)
    assert [parse_qs(request.body.decode())["ClientToken"] for request in server.requests] == [["mine"]] * 2


PART = {"Bucket": "bucket", "Key": "k", "UploadId": "u", "PartNumber": 1}
OPERATIONS = [
    ("s3", "put_object", {"Bucket": "bucket", "Key": "k", "Body": b"x"}, True),
    ("s3", "upload_part", {**PART, "Body": b"x"}, True),
    ("s3", "upload_part_copy", {**PART, "CopySource": "bucket/k"}, True),
    ("s3", "copy_object", {"Bucket": "bucket", "Key": "k", "CopySource": "bucket/k"}, True),
    ("s3", "delete_object", {"Bucket": "bucket", "Key": "k"}, True),
    ("s3", "create_multipart_upload", {"Bucket": "bucket", "Key": "k"}, False),
    ("s3", "complete_multipart_upload", {"Bucket": "bucket", "Key": "k", "UploadId": "u"}, False),
    ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1/q", "MessageBody": "x"}, False),
    ("sns", "publish", {"TopicArn": "t", "Message": "x"}, False),
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"id": {"S": "1"}}}, True),
    ("dynamodb", "query", {"TableName": "t", "KeyConditionExpression": "id = :i"}, True),
    ("dynamodb", "update_item", {"TableName": "t", "Key": {"id": {"S": "1"}}}, False),
]


@pytest.mark.parametrize(
    ("service", "method", "arguments", "repeated"), OPERATIONS, ids=[o[1] for o in OPERATIONS]
)
@pytest.mark.parametrize("fault", [Reply(500), Reset()], ids=["500", "reset"])
def test_B7_operations_of_aws_after_a_lost_answer(
    delays, server, service, method, arguments, repeated, fault
):
    server.script(fault)
    server.app = lambda request: Reply(200, "<Done/>" if service in ("s3", "sns") else {})
    outcome_of(lambda: Api().call(getattr(aws(server, service), method), **arguments))
    assert len(server.requests) == 1 + repeated


def test_B7_an_action_of_a_resource_that_copies(delays, server):
    server.script(Reset())
    server.app = lambda request: Reply(200, "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
    target = boto3.resource("s3", endpoint_url=server.url, **AWS).Object("bucket", "k")
    Api().call(target.copy_from, CopySource="bucket/other")
    assert len(server.requests) == 2


# Kept connections.


class Closing:
    """A server that answers so many requests on a connection, and closes it when it has read the next one.

    `answer` is sent as it stands; `connections` counts them, `requests` are the first lines of all requests.
    """

    def __init__(
        self, answers: int, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    ) -> None:
        self.answers, self.answer = answers, answer
        self.connections = 0
        self.requests: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.answer_on, args=(connection,), daemon=True).start()

    def answer_on(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            for number in range(self.answers + 1):
                if not (first := lines.readline()):
                    return
                size = 0
                while (line := lines.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                lines.read(size)
                self.requests.append(first.decode().partition(" HTTP")[0])
                if number < self.answers:
                    connection.sendall(self.answer)

    def __enter__(self) -> Closing:
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.close()


def ask_by_requests(api, url, method, path):
    session = closed_later(requests.Session())
    return lambda: api.call(getattr(session, method), url + path, timeout=10)


def ask_by_urllib3(api, url, method, path):
    pool = urllib3.PoolManager()
    return lambda: api.call(pool.request, method.upper(), url + path)


def ask_by_httpx(api, url, method, path):
    client = closed_later(httpx.Client())
    return lambda: api.call(getattr(client, method), url + path)


def ask_by_an_sdk(api, url, method, path):
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=url))
    if "orders" in path:
        return lambda: api.call(client.files.create, file=b"x", purpose="batch")
    if method == "get":
        return lambda: api.call(client.models.retrieve, "m")
    return lambda: api.call(client.chat.completions.create, model="m", messages=[])


def ask_by_boto3(api, url, method, path):
    s3 = closed_later(boto3.client("s3", endpoint_url=url, **AWS))
    if "orders" in path:
        return lambda: api.call(s3.create_multipart_upload, Bucket="bucket", Key="k")
    return lambda: api.call(s3.list_objects_v2 if method == "get" else s3.delete_bucket, Bucket="bucket")


def closing(client, answers):
    if client is ask_by_boto3:
        return Closing(answers, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<Done/>")
    return Closing(answers)


KEEPING = [ask_by_requests, ask_by_urllib3, ask_by_httpx, ask_by_an_sdk, ask_by_boto3]


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/page"), ("post", "/v1/chat/completions")], ids=["get", "post"]
)
@pytest.mark.parametrize("client", KEEPING)
def test_B7_a_kept_connection_that_has_ended_is_no_failure(delays, caplog, client, method, path):
    """Once more, at once, on a fresh one: no wait, no warning, no retry counted."""
    caplog.set_level(logging.INFO, logger=__name__)
    caplog.set_level(logging.INFO, logger="test.runtime.api")
    api = Api()
    with closing(client, answers=1) as server:
        ask = client(api, server.url, method, path)
        for _ in range(3):
            ask()
        assert server.connections == 3
        assert len(server.requests) == 5, "three answered, two of them after they had been sent in vain"
    assert set(delays) <= {0.0}
    assert [record.getMessage() for record in caplog.records if record.name.startswith("test.")] == []
    assert api.queue_stats()["retried"] == api.queue_stats()["failed"] == 0
    assert_at_rest(api)


@pytest.mark.parametrize("method", ["get", "post"])
def test_B7_a_kept_connection_of_aiohttp_that_has_ended(delays, method):
    api = Api()

    async def go(url):
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with api._queued(getattr(session, method))(url + "/v1/embeddings") as response:
                    await response.read()

    with Closing(answers=1) as server:
        run(go(server.url))
        assert len(server.requests) == 5
    assert set(delays) <= {0.0}
    assert api.queue_stats()["retried"] == 0


@pytest.mark.parametrize("client", KEEPING)
def test_B7_what_creates_something_is_not_sent_again_on_a_fresh_connection(delays, client):
    api = Api()
    with closing(client, answers=1) as server:
        ask = client(api, server.url, "post", "/orders")
        ask()
        outcome_of(ask)
        assert len(server.requests) == 2


@pytest.mark.parametrize("client", KEEPING)
def test_B7_a_connection_that_was_opened_for_the_request_is_no_kept_one(delays, client):
    """The server is down: six attempts in all, with their waits."""
    with closing(client, answers=0) as server:
        outcome_of(client(Api(), server.url, "get", "/page"))
        assert len(server.requests) == 6
    assert delays == [1, 2, 4, 8, 16]


def test_B7_a_request_is_sent_afresh_once(delays):
    """The server goes down while a connection is kept: one more than six."""
    with Closing(answers=1) as server:
        ask = ask_by_requests(Api(), server.url, "get", "/page")
        ask()
        server.answers = 0
        outcome_of(ask)
        assert len(server.requests) == 1 + 7
    assert delays == [0, 1, 2, 4, 8, 16]


def test_B7_without_retries_nothing_is_sent_afresh(delays):
    with Closing(answers=1) as server:
        ask = ask_by_requests(Api(max_retries=0), server.url, "get", "/page")
        ask()
        with pytest.raises(requests.ConnectionError):
            ask()
        assert len(server.requests) == 2


# Answers that end within their headers.

CUT = b"HTTP/1.1 200 OK\r\nServer: test\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


class Cut:
    """A server whose first answers are as given, and are followed by the end of the connection; then it answers well."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile("rb") as lines, suppress(OSError):
                    while lines.readline() not in (b"\r\n", b""):
                        pass
                    self.requests += 1
                    well = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                    connection.sendall(self.answers.pop(0) if self.answers else well)

    def __enter__(self) -> Cut:
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.close()


def ask_unread(api, url, method, path):
    """Ask by something whose body is still to be read."""
    return lambda: Read(api.call(urllib.request.urlopen, url + path, timeout=10))


def ask_unread_by_requests(api, url, method, path):
    session = closed_later(requests.Session())
    return lambda: Read(api.call(session.get, url + path, stream=True, timeout=10).raw)


def ask_s3(api, url, method, path):
    s3 = closed_later(boto3.client("s3", endpoint_url=url, **AWS))
    return lambda: Read(api.call(s3.get_object, Bucket="bucket", Key="key")["Body"])


class Read:
    """A body, to be read; with what was read of it."""

    def __init__(self, body) -> None:
        self.content = body.read()
        body.close()


UNREAD = [ask_unread, ask_unread_by_requests, ask_s3]


@pytest.mark.parametrize("client", [ask_by_requests, ask_by_urllib3, ask_by_httpx, *UNREAD])
def test_B7_an_answer_that_is_cut_within_its_headers_is_truncated(delays, client):
    with Cut(CUT) as server:
        response = client(Api(), server.url, "get", "/page")()
        assert getattr(response, "content", None) == b"{}" or response.data == b"{}"
        assert server.requests == 2
    assert delays == [1]


def test_B7_an_answer_of_botocore_that_was_read_is_truncated_as_well(delays):
    with Cut(CUT) as server:
        client = closed_later(boto3.client("lambda", endpoint_url=server.url, **AWS))
        answer = Api().call(client.list_functions)
        assert (answer["ResponseMetadata"]["HTTPHeaders"]["content-length"], server.requests) == ("2", 2)
    assert delays == [1]


def test_B7_an_answer_that_a_test_has_made_up_is_whole():
    """Its connection has a version, as `requests` asks for that, and no status."""
    answer = requests.Response()
    answer.status_code, answer._content = 200, b""
    answer.raw = BytesIO()
    answer.raw.version = 11  # type: ignore[attr-defined]
    api = Api()
    assert api.call(lambda: answer) is answer
    assert api.queue_stats()["sent"] == 1


def test_B8_after_the_last_attempt_the_cut_answer_is_returned(delays):
    with Cut(*[CUT] * 6) as server:
        response = ask_by_requests(Api(), server.url, "get", "/page")()
        assert (response.status_code, response.content, server.requests) == (200, b"", 6)


def test_B7_what_creates_something_is_not_repeated_after_a_cut_answer(delays):
    with Cut(CUT) as server:
        session = closed_later(requests.Session())
        Api().call(session.post, server.url + "/orders", timeout=10)
        assert server.requests == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
    ids=["no length", "no content", "a type", "HTTP/1.0", "a body"],
)
@pytest.mark.parametrize("client", [ask_by_requests, ask_by_urllib3, *UNREAD])
def test_B7_an_empty_answer_is_a_good_one(delays, client, answer):
    with Cut(answer) as server:
        client(Api(), server.url, "get", "/page")()
        assert server.requests == 1
    assert not delays


def test_B7_the_answer_to_a_head_is_a_good_one(delays):
    with Cut(b"HTTP/1.1 200 OK\r\n\r\n") as server:
        ask_by_requests(Api(), server.url, "head", "/page")()
        assert server.requests == 1
