"""Receivers whose type cannot be seen: taken for a client, listed with what to do about it, or left alone (C6)."""

from __future__ import annotations

import re

import pytest

from backend_retrofit.codemods.command.main import main
from backend_retrofit.codemods.model import Decision

from ..check import check_noop, check_sites, client, method, planned

INIT = "def __init__(self, session, client=None):\n    self.session = session\n    self.client = client"


def unknown(body: str, imports: str = "import requests", head: str = "def call(self, url):") -> str:
    return client(INIT, f"{head}\n    " + body.replace("\n", "\n    "), imports=imports)


@pytest.mark.parametrize(
    ("imports", "body"),
    [
        ("import requests", "return self.session.post(url, json={})"),
        ("from requests.exceptions import Timeout", "return self.session.get(url, headers={})"),
        ("import httpx", "return self.client.get(url, params={})"),
        ("import requests", "return getattr(self.session, 'post')(url, data=1)"),
        ("import requests", "return getattr(self.session, url)(url, data=1)"),
        ("x = 1", "return self.client.chat.completions.create(**url)"),
        ("x = 1", "return self.client.messages.create(model='m', messages=[])"),
        ("x = 1", "return self.client.embeddings.create(input=url)"),
        ("x = 1", "return self.client.models.generate_content(url)"),
        ("import boto3", "return self.client.invoke(FunctionName=url)"),
        ("import botocore", "return self.client._make_api_call('Query', url)"),
    ],
)
def test_a_receiver_that_can_be_nothing_else_is_taken_for_a_client(imports, body):
    source = unknown(body, imports)
    callee = body[7:].rpartition("(")[0]
    (site,) = check_sites(source, f"wrapped {callee}").sites
    assert "is taken for a c" in site.reason
    (site,) = check_noop(source, guess=False).sites
    assert site.decision is Decision.SKIPPED


@pytest.mark.parametrize(
    "body",
    [
        "async with self.session.get(url) as r:\n    return await r.json()",
        "return await self.session.post(url, json={})",
        "async with self.client.post(url, data=b'') as r:\n    yield r",
    ],
)
def test_an_aiohttp_session_that_is_handed_in(body):
    source = unknown(body, "import aiohttp", "async def call(self, url):")
    assert check_sites(source, f"wrapped self.{body.partition('self.')[2].partition('(')[0]}").sites


LISTED = {
    "handed on": ("import requests", "return self._call(self.session.get, url)"),
    "no evidence": ("import requests", "return self.session.post(url)"),
    "another library's name": ("import requests", "return self.client.post(url, json={})"),
    "two libraries": ("import requests\nimport httpx", "return self.session.post(url, json={})"),
    "no library": ("x = 1", "return self.session.post(url, json={})"),
    "an own keyword": ("import requests", "return self.session.post(endpoint=url, json={})"),
    "a cache": ("import requests", "return self.client.get(url)"),
    "getattr": ("import requests", "return getattr(self.session, url)(url)"),
    "aiohttp that is not entered": ("import aiohttp", "return self.session.get(url)"),
    "a message service": ("x = 1", "return self.client.messages.create(to=url, body='hello')"),
    "an SDK's client itself": ("x = 1", "return self.client.create(model=url, prompt='x')"),
    "boto3 that is not imported": ("x = 1", "return self.client.get_object(Bucket=url)"),
    "whatever it is called": ("import requests", "return self.x.get(url)"),
    "a helper's result": ("import requests", "return helper().get(url)"),
    "a variable": ("import requests", "s = helper()\nreturn s.get(url, timeout=5)"),
    "a path in an f-string": ("import requests", "return self.x.get(f'{url}/x')"),
    "a path that is put together": ("import requests", "return self.x.delete('/items/' + url)"),
    "a URL that is made": ("import requests", "return self.x.get(self.make_url(url))"),
    "a verb": ("import requests", "return self.x.request('GET', url)"),
    "a body": ("import requests", "return self.x.post(url, json={})"),
    "headers": ("import requests", "return self.data.get(url, headers={})"),
    "a deep path of an SDK": ("import openai", "return url.beta.threads.runs.create(thread_id=1)"),
    "an SDK's speech": ("import openai", "return url.audio.speech.create(**self.x)"),
    "boto3 with options": ("import boto3", "return self.client.invoke_model(**url)"),
    "boto3 by another name": ("import boto3", "return self.x.get_object(Bucket=url)"),
    "a parameter": ("import httpx", "return url.http_client.request('GET', '/')"),
    "a bucket's transfer": ("import boto3", "return url.upload_file('a', 'b')"),
    "an object of a resource": ("import boto3", "return self.x.Object('b', 'k').get()"),
    "a bucket of a resource": ("import boto3", "return self.x.Bucket('b').download_file('a', 'b')"),
    "an object of boto3": ("import boto3", "return self.s3_obj.get()['Body'].read()"),
    "files of an SDK": ("import openai", "return url.files.content('f')"),
    "an SDK's raw answer": (
        "import openai",
        "return url.chat.completions.with_raw_response.create(model=1)",
    ),
    "a chat that is completed": ("import mistralai", "return url.chat.complete(model=1, messages=[])"),
    "a client that is called after its SDK": ("import httpx", "return url.ollama_client.pull('m')"),
    "a conversation": ("from google import genai", "return self.chat.send_message(url)"),
    "a model that is asked": ("import requests", "return url.generate(model='m', prompt='p')"),
    "a context variable's": (
        "import requests\nfrom contextvars import ContextVar\nC = ContextVar('c')",
        "return C.get().get(url)",
    ),
    "a queue's": ("import queue, requests\nQ = queue.Queue()", "return Q.get().post(url, json={})"),
    "a weak reference's": (
        "import weakref, requests",
        "w = weakref.ref(url)\nreturn w().post(url, json={})",
    ),
}


