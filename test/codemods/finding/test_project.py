"""What a project's files say of one another: to what a name of another file is followed, and what calls a function (C5)."""

from __future__ import annotations

import pickle
import sys
import textwrap

import pytest

from backend_retrofit.codemods.finding.follow import Follower, View
from backend_retrofit.codemods.finding.project import view_of
from backend_retrofit.codemods.tables.lookup import catalogue

CLIENTS = {
    "shop/__init__.py": "from .http import *\n",
    "shop/http.py": """
        import functools, importlib, threading
        from typing import NewType, Optional, TypeVar, Union

        import httpx
        import requests
        from typing import TypeAlias

        SESSION = requests.Session()
        Client: TypeAlias = Union[httpx.Client, httpx.AsyncClient]
        Either = httpx.Client | None
        UserSession = NewType("UserSession", requests.Session)
        AnyClient = TypeVar("AnyClient", bound=httpx.Client)
        _local = threading.local()

        def session():
            made = requests.Session()
            return made

        def annotated() -> "requests.Session":
            return functools.reduce(print, [])

        def of_thread():
            if not hasattr(_local, "session"):
                _local.session = requests.Session()
            return _local.session

        def library():
            return importlib.import_module("requests")

        class Base:
            kept: Optional[requests.Session] = None

            def __init__(self):
                self.http = session()
                setattr(self, "other", requests.Session())

            @property
            def lazy(self):
                return self.http

            def _client(self):
                return self.http

        class Settings:
            def __init__(self):
                self.session = requests.Session()
        """,
}


def viewed(files: dict[str, str], planned: list[str] | None = None) -> View:
    """Return the view of a project of these files."""
    texts = {f"/project/{name}": textwrap.dedent(text).encode() for name, text in files.items()}
    wanted = [f"/project/{name}" for name in planned or files]
    return view_of(texts, wanted, lambda path: texts[path], catalogue())


def module(view: View, name: str) -> str:
    return view.module_of(f"/project/{name}")


def attribute(header: str, body: str, name: str = "x", **more: str) -> str:
    """Return what `self.x` is in a class of another file than the clients."""
    body = textwrap.dedent(body) + "\n    def go(self):\n        return self.x.get('x')\n"
    view = viewed({**CLIENTS, "shop/use.py": f"{textwrap.dedent(header)}\n{body}", **more})
    return Follower(view, catalogue()).member(module(view, "shop/use.py"), "Use", name)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("from .http import session", "session()"),
        ("from shop.http import session as make", "make()"),
        ("from . import http", "http.session()"),
        ("from shop import http", "http.session()"),
        ("import shop.http", "shop.http.session()"),
        ("import shop.http as h", "h.session()"),
        ("from .http import *", "session()"),
        ("from . import session", "session()"),
        ("from .http import annotated", "annotated()"),
        ("from .http import SESSION", "SESSION"),
        ("from .http import of_thread", "of_thread()"),
        ("from .http import Base", "Base().http"),
        ("from .http import Base", "Base().other"),
        ("from .http import Base", "Base().kept"),
        ("from .http import Base", "Base().lazy"),
        ("from .http import Base", "Base()._client()"),
        ("from .http import Settings", "Settings().session"),
        ("from .again import session", "session()"),
        ("def local():\n    from .http import session\n    return session()", "local()"),
        ("try:\n    from .http import session\nexcept ImportError:\n    session = None", "session()"),
    ],
)
def test_a_value_of_another_file_is_followed_to_the_session_that_it_is(header, value):
    body = f"class Use:\n    def __init__(self):\n        self.x = {value}"
    again = {"shop/again.py": "from .http import session\n"}
    assert attribute(header, body, **again) == "requests.Session()"


@pytest.mark.parametrize(
    "header",
    [
        "from .http import Client",
        "from shop.http import Either as Client",
        "from .http import AnyClient as Client",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .http import Client",
        "from .types import Client",
    ],
)
def test_a_type_of_another_file_is_followed_to_the_client_that_it_names(header):
    body = "class Use:\n    def __init__(self, x: 'Client'):\n        self.x = x"
    assert attribute(header, body, **{"shop/types.py": "from .http import Client as Client\n"}) in (
        "httpx.Client()",
        "httpx.AsyncClient()",
    )


def test_a_new_type_is_what_it_is_made_of():
    body = "class Use:\n    def __init__(self, x: UserSession):\n        self.x = x"
    assert attribute("from .http import UserSession", body) == "requests.Session()"


