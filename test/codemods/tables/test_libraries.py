"""Each library of the table: what is a request, what is none, what cannot be wrapped and what must be said of it (C5)."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.tables.libraries import LIBRARIES
from backend_retrofit.codemods.tables.rows import ASYNC, BOTH, NONE, OFF, SYNC

from ..check import check_noop, check_sites, method, planned

SYNC_CALLS = [
    ("import requests", "requests.get(url)"),
    ("import requests", "requests.request('GET', url)"),
    ("from requests.api import request", "request('GET', url)"),
    ("from requests import api", "api.get(url)"),
    ("import requests", "requests.sessions.session().get(url)"),
    ("import requests", "requests.Session().send(url)"),
    ("import requests", "requests.sessions.Session().put(url)"),
    ("from requests.sessions import Session", "Session().get(url)"),
    ("import requests_cache", "requests_cache.CachedSession().get(url)"),
    ("from requests_oauthlib import OAuth2Session", "OAuth2Session().get(url)"),
    ("import cloudscraper", "cloudscraper.create_scraper().get(url)"),
    ("from requests_toolbelt.sessions import BaseUrlSession", "BaseUrlSession(url).get(url)"),
    ("from requests_ratelimiter import LimiterSession", "LimiterSession().get(url)"),
    ("import cachecontrol, requests", "cachecontrol.CacheControl(requests.Session()).get(url)"),
    ("from authlib.integrations.requests_client import OAuth2Session", "OAuth2Session().get(url)"),
    ("from authlib.integrations.httpx_client import OAuth2Client", "OAuth2Client().get(url)"),
    ("from google.auth.transport.requests import AuthorizedSession", "AuthorizedSession(url).get(url)"),
    ("from curl_cffi import requests", "requests.get(url)"),
    ("import httpx", "httpx.post(url)"),
    ("import httpx", "httpx.Client().send(url)"),
    ("import httpx", "httpx.stream('GET', url)"),
    ("import httpx2", "httpx2.post(url)"),
    ("import httpx2 as httpx", "httpx.Client().query(url)"),
    ("import urllib.request", "urllib.request.urlopen(url)"),
    ("from urllib import request", "request.urlopen(url)"),
    ("from urllib.request import build_opener", "build_opener().open(url)"),
    ("import urllib3", "urllib3.request('GET', url)"),
    ("import urllib3", "urllib3.PoolManager().request('GET', url)"),
    ("import urllib3", "urllib3.HTTPSConnectionPool(url).urlopen('GET', '/')"),
    ("import openai", "openai.ChatCompletion.create(model=url)"),
    ("import openai", "openai.chat.completions.create(model=url)"),
    ("from openai import OpenAI", "OpenAI().chat.completions.create(model=url)"),
    ("from openai import AzureOpenAI", "AzureOpenAI().beta.chat.completions.parse(model=url)"),
    ("from openai import OpenAI", "OpenAI().with_options(timeout=3).models.list()"),
    ("from openai import OpenAI", "OpenAI().audio.transcriptions.with_raw_response.create(file=url)"),
    ("import anthropic", "anthropic.Anthropic().messages.create(model=url)"),
    ("import anthropic", "anthropic.Anthropic().messages.batches.results(url)"),
    ("from groq import Groq", "Groq().chat.completions.create(model=url)"),
    ("from together import Together", "Together().completions.create(model=url)"),
    ("from google import genai", "genai.Client().models.generate_content(model=url)"),
    ("from google import genai", "genai.Client().chats.create(model=url).send_message('x')"),
    ("from google import genai", "genai.Client().files.get(name=url)"),
    ("from google import genai", "genai.Client().caches.update(name=url)"),
    ("import google.generativeai as genai", "genai.GenerativeModel(url).generate_content('x')"),
    ("import google.generativeai as genai", "genai.GenerativeModel(url).start_chat().send_message('x')"),
    ("import google.generativeai as genai", "genai.embed_content(model=url)"),
    ("import cohere", "cohere.Client().rerank(query=url)"),
    ("import cohere", "cohere.ClientV2().chat(model=url)"),
    ("import cohere", "cohere.Client().v2.chat(model=url)"),
    ("import cohere", "cohere.ClientV2().models.list()"),
    ("from mistralai import Mistral", "Mistral().chat.complete(model=url)"),
    ("from mistralai.client import Mistral", "Mistral().models.list()"),
    ("from mistralai.client import Mistral", "Mistral().beta.conversations.start(model=url)"),
    ("import ollama", "ollama.chat(model=url)"),
    ("import ollama", "ollama.web_search(url)"),
    ("from ollama import Client", "Client().generate(model=url)"),
    ("from ollama import Client", "Client().create_blob(url)"),
    ("from huggingface_hub import InferenceClient", "InferenceClient().text_generation(url)"),
    ("from huggingface_hub import InferenceClient", "InferenceClient().chat.completions.create(url)"),
    ("from huggingface_hub import model_info", "model_info(url)"),
    ("import boto3", "boto3.client('s3').list_buckets()"),
    ("import boto3", "boto3.Session().client('s3').get_object(Key=url)"),
    ("import boto3", "boto3.resource('s3').Object('bucket', url).put(Body=b'')"),
    ("import openai", "openai.beta.threads.create()"),
    ("import openai", "openai.files.retrieve(url)"),
    ("import openai", "openai.fine_tuning.jobs.create(model=url)"),
    ("import boto3", "boto3.resource('dynamodb').Table(url).put_item(Item={})"),
    ("import botocore.session", "botocore.session.get_session().create_client('s3').list_buckets()"),
    ("import litellm", "litellm.completion(model=url)"),
    ("from litellm import Router", "Router(model_list=[]).completion(model=url)"),
    ("from openai import OpenAI", "OpenAI().videos.download_content(url)"),
    ("from httpx_sse import connect_sse", "connect_sse(url, 'POST', '/')"),
    ("from six.moves.urllib.request import urlopen", "urlopen(url)"),
    ("from greeter_pb2_grpc import GreeterStub", "GreeterStub(url).SayHello('x')"),
    ("from .proto import greeter_pb2_grpc", "greeter_pb2_grpc.GreeterStub(url).SayHello('x')"),
]  # fmt: skip
ASYNC_CALLS = [
    ("import httpx", "httpx.AsyncClient().get(url)"),
    ("import aiohttp", "aiohttp.ClientSession().get(url)"),
    ("import aiohttp", "aiohttp.request('GET', url)"),
    ("from openai import AsyncOpenAI", "AsyncOpenAI().chat.completions.create(model=url)"),
    ("import openai", "openai.ChatCompletion.acreate(model=url)"),
    ("from anthropic import AsyncAnthropic", "AsyncAnthropic().messages.create(model=url)"),
    ("from groq import AsyncGroq", "AsyncGroq().chat.completions.create(model=url)"),
    ("from google import genai", "genai.Client().aio.models.generate_content(model=url)"),
    ("import httpx2", "httpx2.AsyncClient().get(url)"),
    ("from google import genai", "genai.Client().aio.files.get(name=url)"),
    ("import cohere", "cohere.AsyncClientV2().embed(model=url)"),
    ("from mistralai.client import Mistral", "Mistral().chat.complete_async(model=url)"),
    ("from huggingface_hub import AsyncInferenceClient", "AsyncInferenceClient().chat_completion(url)"),
    ("from ollama import AsyncClient", "AsyncClient().chat(model=url)"),
    ("import litellm", "litellm.acompletion(model=url)"),
    ("from curl_cffi.requests import AsyncSession", "AsyncSession().get(url)"),
]


@pytest.mark.parametrize(("imports", "call"), SYNC_CALLS, ids=[call for _, call in SYNC_CALLS])
def test_a_request_is_wrapped(imports, call):
    source = method(f"return {call}", imports)
    check_sites(source, f"wrapped {call[: _end_of_callee(call)]}")


@pytest.mark.parametrize(("imports", "call"), ASYNC_CALLS, ids=[call for _, call in ASYNC_CALLS])
def test_an_async_request_is_wrapped(imports, call):
    source = method(f"return await {call}", imports, "async def call(self, url):")
    check_sites(source, f"wrapped {call[: _end_of_callee(call)]}")


def _end_of_callee(call: str) -> int:
    depth = 0
    for index in range(len(call) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(call[index], 0)
        if depth == 0:
            return index
    raise AssertionError(call)


@pytest.mark.parametrize(
    ("imports", "body"),
    [
        ("import requests", "return requests.Session()"),
        ("import requests", "return requests.Session().mount(url, None)"),
        ("import requests", "return requests.Session().headers.get('x')"),
        ("import requests", "return requests.Session().cookies.get('x')"),
        ("import requests", "return requests.Session().close()"),
        ("import requests", "return requests.utils.quote(url)"),
        ("import requests", "return requests.Request('GET', url).prepare()"),
        ("import requests", "return requests.codes.get('ok')"),
        ("import httpx", "return httpx.Client().build_request('GET', url)"),
        ("import httpx", "return httpx.URL(url).copy_with(path='/')"),
        ("import httpx", "return httpx.Client().headers.get('x')"),
        ("import aiohttp", "return aiohttp.ClientTimeout(3)"),
        ("import urllib.request", "return urllib.request.Request(url)"),
        ("import urllib.parse", "return urllib.parse.urlsplit(url).geturl()"),
        ("import openai", "return openai.OpenAI()"),
        ("import openai", "return openai.OpenAI().with_options(timeout=1)"),
        ("import openai", "return openai.OpenAI().close()"),
        ("import openai", "return openai.OpenAI().copy()"),
        ("import anthropic", "return anthropic.Anthropic().close()"),
        ("from google import genai", "return genai.Client().chats.create(model=url)"),
        ("from google import genai", "return genai.Client().close()"),
        ("from mistralai.client import Mistral", "return Mistral(server_url=url)"),
        ("import cohere", "return cohere.ClientV2().close()"),
        ("from google.cloud import storage", "return storage.Client().bucket(url)"),
        ("import boto3", "return boto3.client('s3')"),
        ("import boto3", "return boto3.client('s3').generate_presigned_url('get_object')"),
        ("import boto3", "return boto3.client('s3').get_paginator('list_objects_v2')"),
        ("import boto3", "return boto3.resource('s3').Bucket(url)"),
        ("from huggingface_hub import InferenceClient", "return InferenceClient().headers.update({})"),
        ("from huggingface_hub import login", "return login()"),
        ("import litellm", "return litellm.token_counter(model=url)"),
        ("from greeter_pb2 import HelloRequest", "return HelloRequest(name=url)"),
        ("import ollama", "return ollama.Options()"),
    ],
)  # fmt: skip
def test_what_a_library_has_beside_its_requests_is_left(imports, body):
    assert not check_noop(method(body, imports)).sites


@pytest.mark.parametrize(
    ("imports", "body", "reason"),
    [
        ("import http.client", "c = http.client.HTTPConnection(url)\nc.request('GET', '/')", "two calls"),
        ("from http.client import HTTPSConnection", "return HTTPSConnection(url).getresponse()", "two calls"),
        ("import aiohttp", "return aiohttp.ClientSession().ws_connect(url)", "websocket"),
        ("from google import genai", "return genai.Client().aio.live.connect(model=url)", "websocket"),
        ("from a_pb2_grpc import GreeterStub", "return GreeterStub(url).SayHello.future('x')", "submit"),
        ("import boto3", "return boto3.client('s3').get_paginator('x').paginate(Bucket=url)", "while it is iterated"),
        ("import boto3", "return boto3.client('s3').get_waiter('x').wait(Bucket=url)", "waiter"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_wrapped_is_named_with_the_reason(imports, body, reason):
    (site,) = check_noop(method(body, imports)).sites
    assert reason in site.reason


@pytest.mark.parametrize(
    ("body", "sites"),
    [
        ("return [o.key for o in bucket.objects.all()]", ["skipped bucket.objects.all"]),
        ("for o in bucket.objects.filter(Prefix=url):\n    o.delete()", ["skipped bucket.objects.filter", "wrapped o.delete"]),
        ("[o.Object().load() for o in bucket.objects.limit(5)]", ["wrapped o.Object().load", "skipped bucket.objects.limit"]),
        ("bucket.objects.filter(Prefix=url).delete()", ["wrapped bucket.objects.filter(Prefix=url).delete", "skipped bucket.objects.filter"]),
        ("return bucket.Object(url).content_length", ["skipped bucket.Object(url).content_length"]),
        ("return bucket.name, bucket.Object(url).key", []),
    ],
)  # fmt: skip
def test_the_things_of_a_resource_of_boto3_make_requests_of_their_own(body, sites):
    source = method(f"bucket = boto3.resource('s3').Bucket('b')\n{body}", "import boto3")
    assert sorted(f"{s.decision.value} {s.callee}" for s in planned(source).sites) == sorted(sites)


@pytest.mark.parametrize(
    ("imports", "body", "how"),
    [
        ("import aiohttp_retry", "return aiohttp_retry.RetryClient().get(url)", "attempts=1"),
        (
            "import instructor, openai",
            "return instructor.from_openai(openai.OpenAI()).chat.completions.create(model=url)",
            "max_retries",
        ),
        ("from langchain_openai import ChatOpenAI", "return ChatOpenAI().invoke(url)", "max_retries"),
    ],
)
def test_a_library_whose_retries_cannot_be_turned_off_is_queued_only_and_told_with_how_to(imports, body, how):
    callee = body[7 : 7 + _end_of_callee(body[7:])]
    plan = check_sites(method(body, imports), f"queued only {callee}")
    (cls,) = plan.classes
    assert any("retries by itself" in note and how in note for note in cls.notes)
    assert "retries by itself" in plan.sites[0].reason


SEVERAL_REQUESTS = [
    ("import openai", "openai.beta.threads.runs.create_and_poll(url)"),
    ("from openai import AsyncOpenAI", "AsyncOpenAI().uploads.upload_file_chunked(file=url)"),
    ("import boto3", "boto3.resource('s3').Bucket(url).download_file('a', 'b')"),
    ("from openai import OpenAI", "OpenAI().beta.threads.runs.create_and_poll(thread_id=url)"),
    ("from openai import OpenAI", "OpenAI().vector_stores.file_batches.upload_and_poll(url, files=[])"),
    ("from openai import OpenAI", "OpenAI().uploads.upload_file_chunked(file=url)"),
    ("from openai import OpenAI", "OpenAI().files.wait_for_processing(url)"),
    ("from google import genai", "genai.Client().files.upload(file=url)"),
    ("import boto3", "boto3.client('s3').upload_file(url, 'bucket', 'key')"),
    ("import boto3", "boto3.client('s3').copy({}, 'bucket', 'key')"),
    ("import boto3", "boto3.resource('s3').Bucket(url).upload_file('a', 'b')"),
    ("from huggingface_hub import hf_hub_download", "hf_hub_download(url)"),
    ("from huggingface_hub import HfApi", "HfApi().list_models()"),
]


@pytest.mark.parametrize(("imports", "call"), SEVERAL_REQUESTS, ids=[call for _, call in SEVERAL_REQUESTS])
def test_what_makes_several_requests_is_queued_only(imports, call):
    """B12: the library retries each of them; all of it would be done again if we did."""
    (site,) = check_sites(
        method(f"return {call}", imports), f"queued only {call[: _end_of_callee(call)]}"
    ).sites
    assert "several requests" in site.reason


@pytest.mark.parametrize("imports", ["import requests", "from openai import OpenAI", "import boto3", "import httpx"])  # fmt: skip
def test_nothing_is_told_where_the_runtime_turns_them_off_or_there_are_none(imports):
    body = {
        "import requests": "requests.get(url)",
        "from openai import OpenAI": "OpenAI().models.list()",
        "import boto3": "boto3.client('s3').list_buckets()",
        "import httpx": "httpx.get(url)",
    }[imports]
    (cls,) = check_sites(method(f"return {body}", imports), f"wrapped {body[: _end_of_callee(body)]}").classes
    assert not cls.notes


@pytest.mark.parametrize("row", LIBRARIES, ids=[row.name for row in LIBRARIES])
def test_each_row_says_how_it_is_called_and_how_its_own_retries_are_turned_off(row):
    assert row.calls in (SYNC, ASYNC, BOTH)
    assert row.own_retries in (OFF, NONE) or len(row.own_retries) > 15
    assert row.functions or row.clients or row.refused or row.name == "grpc"


@pytest.mark.parametrize(
    ("imports", "annotation"),
    [
        ("from botocore.client import BaseClient", "BaseClient"),
        ("from mypy_boto3_s3 import S3Client", "S3Client"),
        ("from mypy_boto3_s3.client import S3Client", "'S3Client | None'"),
        ("import types_boto3_s3", "types_boto3_s3.S3Client"),
    ],
)
def test_the_types_of_boto3s_clients(imports, annotation):
    head = f"def call(self, s3: {annotation}):"
    check_sites(method("return s3.get_object(Key='x')", imports, head), "wrapped s3.get_object")


@pytest.mark.parametrize(
    ("made", "told"), [("Retrying()", 1), ("httpx.HTTPTransport(retries=3)", 0), ("None", 0)]
)
def test_a_transport_of_its_own_that_a_client_of_httpx_is_given_is_told_of(made, told):
    source = method(f"return httpx.Client(transport={made}).get(url)", "import httpx")
    (cls,) = check_sites(source, f"wrapped httpx.Client(transport={made}).get").classes
    assert len([note for note in cls.notes if "retries=0" in note and "line 6" in note]) == told


def test_a_cast_is_followed():
    source = method("return cast(httpx.Client, self.c).get(url)", "import httpx\nfrom typing import cast")
    check_sites(source, "wrapped cast(httpx.Client, self.c).get")
    source = method(
        "get = cast(Callable[..., int], httpx.get)\nreturn get(url)",
        "import httpx\nfrom typing import Callable, cast",
    )
    check_sites(source, "wrapped get")


@pytest.mark.parametrize(
    "made",
    [
        "boto3.client('s3')",
        "boto3.Session().client('s3')",
        "boto3.session.Session().client('s3')",
        "boto3.DEFAULT_SESSION.client('s3')",
        "botocore.session.get_session().create_client('s3')",
        "aioboto3.Session().client('s3')",
    ],
)
def test_C6_pages_and_waiters_are_listed_whatever_makes_the_client(made):
    imports = "import aioboto3\nimport boto3\nimport botocore.session"
    pages = method(f"return {made}.get_paginator('list_objects_v2').paginate(Bucket=url)", imports)
    (site,) = check_noop(pages).sites
    assert "makes its requests later" in site.reason
    (site,) = check_noop(method(f"{made}.get_waiter('bucket_exists').wait(Bucket=url)", imports)).sites
    assert "a waiter polls" in site.reason
