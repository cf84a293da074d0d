"""The queue of a module, which its functions and static methods share (C13)."""

from __future__ import annotations

import re

import pytest

from backend_retrofit.codemods.model import BLOCKS, FUNCTIONS, State

from ..check import check_noop, check_refused, check_sites, check_transformed, planned

ASKED = (*BLOCKS, FUNCTIONS)
GET = "def read(url):\n    return requests.get(url, timeout=10)\n"


def source(code: str = GET, imports: str = "import requests") -> str:
    return f"{imports}\n\n\n{code}"


def check(code: str, *wanted: str, imports: str = "import requests", **options):
    return check_transformed(source(code, imports), *wanted, blocks=ASKED, **options)


def test_a_function_goes_through_the_queue_of_its_module():
    result = check(GET, "    return _queued(requests.get)(url, timeout=10)\n")
    text = result.after.decode()
    assert re.search(
        "^import requests\nfrom ._request_engine import RequestEngine  # retrofit:import\n"
        "\n# >>> retrofit:functions v2 [0-9a-f]{10}\n(?:# .+\n)+_queued = RequestEngine.for_module\\(\n    __name__,\n"
        "(?:    \\w+=\\d+,\n)+\\)\n# <<< retrofit:functions\n\n\ndef read",
        text,
    )
    assert max(map(len, text.split("\n"))) <= 88


def test_unasked_functions_are_left_as_they_are():
    result = check_noop(source())
    assert [site.of_module for site in result.sites] == [True]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("class Tools:\n    @staticmethod\n    def read(url):\n        return requests.get(url)\n", "_queued(requests.get)(url)"),
        ("read = lambda url: requests.get(url)\n", "lambda url: _queued(requests.get)(url)"),
        ("class A:\n    read = lambda url: requests.get(url)\n", "lambda url: _queued(requests.get)(url)"),
        ("def read(urls):\n    for url in urls:\n        yield requests.get(url)\n", "yield _queued(requests.get)(url)"),
        ("@cache\ndef read(url):\n    return requests.get(url)\n", "@cache\ndef read(url):\n    return _queued("),
        ("def outer(url):\n    def inner():\n        return requests.get(url)\n    return inner\n", "_queued(requests.get)(url)"),
        ("def read(urls):\n    return [requests.get(u) for u in urls]\n", "[_queued(requests.get)(u) for u in urls]"),
        ("if __name__ == '__main__':\n    print(requests.get('https://a.b').text)\n", "print(_queued(requests.get)("),
        ("version = requests.get('https://a.b').text\n", "version = _queued(requests.get)("),
        ("def read(pool, urls):\n    return pool.map(requests.get, urls)\n", "pool.map(_queued(requests.get), urls)"),
        ("for r in map(requests.get, ['https://a.b']):\n    print(r)\n", "map(_queued(requests.get), ["),
    ],
)  # fmt: skip
def test_each_place_without_an_instance_is_reached(code, wanted):
    check(code, wanted, imports="import requests\nfrom functools import cache")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("async def read(c: httpx.AsyncClient):\n    return await c.get('/')\n", "await _queued(c.get)('/')"),
        (
            "async def read(s: aiohttp.ClientSession):\n    async with s.post('/') as r:\n        return await r.json()\n",
            "async with _queued(s.post)('/') as r:",
        ),
        (
            "def read(c: httpx.Client):\n    with c.stream('GET', '/') as r:\n        yield from r.iter_lines()\n",
            "with _queued(c.stream)('GET', '/') as r:",
        ),
    ],
)
def test_async_functions_and_streams_are_reached(code, wanted):
    check(code, wanted, imports="import aiohttp\nimport httpx")


def test_what_a_module_keeps_is_wrapped_where_it_is_called():
    code = "read = functools.partial(requests.get, timeout=3)\n\n\ndef go(url):\n    return read(url)\n"
    result = check(
        code,
        "partial(requests.get, timeout=3)",
        "return _queued(read)(url)",
        imports="import functools, requests",
    )
    assert result.after.count(b"_queued(") == 1


def test_a_file_that_begins_with_a_function_has_the_block_above_it():
    code = "def read(url):\n    import requests\n\n    return requests.get(url)\n"
    text = check_transformed(code, "_queued(requests.get)", blocks=ASKED).after.decode()
    assert text.startswith(
        "from ._request_engine import RequestEngine  # retrofit:import\n\n# >>> retrofit:functions"
    )


def test_a_class_keeps_the_queue_of_its_instances_beside_that_of_the_module():
    code = GET + "\n\nclass Client:\n    def get(self, url):\n        return requests.get(url)\n"
    result = check(code, "return _queued(requests.get)", "return self._queued(requests.get)")
    assert result.after.count(b"retrofit:import") == 1


def test_functions_can_be_added_to_a_file_whose_classes_have_blocks():
    before = source("class Client:\n    def get(self, url):\n        return requests.get(url)\n\n\n" + GET)
    once = planned(before)
    twice = planned(once.after, blocks=ASKED)
    assert twice.after == planned(before, blocks=ASKED).after
    assert planned(twice.after, remove=True).after == before.encode()
    assert planned(twice.after, remove=True, blocks=(FUNCTIONS,)).after == once.after


def test_the_import_moves_up_where_a_call_comes_before_the_class_that_had_it():
    before = "import requests\n\nprint(requests.get('/'))\nimport os\n\n\nclass A:\n    def f(self):\n        requests.get('/')\n"
    twice = planned(planned(before).after, blocks=ASKED)
    assert not twice.problems
    assert twice.after == planned(before, blocks=ASKED).after
    assert planned(twice.after, remove=True).after == before.encode()