def test_a_type_comment_is_an_annotation():
    body = "class Use:\n    def __init__(self, x):\n        self.x = x  # type: Client"
    assert attribute("from .http import Client", body) in ("httpx.Client()", "httpx.AsyncClient()")


def test_the_types_of_a_signature_s_comment_are_those_of_its_parameters():
    body = "class Use:\n    def __init__(self, x):\n        # type: (Client) -> None\n        self.x = x"
    assert attribute("from .http import Client", body) in ("httpx.Client()", "httpx.AsyncClient()")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements and parameters came with Python 3.12")
@pytest.mark.parametrize(
    ("header", "parameter"),
    [
        ("type X = httpx.Client", "x: X"),
        ("type X = httpx.Client | None", "x: X"),
    ],
)
def test_a_type_statement_is_an_alias(header, parameter):
    body = f"class Use:\n    def __init__(self, {parameter}):\n        self.x = x"
    assert attribute(f"import httpx\n{header}", body) == "httpx.Client()"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements and parameters came with Python 3.12")
@pytest.mark.parametrize(
    "body",
    [
        "class Use[T: httpx.Client]:\n    def __init__(self, x: T):\n        self.x = x",
        "class Use:\n    def __init__[T: httpx.Client](self, x: T):\n        self.x = x",
        "class Use:\n    def __init__[T: (httpx.Client, int)](self, x: T | None):\n        self.x = x",
    ],
)
def test_a_type_parameter_is_what_bounds_it(body):
    assert attribute("import httpx", body) == "httpx.Client()"


def test_a_base_of_another_file_sets_the_attribute():
    assert attribute("from .http import Base", "class Use(Base):\n    pass", "http") == "requests.Session()"


def test_a_base_is_found_by_way_of_several_files():
    middle = {"shop/middle.py": "from . import http\nclass Middle(http.Base):\n    pass\n"}
    assert (
        attribute("from .middle import Middle", "class Use(Middle):\n    pass", "http", **middle)
        == "requests.Session()"
    )


def test_a_mixin_uses_what_the_classes_have_that_it_is_mixed_into():
    user = {"shop/api.py": "from .http import Base\nfrom .use import Use\nclass Api(Use, Base):\n    pass\n"}
    body = "class Use:\n    def go(self):\n        return self.http.get('x')"
    assert attribute("", body, "http", **user) == "requests.Session()"


def test_what_is_said_of_self_is_followed():
    header = "import httpx\nfrom typing import Protocol\nclass HasClient(Protocol):\n    client: httpx.Client"
    body = (
        "class Use:\n    def go(self: HasClient):\n        return self.client.get('x')\nclass Api:\n    pass"
    )
    view = viewed({"shop/use.py": f"{header}\n{body}\n"})
    (call,) = view.summaries[module(view, "shop/use.py")].functions["Use.go"].calls
    assert call.name == "httpx.Client().get"


def test_a_helper_that_returns_the_library_is_followed():
    view = viewed(
        {**CLIENTS, "shop/use.py": "from .http import library\ndef go(url):\n    return library().get(url)\n"}
    )
    (call, *_) = view.summaries[module(view, "shop/use.py")].functions["go"].calls
    assert Follower(view, catalogue()).follow(call.name, module(view, "shop/use.py")) == "requests.get"


def test_all_names_of_a_library_that_a_star_brings_are_known():
    view = viewed({"go.py": "from requests import *\ndef go(url):\n    return get(url)\n"})
    (call,) = view.summaries[module(view, "go.py")].functions["go"].calls
    assert call.name == "requests.get"


@pytest.mark.parametrize(
    "header",
    [
        "from .gone import session",
        "from elsewhere import session",
        "from .http import gone as session",
        "from . import loop_a\nsession = loop_a.session",
        "import json\nsession = json.JSONDecoder",
    ],
)
def test_what_cannot_be_followed_is_no_client(header):
    circle = {
        "shop/loop_a.py": "from .loop_b import session\n",
        "shop/loop_b.py": "from .loop_a import session\n",
    }
    body = "class Use:\n    def __init__(self):\n        self.x = session()"
    assert "requests" not in attribute(header, body, **circle)


