"""An inline runtime is kept from LibCST, and nobody can tell from the result."""

import libcst as cst
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from backend_retrofit.codemods.blocks import templates
from backend_retrofit.codemods.blocks.find_markers import find_markers
from backend_retrofit.codemods.injection.add_runtime import NewRuntime
from backend_retrofit.codemods.injection.injections import Injections
from backend_retrofit.codemods.model import Edit, Options
from backend_retrofit.codemods.planning.file import plan, plan_module
from backend_retrofit.codemods.planning.runtime_apart import set_apart
from backend_retrofit.codemods.source.text import Source

from ..check import PATH, client, planned
from ..generated import layouts, sources
from ..test_properties import compiles, examples

INLINE = Options(runtime="inline")
SHORT = templates.Block(
    "runtime",
    "_retrofit_version = 2\nimport typing as _retrofit_typing  # noqa: E402\n\n"
    'if _retrofit_typing.TYPE_CHECKING:\n    # The types.\n    class RequestEngine:\n        """Text.\n\n    More."""\n\n'
    "else:\n\n    def _request_engine():\n        class RequestEngine: ...\n\n        return RequestEngine\n\n"
    "    RequestEngine = _request_engine()\n",
    {},
)
"""What has the parts of the runtime, in a few lines."""
CLIENT = client("def get(self, url):\n    return requests.get(url)")
OTHER = "\n\nclass Other:\n    def put(self, url):\n        return requests.put(url)\n"


@pytest.fixture
def short_runtime(monkeypatch):
    """Put a few lines in the place of the runtime's thousands."""
    monkeypatch.setattr(templates, "inline_runtime", lambda engine=templates.ENGINE: SHORT)


def same_as_a_whole(data: bytes) -> bytes:
    """Return what becomes of a file; the same must become of one that LibCST has read, of which it sees all."""
    result = plan(data, PATH, INLINE)
    try:
        module = cst.parse_module(data)
    except (SyntaxError, cst.ParserSyntaxError):  # an odd encoding, which this tool reads all the same
        return result.after
    if module.bytes == data:
        whole, _ = plan_module(module, PATH, INLINE)
        assert result.after == whole.after
        assert result.problems == whole.problems
    return result.after


@examples(60)
@given(st.data())
def test_the_result_is_to_the_byte_what_it_is_when_libcst_sees_all(data):
    before = data.draw(layouts(data.draw(sources())))
    assume(compiles(before))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "inline_runtime", lambda engine=templates.ENGINE: SHORT)
        after = same_as_a_whole(before)
        event(f"changed: {after != before}")
        newline = b"\r\n" if b"\r\n" in after else b"\n"
        same_as_a_whole(after + newline + OTHER.encode().replace(b"\n", newline))


@pytest.mark.usefixtures("short_runtime")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("\n", "\r\n"),
        ("    ", "\t"),
        ("import requests", "import requests\n\f"),
        ("import requests", '"""Doc."""\n\nimport requests\n\nTEXT = """\n# >>> retrofit:runtime v2 0123456789\n"""'),
        ("import requests", "import typing\nif typing.TYPE_CHECKING:\n    import requests\nimport requests"),
        ("class Client", "def seen(cls):\n    return cls\n\n\n@seen\n# of the class\nclass Client"),
        ("import requests", "import requests\n\n_retrofit_runtime_is_here = 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "\n", "\n\n# the end\n", "\n  \n"])
def test_whatever_stands_around_it(old, new, end):
    text = (CLIENT.rstrip("\n") + end).replace(old, new) if old else CLIENT
    after = same_as_a_whole(text.encode()).decode()
    assert "def _request_engine" in after
    newline = "\r\n" if "\r\n" in after else "\n"
    more = same_as_a_whole((after + OTHER.replace("\n", newline)).encode())
    assert more.count(b">>> retrofit:queue") == 2


@pytest.mark.usefixtures("short_runtime")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# The types.", "# Types."),
        ("    RequestEngine = _req", "    RequestEngine  =  _req"),
        ("import typing", "\nimport typing"),
        ("# <<< retrofit:runtime", "    # <<< retrofit:runtime"),
    ],
)
def test_a_runtime_that_is_not_to_the_letter_what_was_written_is_seen(old, new):
    text = planned(CLIENT, in_package=False).after.decode().replace(old, new) + OTHER
    source = Source(text, "utf-8", b"")
    region = next(region for region in find_markers(source).regions if region.block == "runtime")
    assert not set_apart(source, region, (), Injections()).code
    assert same_as_a_whole(text.encode()) != text.encode()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_libcst_sees_one_statement_of_as_many_lines(newline):
    text = planned(CLIENT.replace("\n", newline), in_package=False).after.decode()
    source = Source(text, "utf-8", b"")
    region = next(region for region in find_markers(source).regions if region.block == "runtime")
    apart = set_apart(source, region, (), Injections())
    assert apart.edits == (
        Edit(text.index(apart.code), text.index(apart.code) + len(apart.code), apart.stands_in),
    )
    assert len(apart.stands_in.split(newline)) == len(apart.code.split(newline)) > 5000
    assert apart.put_back(text.replace(apart.code, apart.stands_in)) == text
    (statement,) = cst.parse_module(apart.stands_in).body
    assert isinstance(statement, cst.If)


def test_a_new_runtime_is_set_apart_as_well():
    block = templates.inline_runtime()
    lines = (block.begin, *block.code.rstrip("\n").split("\n"), block.end, "", "rest = 1")
    head = NewRuntime(lines, 0, "\n")
    apart = set_apart(Source("x = 1\n", "utf-8", b""), None, (), Injections(head=head))
    assert isinstance(apart.injections.head, NewRuntime)
    text = "\n".join(apart.injections.head.lines)
    assert len(text) < 20_000
    assert apart.put_back(text) == "\n".join(lines)
