"""B10, B12, B7 and Q12 of libraries that are not installed everywhere: each test says which one it needs."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from urllib.parse import parse_qs

import pytest
import requests

from test.loopback import Reply
from test.runtime.conftest import Api, assert_at_rest, caller, closed_later

AWS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
BUSY = {"error": {"message": "busy", "code": 503}}
MESSAGES = [{"role": "user", "content": "hello"}]


def run(coroutine):
    return caller(asyncio.run, coroutine).result(60)


def seen_by(server, call):
    """Make a call; return the class of its error, if there is one, and how many requests the server saw."""
    server.requests.clear()
    error = None
    try:
        call()
    except Exception as raised:
        error = type(raised)
    return error, len(server.requests)


@pytest.fixture
def busy(server):
    server.app = lambda request: Reply(503, BUSY, {"retry-after-ms": "1"})
    return server


@pytest.fixture
def aio():
    return pytest.importorskip("aiobotocore.session").get_session()


def test_B10_aiobotocore_makes_six_requests_and_keeps_its_own_retries_for_others(delays, busy, aio):
    api = Api()

    async def go():
        async with aio.create_client("s3", endpoint_url=busy.url, **AWS) as s3:
            with suppress(s3.exceptions.ClientError):
                await api.acall(s3.list_buckets)
            ours = len(busy.requests)
            with suppress(s3.exceptions.ClientError):
                await s3.list_buckets()
            return ours, len(busy.requests) - ours

    ours, plain = run(go())
    assert ours == 6
    assert plain > 1
    assert_at_rest(api)


def test_B7_the_token_of_aiobotocore_is_the_same_in_all_attempts(delays, server, aio):
    done = "<RunInstancesResponse xmlns='http://ec2.amazonaws.com/doc/2016-11-15/'><instancesSet/></RunInstancesResponse>"
    server.script(Reply(500))
    server.app = lambda request: Reply(200, done)

    async def go():
        async with aio.create_client("ec2", endpoint_url=server.url, **AWS) as ec2:
            await Api().acall(ec2.run_instances, ImageId="ami-1", MinCount=1, MaxCount=1)

    run(go())
    tokens = [parse_qs(request.body.decode())["ClientToken"] for request in server.requests]
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]


def test_B12_a_paginator_of_aiobotocore_keeps_the_retries_of_its_client(delays, server, aio):
    page = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>"
    server.script(Reply(200), Reply(503))
    server.app = lambda request: Reply(200, page)

    async def go():
        async with aio.create_client("s3", endpoint_url=server.url, **AWS) as s3:
            await Api().acall(s3.head_bucket, Bucket="bucket")
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket")
            return [entry["Key"] async for page in pages for entry in page["Contents"]]

    assert run(go()) == ["a"]
    assert not delays


def test_Q12_no_client_of_aiobotocore_is_kept_alive(server, aio):
    """Its usual form: a client for each call."""
    api, classes = Api(), []

    async def go():
        async with aio.create_client("s3", endpoint_url=server.url, **AWS) as s3:
            classes.append(weakref.ref(type(s3)))
            await api.acall(s3.head_bucket, Bucket="bucket")

    for _ in range(3):
        run(go())
    gc.collect()
    assert [reference() for reference in classes] == [None] * 3


def test_B10_langchain_keeps_its_retries(delays, busy):
    module = pytest.importorskip("langchain_openai")
    model = module.ChatOpenAI(model="m", api_key="test-key", base_url=busy.url, max_retries=2)
    plain, ours = (
        seen_by(busy, lambda ask=ask: ask("hello")) for ask in (model.invoke, Api()._queued(model.invoke))
    )
    assert plain == ours
    assert ours[1] == 3
    assert not delays


def test_B10_llama_index_keeps_its_retries(delays, busy):
    module = pytest.importorskip("llama_index.llms.openai")
    model = module.OpenAI(model="gpt-4o", api_key="test-key", api_base=busy.url, max_retries=2)
    plain, ours = (
        seen_by(busy, lambda ask=ask: ask("hello")) for ask in (model.complete, Api()._queued(model.complete))
    )
    assert plain == ours
    assert not delays


def test_B10_litellm_makes_six_requests(delays, busy):
    litellm = pytest.importorskip("litellm")
    ask = {"model": "openai/m", "api_key": "test-key", "api_base": busy.url}
    _, count = seen_by(busy, lambda: Api().call(litellm.completion, messages=MESSAGES, **ask))
    assert count == 6


def test_B10_the_embeddings_of_litellm_keep_their_retries(delays, busy):
    litellm = pytest.importorskip("litellm")
    ask = {"model": "openai/m", "api_key": "test-key", "api_base": busy.url, "input": ["x"]}
    plain, ours = (
        seen_by(busy, lambda e=e: e(**ask)) for e in (litellm.embedding, Api()._queued(litellm.embedding))
    )
    assert plain == ours
    assert not delays


def test_B10_together_makes_six_requests(delays, busy):
    together = pytest.importorskip("together")
    client = together.Together(api_key="test-key", base_url=busy.url)
    create = client.chat.completions.create
    assert seen_by(busy, lambda: Api().call(create, model="m", messages=MESSAGES))[1] == 6
    assert seen_by(busy, lambda: create(model="m", messages=MESSAGES))[1] > 1


def test_B12_the_hub_repeats_a_page_by_itself(delays, server):
    hub = pytest.importorskip("huggingface_hub")
    models = [[{"id": f"m/{n}", "modelId": f"m/{n}"}] for n in range(3)]

    def answer(request):
        number = int((request.query.get("page") or ["0"])[0])
        if number == 1 and len(server.requests) == 2:
            return Reply(503)
        link = {"Link": f'<{server.url}/api/models?page={number + 1}>; rel="next"'} if number < 2 else {}
        return Reply(200, models[number], link)

    server.app = answer
    listed = Api().call(hub.HfApi(endpoint=server.url, token=False).list_models)
    assert [model.id for model in listed] == ["m/0", "m/1", "m/2"]
    assert len(server.requests) == 4
    assert not delays


def _authorized(module):
    credentials = pytest.importorskip("google.auth.credentials")

    class Credentials(credentials.Credentials):
        def refresh(self, request):
            self.token = f"{self.token or 't'}+"

    return module.AuthorizedSession(Credentials())


SESSIONS = {
    "requests_toolbelt.sessions": lambda module: module.BaseUrlSession(),
    "requests_ratelimiter": lambda module: module.LimiterSession(per_second=1000),
    "cachecontrol": lambda module: module.CacheControl(requests.Session()),
    "authlib.integrations.requests_client": lambda module: module.OAuth2Session(
        "id", token={"access_token": "t", "token_type": "Bearer"}
    ),
    "google.auth.transport.requests": _authorized,
}


@pytest.mark.parametrize("name", SESSIONS)
def test_B10_sessions_of_other_libraries_make_six_requests(delays, busy, name):
    session = closed_later(SESSIONS[name](pytest.importorskip(name)))
    assert Api().call(session.get, busy.url).status_code == 503
    assert len(busy.requests) == 6


def test_B10_a_login_that_has_run_out_is_renewed_by_the_session_alone(delays, server):
    session = closed_later(_authorized(pytest.importorskip("google.auth.transport.requests")))
    server.script(Reply(401), Reply(503))
    assert Api().call(session.get, server.url).status_code == 200
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer t+",
        "Bearer t++",
        "Bearer t++",
    ]


def test_B10_an_answer_from_the_cache_is_no_request(delays, server):
    module = pytest.importorskip("cachecontrol")
    session = closed_later(module.CacheControl(requests.Session()))
    server.script(Reply(503))
    server.app = lambda request: Reply(200, {"n": 1}, {"Cache-Control": "max-age=60"})
    answers = [Api().call(session.get, server.url).json() for _ in range(3)]
    assert answers == [{"n": 1}] * 3
    assert len(server.requests) == 2
