"""What the codemod does to a file: found calls, blocks, collisions, class shapes, upgrades, hand edits, refusals."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods import render
from backend_retrofit.codemods.model import Decision

from .check import check_noop, check_refused, check_transformed, planned

CLIENT = """\
import requests


class Client:
    def get(self, url):
        return requests.get(url)
"""


def method(body: str, imports: str = "import requests", head: str = "def call(self, url):") -> str:
    """Return a file with one class with one method."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"{imports}\n\n\nclass Client:\n    {head}\n{lines}"


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
        ("import requests", "s = requests.Session()\nreturn s.get(url)", "self._queued(s.get)(url)"),
        ("import requests", "with requests.Session() as s:\n    return s.get(url)", "self._queued(s.get)(url)"),
        ("import requests", "self.s = requests.Session()\nreturn self.s.get(url)", "self._queued(self.s.get)(url)"),
        ("import requests", "s = None or requests.Session()\nreturn s.get(url)", "self._queued(s.get)(url)"),
        ("import requests", "return (s := requests.Session()).get(url)", "self._queued((s := requests.Session()).get)("),
        ("import requests", "return getattr(requests, url)(url)", "self._queued(getattr(requests, url))(url)"),
        ("import requests", "return [requests.get(u) for u in url]", "[self._queued(requests.get)(u) for u in url]"),
        ("import requests", "return lambda u: requests.get(u)", "lambda u: self._queued(requests.get)(u)"),
        ("import requests", "def inner():\n    return requests.get(url)\nreturn inner", "self._queued(requests.get)(url)"),
        ("import requests", "yield requests.get(url)", "yield self._queued(requests.get)(url)"),
        ("import requests", "return pool.submit(requests.get, url)", "pool.submit(self._queued(requests.get), url)"),
        ("import requests", "return requests.get(url).json()", "self._queued(requests.get)(url).json()"),
        ("from openai import OpenAI", "return OpenAI().chat.completions.create(url)", "chat.completions.create)(url)"),
        ("import boto3", "return boto3.client('s3').list_buckets()", "self._queued(boto3.client('s3').list_buckets)()"),
    ],
)  # fmt: skip
def test_the_callee_is_wrapped_and_nothing_else(imports, before, after):
    check_transformed(method(before, imports), after)


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("async with httpx.AsyncClient() as c:\n    return await c.get(url)", "await self._queued(c.get)(url)"),
        ("c = aiohttp.ClientSession()\nasync with c.get(url) as r:\n    return r", "async with self._queued(c.get)(url) as r"),
        ("c = httpx.AsyncClient()\nreturn await gather(*[c.get(u) for u in url])", "self._queued(c.get)(u) for u in url"),
        ("c = httpx.AsyncClient()\nreturn await c.post(await url())", "await self._queued(c.post)(await url())"),
    ],
)  # fmt: skip
def test_async_calls(body, after):
    check_transformed(method(body, "import aiohttp, httpx", "async def call(self, url):"), after)


def test_class_method_uses_the_queue_of_the_class():
    source = CLIENT.replace("    def get(self", "    @classmethod\n    def get(cls")
    check_transformed(source, "cls._queued(requests.get)(url)")


def test_annotated_attribute_and_helper_method():
    source = (
        "import requests\n\n\nclass Client:\n    def __init__(self, make):\n"
        "        self.session: requests.Session = make()\n\n"
        "    def client(self):\n        return self.session\n\n"
        "    def get(self, url):\n        return self.client().get(url)\n"
    )
    check_transformed(source, "self._queued(self.client().get)(url)")


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
    "source",
    [
        "x = 1\n",
        "import requests\n",
        "import requests\n\n\nclass Client:\n    def get(self, requests):\n        return requests.get('x')\n",
        "class Client:\n    def get(self, cache):\n        return cache.get('x')\n",
        "import requests\n\n\nclass Client:\n    def name(self):\n        return callable(requests.get)\n",
        "from .requests import post\n\n\nclass Client:\n    def get(self):\n        return post('x')\n",
    ],
)
def test_what_is_no_request_is_left(source):
    assert not check_noop(source).sites


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import requests\n\n\ndef get(url):\n    return requests.get(url)\n", "module function"),
        ("import requests\n\nrequests.get('x')\n", "module level"),
        (CLIENT.replace("    def get(self, ", "    @staticmethod\n    def get("), "static method"),
        ("import requests\n\n\nclass Client:\n    page = requests.get('x')\n", "class body"),
        (method("self = url\nreturn requests.get(url)"), "bound again"),
        (method("return self.session.post(url)", "import requests"), "not known here"),
        (
            method(
                "c = http.client.HTTPConnection(url)\nc.request('GET', '/')",
                "import http.client\nimport requests",
            ),
            "two calls",
        ),
        ("import requests\n\n\nclass Client: get = lambda self: requests.get('x')\n", "class body"),
    ],
)
def test_a_skipped_call_is_named_with_the_reason(source, reason):
    (site,) = check_noop(source).sites
    assert site.decision is Decision.SKIPPED
    assert reason in site.reason


