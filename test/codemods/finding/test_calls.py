"""Which calls are found, where they may stand, what is wrapped of them, and why one is skipped (C5)."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.model import Decision

from ..check import check_noop, check_sites, check_transformed, client, method

CLIENT = client("def get(self, url):\n    return requests.get(url)")


@pytest.mark.parametrize(
    ("imports", "before", "after"),
    [
        ("import requests", "return requests.get(url)", "self._queued(requests.get)(url)"),
        ("import requests as r", "return r.post(url)", "self._queued(r.post)(url)"),
        ("from requests import post", "return post(url)", "self._queued(post)(url)"),
        ("from requests import post as send", "return send(url)", "self._queued(send)(url)"),
        ("import urllib.request", "return urllib.request.urlopen(url)", "self._queued(urllib.request.urlopen)(url)"),
        ("try:\n    import httpx\nexcept ImportError:\n    httpx = None", "return httpx.get(url)", "_queued(httpx.get)("),
        ("", "import requests\nreturn requests.get(url)", "self._queued(requests.get)(url)"),
        ("import requests", "with requests.Session() as s:\n    return s.get(url)", "self._queued(s.get)(url)"),
        ("import requests", "self.s = requests.Session()\nreturn self.s.get(url)", "self._queued(self.s.get)(url)"),
        ("import requests", "return (s := requests.Session()).get(url)", "self._queued((s := requests.Session()).get)("),
        ("import requests", "return getattr(requests, url)(url)", "self._queued(getattr(requests, url))(url)"),
        ("import requests", "return [requests.get(u) for u in url]", "[self._queued(requests.get)(u) for u in url]"),
        ("import requests", "return {u: requests.get(u) for u in url}", "{u: self._queued(requests.get)(u) for u in url}"),
        ("import requests", "return lambda u: requests.get(u)", "lambda u: self._queued(requests.get)(u)"),
        ("import requests", "def inner():\n    return requests.get(url)\nreturn inner", "self._queued(requests.get)(url)"),
        ("import requests", "yield requests.get(url)", "yield self._queued(requests.get)(url)"),
        ("import requests", "return requests.get(url).json()", "self._queued(requests.get)(url).json()"),
        ("import requests", "return requests.get(requests.get(url).text)", "self._queued(requests.get)(self._queued(requests.get)(url).text)"),
        ("import requests", "return f'{requests.get(url).text}'", "self._queued(requests.get)(url)"),
        ("import requests", "assert requests.get(url), requests.post(url)", "assert self._queued(requests.get)(url), self._queued(requests.post)(url)"),
        ("from openai import OpenAI", "return OpenAI().chat.completions.create(url)", "chat.completions.create)(url)"),
    ],
)  # fmt: skip
def test_the_callee_is_wrapped_and_nothing_else(imports, before, after):
    check_transformed(method(before, imports), after)


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("return pool.submit(requests.get, url)", "pool.submit(self._queued(requests.get), url)"),
        ("return pool.map(requests.get, [url])", "pool.map(self._queued(requests.get), [url])"),
        ("return Thread(target=requests.get)", "Thread(target=self._queued(requests.get))"),
        ("return partial(requests.get, url)()", "partial(self._queued(requests.get), url)()"),
        (
            "get = partial(requests.get, url)\nreturn get()",
            "get = partial(self._queued(requests.get), url)\n        return get()",
        ),
        ("return {'get': requests.get}[url](url)", "{'get': self._queued(requests.get)}[url](url)"),
        ("return [requests.get, print]", "[self._queued(requests.get), print]"),
        ("return requests.get", "return self._queued(requests.get)"),
        ("yield requests.get", "yield self._queued(requests.get)"),
        ("self.calls[url] = requests.get", "self.calls[url] = self._queued(requests.get)"),
    ],
)
def test_a_function_that_is_handed_on_is_wrapped_where_it_is(body, after):
    check_transformed(method(body), after)


def test_a_function_that_a_helper_returns_is_wrapped_once():
    source = client(
        "def pick(self):\n    return requests.get", "def call(self, url):\n    return self.pick()(url)"
    )
    check_sites(source, "wrapped requests.get")


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("async with httpx.AsyncClient() as c:\n    return await c.get(url)", "await self._queued(c.get)(url)"),
        ("c = aiohttp.ClientSession()\nasync with c.get(url) as r:\n    return r", "async with self._queued(c.get)(url) as r"),
        ("c = httpx.AsyncClient()\nreturn await gather(*[c.get(u) for u in url])", "self._queued(c.get)(u) for u in url"),
        ("c = httpx.AsyncClient()\nreturn await c.post(await url())", "await self._queued(c.post)(await url())"),
        ("c = httpx.AsyncClient()\nreturn await wait_for(c.post(url), 3)", "wait_for(self._queued(c.post)(url), 3)"),
        ("async with aiohttp.ClientSession() as c, c.get(url) as r:\n    return r", "as c, self._queued(c.get)(url) as r"),
        ("c = httpx.AsyncClient()\nasync with c.stream('GET', url) as r:\n    yield r", "async with self._queued(c.stream)('GET', url) as r"),
    ],
)  # fmt: skip
def test_async_calls(body, after):
    check_transformed(method(body, "import aiohttp, httpx", "async def call(self, url):"), after)


def test_class_method_uses_the_queue_of_the_class():
    source = CLIENT.replace("    def get(self", "    @classmethod\n    def get(cls")
    check_transformed(source, "cls._queued(requests.get)(url)")


def test_the_name_of_the_first_parameter_is_used_whatever_it_is():
    check_transformed(CLIENT.replace("self", "this"), "this._queued(requests.get)(url)")
    check_transformed(CLIENT.replace("self", "self: 'Client'"), "self._queued(requests.get)(url)")


def test_comments_and_line_breaks_in_the_arguments_stay():
    source = method("return requests.post(\n    url,  # where\n    json={'é': 1},\n)")
    check_transformed(
        source, "self._queued(requests.post)(\n            url,  # where\n            json={'é': 1},\n"
    )


def test_columns_are_right_behind_letters_that_are_not_ascii():
    check_transformed(
        method("return 'größe', requests.get(url)"), "return 'größe', self._queued(requests.get)(url)"
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import requests\n\n\ndef get(url):\n    return requests.get(url)\n", "module function"),
        ("import requests\n\nrequests.get('x')\n", "module level"),
        (CLIENT.replace("    def get(self, ", "    @staticmethod\n    def get("), "static method"),
        (client("page = requests.get('x')"), "class body"),
        (client("METHODS = {'get': requests.get}"), "class body"),
        (client("get = lambda self: requests.get('x')"), "class body"),
        (client("@cached(requests.get('x'))\ndef get(self):\n    return 1"), "class body"),
        (client("@cached(by=requests.get)\ndef get(self):\n    return 1"), "class body"),
        (client("def get(self, page=requests.get('x')):\n    return page"), "class body"),
        (client("def get(self, *, call=partial(requests.get, 'x')):\n    return call()"), "class body"),
        (client("get = lambda self, page=requests.get('x'): page"), "class body"),
        ("import requests\n\n\ndef get(url, page=requests.get('x')):\n    return page\n", "module level"),
        ("import requests\n\n\nclass Client(make(requests.get)):\n    pass\n", "module level"),
        (method("self = url\nreturn requests.get(url)"), "bound again"),
        (method("for self in url:\n    requests.get(url)"), "bound again"),
        (method("with url as self:\n    requests.get(url)"), "bound again"),
        (method("def inner(self):\n    return requests.get(url)"), "bound again"),
        (client("def get():\n    return requests.get('x')"), "static method"),
        ("import requests\n\n\nclass Client: get = lambda self: requests.get('x')\n", "class body"),
        ("import requests\n\n\ndef make():\n    def get(url):\n        return requests.get(url)\n    return get\n", "module function"),
    ],
)  # fmt: skip
def test_a_skipped_call_is_named_with_the_reason(source, reason):
    (site,) = check_noop(source).sites
    assert site.decision is Decision.SKIPPED
    assert reason in site.reason


def test_the_decorators_and_defaults_of_an_inner_function_belong_to_the_method():
    body = (
        "@cached(requests.get(url))\ndef inner(self, page=requests.post(url)):\n    return page\nreturn inner"
    )
    wrapped = ("@cached(self._queued(requests.get)(url))", "page=self._queued(requests.post)(url)")
    check_transformed(method(body), *wrapped)


def test_what_a_proxy_hands_on_is_wrapped_where_it_is_called():
    source = client(
        "def __init__(self):\n    self.inner = requests.Session()",
        "def __getattr__(self, name):\n    return getattr(self.inner, name)",
        "def __getattr__(self, name):\n    method = getattr(self.inner, name)\n    return partial(method)",
        "def get(self, url):\n    return self.inner.get(url)",
    )
    result = check_sites(source, "skipped method", "wrapped self.inner.get")
    assert "wrapped where they are made" in result.sites[0].reason


def test_a_cast_is_no_caller():
    check_sites(
        method(
            "get = cast(Any, requests.get)\nreturn get(url)", "import requests\nfrom typing import Any, cast"
        ),
        "wrapped get",
    )


def test_sites_say_where_they_are():
    (site,) = check_sites(method("return requests.get(url)"), "wrapped requests.get").sites
    assert (site.line, site.column, site.scope, site.library) == (6, 16, "Client.call", "requests")


def test_a_call_that_was_wrapped_by_hand_is_not_wrapped_twice():
    first = check_transformed(CLIENT, "self._queued(requests.get)(url)").after.decode()
    more = first.replace("        return self._q", "        self._queued(fetch)(url)\n        return self._q")
    sites = check_noop(more).sites
    assert [f"{site.decision.value} {site.callee}" for site in sites] == [
        "wrapped fetch",
        "wrapped requests.get",
    ]


@pytest.mark.parametrize(
    ("imports", "library"),
    [
        ("import stripe", "stripe"),
        ("from twilio.rest import Client", "twilio"),
        ("import azure.ai.inference as inference", "azure.ai"),
        ("from azure.ai import inference", "azure.ai"),
        ("def f():\n    import voyageai", "voyageai"),
        ("from github import Github\nfrom github import Auth", "github"),
        ("from googleapiclient.discovery import build", "googleapiclient"),
    ],
)
def test_a_well_known_api_library_that_is_not_in_the_table_is_named_once(imports, library):
    told = [cls for cls in check_noop(f"{imports}\n").classes if cls.name == "<module>"]
    (note,) = [note for cls in told for note in cls.notes]
    assert note.startswith(f"{library} is not in the table of libraries")


@pytest.mark.parametrize("imports", ["import json", "import requests", "from .stripe import x", "import azure.identity", "import githubber"])  # fmt: skip
def test_other_libraries_are_not_named(imports):
    assert not check_noop(f"{imports}\n").classes


def of_resource(body: str) -> str:
    return method(
        f"table = boto3.resource('dynamodb').Table('t')\nbucket = boto3.resource('s3').Bucket('b')\n{body}",
        "import boto3",
    )


@pytest.mark.parametrize(
    "use",
    [
        "print(r)",
        "merge(all, r)",
        "return r",
        "return [r]",
        "self.kept['last'] = r",
        "return r.get('Items')",
        "r.update(url)\nreturn r",
        "while r.get('LastEvaluatedKey'):\n    pass",
    ],
)
def test_C5_what_a_request_of_a_resource_answers_is_data(use):
    check_sites(of_resource(f"r = table.query(Limit=1)\n{use}"), "wrapped table.query")


@pytest.mark.parametrize(
    ("body", "made", "used"),
    [
        ("o = bucket.put_object(Key='k')\no.delete()", "bucket.put_object", "o.delete"),
        ("o = bucket.create()\no.load()", "bucket.create", "o.load"),
    ],
)
def test_C5_a_thing_that_a_request_of_a_resource_gives_makes_requests_too(body, made, used):
    check_sites(of_resource(body), f"wrapped {made}", f"wrapped {used}")


def test_C6_a_batch_writer_that_would_keep_things_twice_is_listed():
    source = of_resource("with table.batch_writer() as batch:\n    batch.put_item(Item=url)")
    (site,) = check_noop(source).sites
    assert "twice" in site.reason


def test_C6_a_thing_that_is_waited_for_is_listed():
    (site,) = check_noop(of_resource("table.wait_until_exists()")).sites
    assert "polls" in site.reason


def test_C5_a_module_that_is_imported_by_a_call():
    source = method("return __import__('requests').get(url)", "")
    check_sites(source, "wrapped __import__('requests').get")


def test_C5_a_librarys_function_that_a_base_class_has():
    source = client(
        "@classmethod\ndef ask(cls, *args):\n    return super().create(*args)",
        imports="import openai",
        head="class Cached(openai.ChatCompletion):",
    )
    check_sites(source, "wrapped super().create")


PARTS = """
import boto3
from google import genai
from mistralai import Mistral