@pytest.mark.parametrize(("imports", "body"), LISTED.values(), ids=LISTED)
def test_what_may_be_a_request_is_listed_with_what_to_do_about_it(imports, body):
    (site,) = check_noop(unknown(body, imports)).sites
    assert site.decision is Decision.SKIPPED
    assert "annotate" in site.reason
    assert "[tool.backend-retrofit]" in site.reason


def test_C6_files_of_an_sdk_that_other_calls_give_away_are_listed():
    body = "f = url.files.create(file=1, purpose='fine-tune')\nreturn url.fine_tuning.jobs.create(training_file=f)"
    sites = check_noop(unknown(body, "x = 1")).sites
    assert [site.callee for site in sites] == ["url.files.create", "url.fine_tuning.jobs.create"]
    assert check_noop(unknown("return url.files.create(name=1)", "import requests")).sites == ()


SEVERAL_OF_BOTO = {
    "a waiter": ("x = 1", "url.wait(Bucket='b')", "a waiter polls"),
    "a waiter's name": ("import boto3", "self.bucket_waiter.wait()", "a waiter polls"),
    "a waiter that is made": ("import boto3", "self.client.get_waiter('x').wait(**url)", "a waiter polls"),
    "pages": ("x = 1", "return list(url.paginate(Bucket='b'))", "while it is iterated"),
    "a paginator's name": ("import boto3", "return list(self.paginator.paginate())", "while it is iterated"),
    "a collection": ("import boto3", "return list(url.objects.filter(Prefix='a'))", "while it is iterated"),
    "a bucket's objects": (
        "x = 1",
        "return [o.key for o in url.bucket.objects.all()]",
        "while it is iterated",
    ),
    "objects of a bucket that is made": (
        "x = 1",
        "return list(url.Bucket('b').objects.limit(5))",
        "while it is iterated",
    ),
    "queues": ("x = 1", "return list(self.sqs.queues.filter(QueueNamePrefix='a'))", "while it is iterated"),
    "all of a collection": ("import boto3", "return list(self.ec2.instances.all())", "while it is iterated"),
}


@pytest.mark.parametrize(("imports", "body", "why"), SEVERAL_OF_BOTO.values(), ids=SEVERAL_OF_BOTO)
@pytest.mark.parametrize("in_function", [False, True], ids=["in a class", "in a function"])
def test_C6_what_makes_several_requests_of_boto3_is_listed_by_its_shape(imports, body, why, in_function):
    source = unknown(body, imports)
    if in_function:
        source = f"{imports}\n\n\ndef call(self, url):\n    {body}\n"
    (site,) = check_noop(source).sites
    assert site.decision is Decision.SKIPPED
    assert "looks like boto3's" in site.reason
    assert why in site.reason


def test_C6_what_is_done_to_each_thing_of_a_collection_is_listed():
    """Where nothing imports boto3: a collection is known by its names, and so is what it gives."""
    body = "for obj in url.bucket.objects.all():\n    obj.delete()"
    sites = check_noop(unknown(body, "x = 1")).sites
    assert [site.callee for site in sites] == ["url.bucket.objects.all", "obj.delete"]
    assert check_noop(unknown("for obj in url.entries.all():\n    obj.delete()", "x = 1")).sites == ()