LOOP = """\
for attempt in range(3):
    try:
        return requests.get(url)
    except OSError:
        time.sleep(1)"""


@pytest.mark.parametrize("existing", ["queue-only", "wrap", "skip"])
def test_a_call_that_a_loop_retries_already(existing):
    source = method(LOOP, "import requests\nimport time")
    if existing == "skip":
        (site,) = check_noop(source, existing=existing).sites
        assert "already retried by the loop in line 7" in site.reason
        return
    wrap = (
        "self._queued(requests.get, retry=False)(url)"
        if existing == "queue-only"
        else "self._queued(requests.get)(url)"
    )
    check_transformed(source, wrap, existing=existing)


def test_a_call_that_a_decorator_retries_already():
    source = CLIENT.replace("import requests", "import requests\nimport tenacity").replace(
        "    def get", "    @tenacity.retry\n    def get"
    )
    result = check_transformed(source, "self._queued(requests.get, retry=False)(url)")
    assert "@tenacity.retry" in result.sites[0].reason


@pytest.mark.parametrize("name", ["max_retries", "request_queue", "submit", "_queued"])
def test_a_name_that_the_class_uses_stays_its_own(name):
    source = CLIENT + f"\n    def other(self):\n        return self.{name}\n"
    result = check_transformed(source, f"retrofit_{name.lstrip('_')}")
    assert any(name in note for note in result.classes[0].notes)


def test_a_class_with_its_own_close_keeps_it():
    check_transformed(
        CLIENT + "\n    def close(self):\n        pass\n", "close = RequestEngine.closing(close)"
    )


def test_a_file_with_a_class_called_request_engine():
    check_transformed(
        CLIENT.replace("Client", "RequestEngine"), "import RequestEngine as RetrofitRequestEngine"
    )


@pytest.mark.parametrize(
    "head",
    [
        "class Client(Base):",
        "class Client(Generic[T]):",
        "@decorated\nclass Client:",
        "@dataclass\nclass Client:\n    x: int = 1\n",
        "class Client:\n    __slots__ = ('x', '__weakref__')\n",
        "class Client:\n    class Inner:\n        pass\n",
    ],
)
def test_class_shapes(head):
    check_transformed(CLIENT.replace("class Client:", head), "self._queued(requests.get)")


def test_conditional_and_nested_classes_and_several_in_a_file():
    body = CLIENT.partition("\n\n\n")[2]
    nested = "if True:\n" + "".join(f"    {line}\n" if line else "\n" for line in body.splitlines())
    outer = "class Outer:\n" + "".join(f"    {line}\n" if line else "\n" for line in body.splitlines())
    result = check_transformed(f"import requests\n\n\n{nested}\n\n{outer}")
    assert len(result.classes) == 2


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("class Client:\n    __slots__ = ('x',)\n", "__weakref__"),
        ("class Client(NamedTuple):", "NamedTuple"),
        ("class Client(Enum):", "Enum"),
        ("@dataclass(slots=True)\nclass Client:", "slots=True"),
    ],
)
def test_a_class_that_cannot_have_a_queue_is_refused_with_the_reason(head, reason):
    (site,) = check_noop(CLIENT.replace("class Client:", head)).sites
    assert reason in site.reason


def test_a_subclass_in_the_same_file_uses_the_blocks_of_its_base():
    source = CLIENT + "\n\nclass Sub(Client):\n    def put(self, url):\n        return requests.put(url)\n"
    result = check_transformed(source, "self._queued(requests.put)(url)")
    assert result.after.count(b">>> retrofit:queue") == 1