def test_a_block_that_is_there_needs_no_option():
    once = planned(source(), blocks=ASKED).after
    check_noop(once)
    more = planned(once + b"\n\ndef write(url):\n    requests.put(url)\n")
    assert b"_queued(requests.put)(url)" in more.after


def test_a_block_that_is_gone_comes_back_where_calls_go_through_it():
    made = planned(source(), blocks=ASKED).after
    start, stop = made.index(b"\n# >>>"), made.index(b"\n\n\ndef") + 1
    result = planned(made[:start] + made[stop:])
    assert result.after == made
    assert [block.state for cls in result.classes for block in cls.blocks] == [State.ORPHANED]
    assert planned(made[:start] + made[stop:], remove=True).after == source().encode()


@pytest.mark.parametrize(
    "code",
    ["_queued = []\n", "def f(_queued):\n    pass\n", "class A:\n    _queued = 1\n", "import a as _queued\n"],
)
def test_a_module_that_uses_the_name_is_refused_with_the_reason(code):
    result = check_noop(source(code + "\n\n" + GET), blocks=ASKED)
    ((change,),) = [cls.blocks for cls in result.classes]
    assert change.change == "skipped"
    assert "it uses the name `_queued`" in change.reason
    assert "the module is refused" in result.sites[0].reason


@pytest.mark.parametrize(("blocks", "name", "absent"), [
    (("queue", FUNCTIONS), "_queued", "max_retries"),
    (("backoff", FUNCTIONS), "_retried", "queue_size"),
])  # fmt: skip
def test_a_block_of_one_kind_has_the_settings_of_that(blocks, name, absent):
    result = check_transformed(source(), f"{name}(requests.get)", blocks=blocks)
    assert absent.encode() not in result.after


def test_functions_alone_leave_classes_alone():
    code = GET + "\n\nclass Client:\n    def get(self, url):\n        return requests.get(url)\n"
    result = planned(source(code), blocks=(FUNCTIONS,))
    assert b"_queued(requests.get)" in result.after
    assert b"retrofit:queue" not in result.after


def test_the_defaults_of_a_project_go_into_the_block():
    settings = (("max_retries", 2), ("queue_timeout", 30))
    check(GET, "    max_retries=2,\n", "    queue_timeout=30,\n", settings=settings)


@pytest.mark.parametrize(
    ("code", "decision"),
    [
        ("@tenacity.retry\ndef read(url):\n    return requests.get(url)\n", "queued only"),
        ("def read(url):\n    for _ in range(3):\n        try:\n            return requests.get(url)\n        except OSError:\n            continue\n", "queued only"),
        ("def alive(url):\n    try:\n        requests.get(url)\n        return True\n    except OSError:\n        return False\n", "queued only"),
        ("def read(url):\n    return requests.get(url)  # retrofit: skip\n", "skipped"),
        ("# retrofit: no-retry\ndef read(url):\n    return requests.get(url)\n", "queued only"),
        ("@task.virtualenv\ndef read(url):\n    return requests.get(url)\n", "skipped"),
        ("@pytest.fixture\ndef page():\n    return requests.get('/')\n", "skipped"),
        ("def test_page():\n    assert requests.get('/')\n", "skipped"),
    ],
)  # fmt: skip
def test_existing_retries_probes_and_opt_outs_count_as_in_classes(code, decision):
    check_sites(source(code, "import pytest, requests, tenacity"), f"{decision} requests.get", blocks=ASKED)


def test_a_wrap_that_was_moved_goes_through_the_queue_of_its_new_place():
    code = "class Client:\n    def get(self, url):\n        return requests.get(url)\n\n\n" + GET
    made = planned(source(code), blocks=ASKED).after
    moved = made.replace(b"return self._queued(", b"return _QUEUED(").replace(
        b"return _queued(", b"return self._queued("
    )
    moved = moved.replace(b"_QUEUED(", b"_queued(")
    assert planned(moved).after == made


def test_the_runtime_inside_a_file_stands_above_the_block():
    result = planned(source(), in_package=False, runtime="inline", blocks=ASKED)
    text = result.after.decode()
    assert text.index("# <<< retrofit:runtime") < text.index("# >>> retrofit:functions")
    assert planned(text, in_package=False, blocks=ASKED).after == result.after
    assert planned(text, in_package=False, remove=True).after == source().encode()


def test_a_module_with_the_block_twice_is_refused():
    made = planned(source(), blocks=ASKED).after.decode()
    start, stop = made.index("\n# >>>"), made.index("\n\n\ndef")
    check_refused(made + made[start:stop] + "\n", "two functions blocks")


def test_a_changed_default_is_a_setting_and_new_calls_are_wrapped():
    made = planned(source(), blocks=ASKED).after.decode()
    changed = made.replace("max_retries=5", "max_retries=2").replace("    queue_size=100,\n", "")
    result = planned(changed + "\n\ndef write(url):\n    requests.put(url)\n")
    assert not result.problems
    assert "    max_retries=2,\n" in result.after.decode()
    assert "_queued(requests.put)(url)" in result.after.decode()
    assert [block.state for cls in result.classes for block in cls.blocks] == [State.CONFIGURED]
    assert planned(changed, remove=True).after == source().encode()


def test_a_block_with_a_changed_default_gets_the_other_half_beside_it():
    made = planned(source(), blocks=("queue", FUNCTIONS)).after.decode()
    result = planned(made.replace("queue_size=100", "queue_size=7"), blocks=ASKED)
    assert "    queue_size=7,\n    max_retries=5,\n" in result.after.decode()


def test_a_block_edited_otherwise_is_left_alone():
    made = planned(source(), blocks=ASKED).after.decode()
    check_refused(made.replace("    __name__,\n", "    'other',\n"), "the functions block was edited by hand")