@pytest.mark.parametrize(
    "body",
    [
        "return Bucket.objects.all()",
        "return S3File.objects.filter(name=url)",
        "return self.model.objects.all()",
    ],
)
def test_C6_models_of_a_web_framework_are_no_collections_of_boto(body):
    assert check_noop(unknown(body, "from .models import Bucket, S3File")).sites == ()


def test_C6_a_route_of_a_web_application_is_no_request():
    source = client(
        "def __init__(self, app):\n    app = FastAPI()\n\n    @app.get('/health')\n    def health():\n        return 1",
        "def add(self, app):\n    @app.post('/items', **self.options)\n    def items():\n        return 1",
        imports="import httpx\nfrom fastapi import FastAPI",
    )
    assert check_noop(source).sites == ()


def test_C6_the_client_of_a_library_is_advised_for_its_methods_only():
    (site,) = check_noop(unknown("return self.client.chat(model=url, messages=[])", "import httpx")).sites
    assert "annotate it" in site.reason
    assert "httpx" not in site.reason


@pytest.mark.parametrize(
    "body",
    [
        "self.event.wait(timeout=3)",
        "self.barrier.wait()",
        "return self.query.paginate(page=1, per_page=9)",
        "return User.objects.filter(name=url)",
        "return User.objects.all()",
        "return self.items.all()",
        "return self.obj.get('key')",
        "return Path(url).delete()",
        "return self.files.get('key')",
        "return self.chat.append(url)",
    ],
)
def test_C6_what_only_has_a_name_as_boto3_has_it_is_left_alone(body):
    source = unknown(body, "import boto3\nfrom pathlib import Path\nfrom .models import User")
    assert check_noop(source).sites == ()


@pytest.mark.parametrize(
    ("imports", "annotation"),
    [
        ("from .http import HttpClient", "HttpClient"),
        ("from .http import HttpClient", "Optional[HttpClient]"),
        ("from shop.http import HttpClient", "HttpClient"),
        ("from . import http", "http.HttpClient"),
    ],
)
def test_a_class_of_another_file_makes_its_own_requests(imports, annotation):
    source = client(
        f"def __init__(self, client: {annotation}):\n    self.client = client",
        "def call(self, url):\n    return self.client.post('/v1/items', json={})",
        imports=f"import httpx\n{imports}",
    )
    (site,) = check_noop(source).sites
    assert "HttpClient, which is defined elsewhere" in site.reason


def test_C6_a_client_of_a_library_that_is_not_covered_is_said_to_be_one():
    source = client(
        "def __init__(self):\n    self.client = voyageai.Client()",
        "def call(self, texts):\n    return self.client.embed(model='v', input=texts)",
        imports="import voyageai",
    )
    (site,) = check_noop(source).sites
    assert "comes from voyageai, which is not in the table" in site.reason
    assert 'clients = ["voyageai.Client"]' in site.reason
    assert "wrapped there" not in site.reason


def test_C6_what_a_library_that_is_not_covered_gives_is_not_said_to_be_of_requests():
    source = client(
        "def __init__(self):\n    self.model = vertexai.Model()",
        "def call(self, text):\n    chat = self.model.start_chat()\n    return chat.send_message(text)",
        imports="import openai\nimport vertexai",
    )
    (site,) = check_noop(source).sites
    assert "comes from vertexai, which is not in the table" in site.reason
    assert "annotate it with its class" in site.reason
    assert "requests" not in site.reason


def test_an_object_of_another_file_makes_its_own_requests():
    source = method("return session.post(url, json={})", "import requests\nfrom .http import session")
    (site,) = check_noop(source).sites
    assert "http.session, which is defined elsewhere" in site.reason