def test_a_folder_without_init_is_a_package_too():
    files = {"src/shop/http.py": "import requests\ndef session():\n    return requests.Session()\n"}
    files["src/shop/use.py"] = (
        "from shop.http import session\nclass Use:\n    def go(self):\n        self.x = session()\n        self.x.get('')\n"
    )
    view = viewed(files)
    assert (
        Follower(view, catalogue()).member(module(view, "src/shop/use.py"), "Use", "x")
        == "requests.Session()"
    )


def test_files_of_the_same_name_in_different_folders_are_different_modules():
    files = {
        f"{name}/client.py": f"import httpx, requests\nx = {maker}\n"
        for name, maker in [("a", "httpx.Client()"), ("b", "requests.Session()")]
    }
    files |= {f"{name}/use.py": "from client import x\nclass Use:\n    x = x\n" for name in "ab"}
    view = viewed(files)
    follower = Follower(view, catalogue())
    assert [follower.follow("client.x", module(view, f"{name}/use.py")) for name in "ab"] == [
        "httpx.Client()",
        "requests.Session()",
    ]


def test_a_file_named_like_a_library_of_python_is_not_taken_for_it():
    files = {"json.py": "import requests\ndef load():\n    return requests.Session()\n"}
    files["use.py"] = (
        "import json\nimport requests\nclass Use:\n    def __init__(self):\n        self.x = json.load()\n"
    )
    view = viewed(files)
    assert Follower(view, catalogue()).member(module(view, "use.py"), "Use", "x") != "requests.Session()"


def test_a_file_named_like_a_library_of_the_table_is_not_taken_for_it():
    files = {"openai.py": "import requests\nclass OpenAI(requests.Session):\n    pass\n"}
    files["use.py"] = (
        "import openai\nclass Use:\n    def __init__(self):\n        self.x = openai.OpenAI()\n        self.x.get('')\n"
    )
    view = viewed(files)
    assert Follower(view, catalogue()).member(module(view, "use.py"), "Use", "x") == "openai.OpenAI()"


def test_a_project_that_is_itself_a_library_of_the_table_is_followed():
    files = {
        "openai/__init__.py": "",
        "openai/http.py": "import requests\ndef session():\n    return requests.Session()\n",
    }
    files["openai/use.py"] = (
        "from openai.http import session\nclass Use:\n    def go(self):\n        self.x = session()\n        self.x.get('')\n"
    )
    view = viewed(files)
    assert (
        Follower(view, catalogue()).member(module(view, "openai/use.py"), "Use", "x") == "requests.Session()"
    )


def test_a_type_that_is_made_of_itself_ends():
    files = {
        "use.py": "import requests\nfrom typing import Union\nJson = Union['Json', int]\nTree = 'Tree' | int\nclass Use:\n    x: Json\n    y: Tree\n"
    }
    assert not viewed(files).summaries["0/use"].classes["Use"].attributes.get("y")


def test_only_files_that_may_matter_are_read():
    files = {
        **CLIENTS,
        "shop/models.py": "class Model:\n    pass\n",
        "shop/use.py": "from .http import Base\nclass Use(Base):\n    pass\n",
    }
    assert module(viewed(files), "shop/models.py") not in viewed(files).summaries
    assert module(viewed(files), "shop/use.py") in viewed(files).summaries


def test_a_file_that_does_not_parse_hides_no_other():
    view = viewed({**CLIENTS, "shop/use.py": "from .http import Base\nclass Use(Base:\n"})
    assert view.summaries[module(view, "shop/http.py")].classes["Base"].attributes["http"]


def test_a_view_can_be_sent_to_another_process():
    view = viewed(CLIENTS)
    assert pickle.loads(pickle.dumps(view)) == view


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (".greeter_pb2_grpc.GreeterStub", ".greeter_pb2_grpc.GreeterStub"),
        ("shop.proto.greeter_pb2_grpc.GreeterStub", "shop.proto.greeter_pb2_grpc.GreeterStub"),
    ],
)
def test_what_grpc_has_generated_is_known_by_its_name(written, name):
    view = viewed(
        {
            "shop/__init__.py": "",
            "shop/proto/__init__.py": "",
            "shop/proto/greeter_pb2_grpc.py": "class GreeterStub:\n    def __init__(self, channel): pass\n",
            "shop/proto/client.py": "from .greeter_pb2_grpc import GreeterStub\n",
        }
    )
    assert Follower(view, catalogue()).follow(written, module(view, "shop/proto/client.py")) == name