class Client:
    def __init__(self):
        self.gemini, self.mistral, self.s3 = genai.Client(), Mistral(), boto3.client("s3")

    def call(self):
        return {handed}
"""


@pytest.mark.parametrize(
    "part",
    ["gemini.aio.files", "gemini.models", "mistral.chat", "mistral.files", "s3.meta", "s3.exceptions"],
)
@pytest.mark.parametrize("handed", ["Wrapper({})", "Wrapper(part={})", "[{}]"])
def test_a_part_of_a_client_that_is_handed_on_is_no_request(handed, part):
    (site,) = check_sites(PARTS.format(handed=handed.format(f"self.{part}")), f"skipped self.{part}").sites
    assert site.reason.startswith("it may be a part of the client rather than a method")


@pytest.mark.parametrize("method", ["gemini.models.generate_content", "mistral.chat.complete", "s3.get_object", "s3.complete_multipart_upload", "s3.invoke"])  # fmt: skip
def test_a_method_of_a_client_that_is_handed_on_is_one(method):
    check_sites(PARTS.format(handed=f"pool.submit(self.{method})"), f"wrapped self.{method}")


@pytest.mark.parametrize("call", ["gemini.api_key.strip()", "mistral.base_url.copy_with(port=1)", "(self.mistral.api_key or '').strip()"])  # fmt: skip
def test_what_a_client_was_told_makes_no_request(call):
    text = call if call.startswith("(") else f"self.{call}"
    check_noop(PARTS.format(handed=text))