@pytest.mark.parametrize(
    "body",
    [
        "return self.session.get('user_id')",
        "return self.session.get(url, None)",
        "return self.session['x']",
        "return self.session.commit()",
        "return self.session.delete()",
        "return self.messages.append(url)",
        "return self.embeddings.embed_query(url)",
        "return self.models.get(url)",
        "return self.cache.get(url)",
        "return self.options.get(url)",
        "return self.data.get(url)",
        "return url.get('x')",
        "return os.environ.get('HTTP')",
        "return self.get(url)",
        "return self.http.status(url)",
        "return {}.get(url)",
        "return self.clients.get(url)",
        "return self._call(self.cache.get, url)",
        "return self._call(self.session.commit, url)",
        "return self.client.create(name=url)",
        "return self.client.search(query=url)",
        "return self.factory.create(Name=url)",
        "s = {}\nreturn s.get(url)",
        "data = requests.get(url).json()\nreturn data.get(url)",
        "return self.x.get('a', url)",
        "return self.items.get(url)",
        "return self.x.head(5)",
        "return self.x.put(item)",
        "from aiohttp import web\nreturn web.post(url, self.x)",
        "return self.s3.generate_presigned_url('get_object', Params={})",
        "return os.environ.get('API_URL'), os.environ.get(url)",
    ],
)
def test_what_does_not_look_like_a_request_is_left(body):
    assert [site.callee for site in planned(unknown(body)).sites] in ([], ["requests.get"])


@pytest.mark.parametrize(
    ("imports", "value"),
    [("import redis", "redis.Redis()"), ("from sqlalchemy.orm import Session", "Session()"), ("import pylibmc as mc", "mc.Client([])")],
)  # fmt: skip
def test_a_client_of_another_kind_is_left(imports, value):
    source = client(
        f"def __init__(self):\n    self.session = {value}",
        "def call(self, key):\n    return self.session.get(key), self.session.delete(key)",
        imports=f"import requests\n{imports}",
    )
    assert not check_noop(source).sites


@pytest.mark.parametrize(
    ("call", "listed"),
    [
        ("get(url)", True),
        ("get('/v1/items')", True),
        ("get(self.item_url)", True),
        ("get(key, headers={})", True),
        ("post(key)", True),
        ("get(key)", False),
        ("delete(key)", False),
    ],
)
def test_a_session_of_a_type_that_is_not_known_is_listed_where_it_is_used_like_one(call, listed):
    source = client(
        "def __init__(self, session: Resilient):\n    self.session = session",
        f"def call(self, key, url):\n    return self.session.{call}",
        imports="import requests\nfrom shop.sessions import Resilient",
    )
    assert len(check_noop(source).sites) == listed


# What the report says can be copied.


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("from .utils._http import get_session", "get_session().get(url, headers={})"),
        ("from ..utils import get_session", "get_session().post(url, json={})"),
        ("from . import make_session", "make_session().get(url, headers={})"),
        ("from shop.http import Client", "Client().post(url)"),
        ("from .http import session", "session.post(url)"),
        ("from .ai import make", "make().chat.completions.create(model='m')"),
        ("import shop.http", "shop.http.Client().get(url, headers={})"),
    ],
)
def test_the_lines_for_the_configuration_make_the_call_a_request(imports, call, tmp_path, capsys):
    source = f"{imports}\n\n\nclass A:\n    def call(self, url):\n        return {call}\n"
    (site,) = planned(source).sites
    assert site.decision is Decision.SKIPPED
    lines = re.findall(r"`([^`]*)`", site.reason.partition("pyproject.toml")[2])
    assert lines[0] == "[[tool.backend-retrofit.transports]]"
    (tmp_path / "pyproject.toml").write_text("\n".join(lines) + "\n")
    (tmp_path / "a.py").write_text(source)
    assert main([str(tmp_path / "a.py"), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "self._queued(" in (tmp_path / "a.py").read_text()


@pytest.mark.parametrize(
    ("source", "annotation", "annotated"),
    [
        ("import httpx\n\n\nclass A:\n    def call(self, client, url):\n        return client.post(url)\n",
         "client: httpx.Client", "client: httpx.Client, url"),
        ("import requests\n\n\nclass A:\n    def __init__(self, http):\n        self.http_client = http\n\n"
         "    def call(self, url):\n        return self.http_client.post(url)\n",
         "self.http_client: requests.Session", "self.http_client: requests.Session = http"),
    ],
)  # fmt: skip
def test_the_annotation_that_is_suggested_makes_the_call_a_request(source, annotation, annotated):
    (site,) = planned(source).sites
    assert site.decision is Decision.SKIPPED
    assert f"`{annotation}`, say" in site.reason
    annotated_source = source.replace("client, url", annotated).replace("self.http_client = http", annotated)
    assert planned(annotated_source).sites[0].decision is Decision.WRAPPED


def test_what_a_helper_returns_is_to_be_annotated():
    source = "import requests\n\n\nclass A:\n    def call(self, url):\n        return self.make_session().post(url)\n"
    (site,) = planned(source).sites
    assert "annotate what `self.make_session` returns (`-> requests.Session`, say)" in site.reason