KEY = (
    "import requests\n\n\nclass WeatherClient:\n    def __init__(self, api_key=None):\n        self.api_key = {}\n\n"
    + ("    def get(self, url):\n        return requests.get(url)\n")
)


def test_key_block():
    check_transformed(KEY.format("api_key"), '"WEATHER_API_KEY",', 'metadata_names=("weather_api_key",)')
    check_transformed(KEY.format("api_key or ''"), "empty_is_missing=True")
    check_transformed(KEY.format("api_key"), '"MY_TOKEN",', key_variables=("MY_TOKEN",))


def test_no_key_block_where_the_class_reads_the_environment_itself():
    result = check_transformed(KEY.format("api_key or os.environ['K']"))
    assert b"retrofit:env_key" not in result.after
    assert any("environment already" in block.reason for block in result.classes[0].blocks)


@pytest.mark.parametrize("blocks", [("queue",), ("backoff",), ("queue", "backoff")])
def test_only_the_blocks_that_are_asked_for(blocks):
    entry = "_queued" if "queue" in blocks else "_retried"
    result = check_transformed(CLIENT, f"self.{entry}(requests.get)(url)", blocks=blocks)
    assert result.after.count(b">>> retrofit:") == len(blocks)


def test_a_changed_template_replaces_the_block_in_place(monkeypatch):
    before = planned(CLIENT).after
    original = render.block

    def changed(name, *args, **kwargs):
        block = original(name, *args, **kwargs)
        return render.Block(name, block.code.replace("(120)", "(240)"), block.values)

    monkeypatch.setattr(render, "block", changed)
    after = planned(before).after
    assert b"max_retry_after = RequestEngine.setting(240)" in after
    assert len(after.splitlines()) == len(before.splitlines())
    assert planned(after, remove=True).after == CLIENT.encode()


def test_a_block_that_was_edited_by_hand_is_left_with_the_line_and_the_flag():
    edited = planned(CLIENT).after.replace(b"setting(5)", b"setting(7)")
    result = check_refused(edited, "--overwrite-edited")
    assert result.problems[0].line == 9
    assert not planned(edited, overwrite_edited=True).problems
    check_refused(edited, "edited by hand", remove=True)


def test_edits_outside_of_the_blocks_survive_removal():
    edited = planned(CLIENT).after.replace(b"def get(self, url)", b"def fetch(self, url, x=1)")
    assert (
        planned(edited, remove=True).after
        == CLIENT.replace("def get(self, url)", "def fetch(self, url, x=1)").encode()
    )


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text.replace("# <<< retrofit:queue", "#"), "mend"),
        (lambda text: text.replace("retrofit:queue v1", "retrofit:queue v9"), "newer version"),
        (lambda text: text.replace("# >>> retrofit:queue", "# >>> retrofit:oops"), "no partner"),
    ],
)
def test_damaged_markers_are_refused(spoil, reason):
    check_refused(spoil(planned(CLIENT).after.decode()), reason)


def test_a_marker_inside_a_string_is_none():
    check_transformed(CLIENT + '\n    text = """\n    # >>> retrofit:queue v1 0123456789\n    """\n')


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"import requests\nclass :\n", "does not parse"),
        (b"import requests\n\0", "does not parse"),
        (b"# coding: nonsense\nimport requests\n", "unknown encoding"),
        (b"import requests\nx = '\xff'\n", "invalid"),
        (b"import requests\nx = " + b"(" * 5000 + b")" * 5000, ""),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(data, reason):
    check_refused(data, reason)


@pytest.mark.parametrize(
    "source",
    [
        "#!/usr/bin/env python\n# -*- coding: latin-1 -*-\n" + CLIENT,
        '"""Only a docstring."""\n' + CLIENT.replace("import requests\n", "").replace("requests.get", "__import__('requests')")
        .replace("def get(self, url):", "def get(self, url):\n        import requests\n\n        requests.put(url)"),
        '"""Doc."""\nfrom __future__ import annotations\n\n' + CLIENT,
        "class Client:\n    def get(self, url):\n        import requests\n\n        return requests.get(url)\n",
        CLIENT + "\n    # a comment at the end of the class\n\n\n# and one behind it\nx = 1\n",
        CLIENT + "    y = 1 + \\\n        2\n",
    ],
)  # fmt: skip
def test_odd_beginnings_and_ends_of_files(source):
    check_transformed(source)
