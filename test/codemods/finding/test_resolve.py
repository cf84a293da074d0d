"""How types are followed through a file: to a client where there is one, and never to one where there is none (C5)."""

from __future__ import annotations

import sys

import pytest

from ..check import check_noop, check_sites, client, method

GET = "def get(self, url):\n    return self.session.get(url)"


@pytest.mark.parametrize(
    "methods",
    [
        ("def __init__(self):\n    self.session = requests.Session()", GET),
        ("def __init__(self, session: requests.Session):\n    self.session = session", GET),
        ("def __init__(self, session: 'requests.Session | None' = None):\n    self.session = session", GET),
        ("def __init__(self, session=None):\n    self.session = session or requests.Session()", GET),
        ("def __init__(self, session=None):\n    self.session = session if session else requests.Session()", GET),
        ("def __init__(self, session=requests):\n    self.session = session", GET),
        ("def __init__(self, make):\n    self.session: requests.Session = make()", GET),
        ("def __init__(self):\n    self.url, self.session = '', requests.Session()", GET),
        ("session = requests.Session()", GET),
        ("session: Optional[requests.Session] = None", GET),
        ("session: Annotated[requests.Session, 'shared'] = None", GET),
        ("session: requests.Session = field(default_factory=dict)", GET),
        ("session: Any = Field(default_factory=requests.Session)", GET),
        ("session = attr.ib(factory=requests.Session)", GET),
        ("def open(self):\n    self.session = requests.Session()", GET),
        ("def __enter__(self):\n    self.session = s = requests.Session()\n    return self", GET),
        ("@property\ndef session(self):\n    return requests.Session()", GET),
        ("@cached_property\ndef session(self) -> requests.Session:\n    return make()", GET),
        ("def __init__(self):\n    self._make()", "def _make(self):\n    self.session = requests.session()", GET),
        ("def __init__(self):\n    self.session = self._make()", "def _make(self):\n    return requests.Session()", GET),
        ("def __init__(self):\n    self.session = self._make()", "@staticmethod\ndef _make():\n    s = requests.Session()\n    s.verify = False\n    return s", GET),
        ("def __init__(self):\n    setattr(self, 'x', 1)\n    self.session = getattr(self, 'own', None) or requests.Session()", GET),
    ],
)  # fmt: skip
def test_an_attribute_is_followed_to_the_session_it_holds(methods):
    check_sites(client(*methods), "wrapped self.session.get")


@pytest.mark.parametrize(
    ("body", "callee"),
    [
        ("s = requests.Session()\nreturn s.get(url)", "s.get"),
        ("get = requests.get\nreturn get(url)", "get"),
        ("get = requests.Session().get\nreturn get(url)", "get"),
        ("with requests.Session() as s:\n    return s.get(url)", "s.get"),
        ("with self._open() as s:\n    return s.get(url)", "s.get"),
        ("if (s := requests.Session()):\n    return s.get(url)", "s.get"),
        ("return self._sessions[url].get(url)", "self._sessions[url].get"),
        ("return getattr(requests, 'post')(url)", "getattr(requests, 'post')"),
        ("return getattr(requests, url.lower())(url)", "getattr(requests, url.lower())"),
        ("return (requests.get if url else requests.post)(url)", "requests.get if url else requests.post"),
        ("for s in [requests.Session()]:\n    return s.get(url)", "s.get"),
        ("pool = {'a': requests.Session()}\nreturn pool[url].get(url)", "pool[url].get"),
        ("import importlib\nreturn importlib.import_module('requests').get(url)", "importlib.import_module('requests').get"),
        ("import threading\nlocal = threading.local()\nlocal.s = requests.Session()\nreturn local.s.get(url)", "local.s.get"),
        ("setattr(self, 's', requests.Session())\nreturn self.s.get(url)", "self.s.get"),
        ("s = url  # type: requests.Session\nreturn s.get(url)", "s.get"),
        ("return SHARED.get(url)", "SHARED.get"),
        ("global _shared\n_shared = requests.Session()\nreturn _shared.get(url)", "_shared.get"),
        ("def inner():\n    nonlocal s\n    return s.get(url)\ns = requests.Session()\nreturn inner()", "s.get"),
        ("return shared_session().get(url)", "shared_session().get"),
        ("with ExitStack() as stack:\n    return stack.enter_context(requests.Session()).get(url)", "stack.enter_context(requests.Session()).get"),
        ("s = requests.Session().__enter__()\nreturn s.get(url)", "s.get"),
        ("return type(self)._pool.get(url)", "type(self)._pool.get"),
        ("return self.__class__._pool.get(url)", "self.__class__._pool.get"),
        ("return self._pools.get(url)", None),
        ("return Client._pool.get(url)", "Client._pool.get"),
    ],
)  # fmt: skip
def test_a_local_name_is_followed(body, callee):
    imports = (
        "import requests\nfrom contextlib import contextmanager\nfrom typing import Dict\n\nSHARED = requests.Session()\n_shared = None\n"
        "\n\ndef shared_session():\n    return SHARED"
    )
    source = client(
        "_pool = requests.Session()\n_sessions: Dict[str, requests.Session] = {}",
        "@contextmanager\ndef _open(self):\n    yield requests.Session()",
        "def call(self, url):\n    " + body.replace("\n", "\n    "),
        imports=imports,
    )
    wanted = [f"wrapped {callee}"] if callee else []
    check_sites(source, *wanted)


def test_the_helper_object_of_another_class_in_the_file():
    source = (
        "import requests\n\n\nclass Pool:\n    def __init__(self):\n        self.session = requests.Session()\n\n\n"
        "class Client:\n    def __init__(self):\n        self.pool = Pool()\n\n"
        "    def get(self, url):\n        return self.pool.session.get(url)\n"
    )
    check_sites(source, "wrapped self.pool.session.get")


def test_an_own_class_with_such_methods_is_no_session():
    source = (
        "import requests\n\n\nclass Http:\n    def get(self, url):\n        return requests.get(url)\n\n\n"
        "class Client:\n    def __init__(self):\n        self.session = Http()\n\n"
        "    def get(self, url):\n        return self.session.get(url, headers={})\n"
    )
    check_sites(source, "wrapped requests.get")


def test_a_base_class_in_the_file_that_makes_the_session():
    source = (
        "import requests\n\n\nclass Base:\n    def __init__(self):\n        self.session = requests.Session()\n\n\n"
        "class Client(Base):\n    def get(self, url):\n        return self.session.get(url)\n"
    )
    check_sites(source, "wrapped self.session.get")


@pytest.mark.parametrize(
    "imports",
    [
        "import requests",
        "if TYPE_CHECKING:\n    import requests",
        "try:\n    import requests\nexcept ImportError:\n    requests = None",
        "import os, requests",
    ],
)
def test_imports_of_all_kinds(imports):
    check_sites(method("return requests.get(url)", imports), "wrapped requests.get")


class TestSubclassOfASession:
    """A class that is a session itself: what it calls of its base is a request, what it overrides is not."""

    def test_a_method_of_the_base_is_a_request(self):
        source = client(
            "def fetch(self, url):\n    return self.get(url)", head="class Api(requests.Session):"
        )
        check_sites(source, "wrapped self.get")

    def test_super_is_the_request_where_it_is_overridden(self):
        source = client(
            "def request(self, *args, **kwargs):\n    return super().request(*args, **kwargs)",
            "def fetch(self, url):\n    return self.get(url)",
            head="class Api(requests.Session):",
        )
        check_sites(source, "wrapped super().request")

    def test_super_get_that_goes_through_the_own_request_is_none(self):
        source = client(
            "def request(self, *args, **kwargs):\n    return super().request(*args, **kwargs)",
            "def get(self, url):\n    return super().get(self.base + url)",
            head="class Api(requests.Session):",
        )
        check_sites(source, "wrapped super().request")

    def test_an_instance_of_it_is_a_session_unless_it_overrides_the_way_out(self):
        use = "\n\nclass Client:\n    def get(self, url):\n        return Api().get(url)\n"
        check_sites(client("x = 1", head="class Api(requests.Session):") + use, "wrapped Api().get")
        own = "def send(self, request):\n    return super().send(request)"
        check_sites(client(own, head="class Api(requests.Session):") + use, "wrapped super().send")

    def test_an_adapter_is_inside_a_session(self):
        source = client(
            "def send(self, request, **kwargs):\n    return super().send(request, **kwargs)",
            imports="from requests.adapters import HTTPAdapter",
            head="class Slow(HTTPAdapter):",
        )
        result = check_sites(source, "skipped super().send")
        assert "inside a transport" in result.sites[0].reason


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n",
        "import requests\n",
        client("def get(self, requests):\n    return requests.get('x')"),
        client("def get(self, cache):\n    return cache.get('x')", imports=""),
        client("def name(self):\n    return callable(requests.get)"),
        client("def name(self, f):\n    return f in (requests.get, requests.post) or f == [requests.put]"),
        client("def name(self, f):\n    return functools.wraps(requests.get)(f)"),
        client("def name(self):\n    return hasattr(requests, 'get') and isinstance(requests.get, object)"),
        client("def get(self):\n    return post('x')", imports="from .requests import post"),
        client("def get(self):\n    return requests.get('x')", imports="from . import requests"),
        client("def get(self):\n    return requests.get('x')", imports="import unittest.mock as requests"),
        client("def get(self, url):\n    requests = {}\n    return requests.get(url)"),
        client("def get(self, url):\n    for requests in []:\n        requests.get(url)"),
        client("_cache: Dict[str, requests.Session] = {}", "def get(self, url):\n    return self._cache.get(url)"),
        client("def __init__(self, make: Callable[[], requests.Session]):\n    self.x = make", "def get(self):\n    return self.x.get()"),
        client("def get(self, url):\n    return self.requests.get(url)"),
        client("def get(self, url):\n    return self.get(url)"),
        client("def get(self, r: requests.Response):\n    return r.headers.get('x')"),
        client("def get(self, r: 'not python'):\n    return r.get('x')"),
        "import requests\n\n\ndef get():\n    pass\n\n\nclass Client:\n    def call(self):\n        return get()\n",
        "def requests():\n    pass\n\n\nclass Client:\n    def call(self):\n        return requests.get('import requests')\n",
    ],
)  # fmt: skip
def test_what_only_has_the_name_is_left(source):
    assert not check_noop(source).sites


@pytest.mark.parametrize(
    "source",
    [
        "import requests\n\n\nclass A(A):\n    def get(self, url):\n        return requests.get(url)\n",
        client("def a(self):\n    return self.b()", "def b(self):\n    return self.a()", "def get(self):\n    return self.a().get('x')"),
        client("def get(self, url):\n    s = s or t\n    t = s\n    return s.post(url), requests.get(url)"),
        client("@property\ndef s(self):\n    return self.s.s", "def get(self):\n    return self.s.get('x')"),
    ],
)  # fmt: skip
def test_names_that_go_round_in_circles_end(source):
    from ..check import planned

    assert not planned(source).problems


def test_what_may_be_another_class_is_a_client_of_boto3_only_if_it_can_be_nothing_else():
    init = "def __init__(self, cache):\n    self.made = Cache() if cache else boto3.client('s3')"
    source = client(
        init,
        "def get(self):\n    return self.made.get_client()",
        imports="import boto3\nfrom shop import Cache",
    )
    assert not check_noop(source).sites
    plain = source.replace("Cache() if cache else ", "")
    check_sites(plain, "wrapped self.made.get_client")


def test_fetch_token_of_a_session_goes_through_its_own_request():
    source = client(
        "def request(self, *args):\n    return super().request(*args)",
        "def login(self):\n    return self.fetch_token('x')",
        imports="from requests_oauthlib import OAuth2Session",
        head="class Api(OAuth2Session):",
    )
    check_sites(source, "wrapped super().request")


@pytest.mark.parametrize("made", ["partial(requests.get, timeout=5)", "functools.partial(requests.get)"])
def test_a_partial_at_module_level_is_wrapped_where_it_is_called(made):
    imports = f"import functools\nfrom functools import partial\n\nimport requests\n\nfetch = {made}"
    check_sites(method("return fetch(url)", imports), "skipped requests.get", "wrapped fetch")


def test_a_partial_inside_a_method_is_wrapped_once():
    imports = "from functools import partial\n\nimport requests"
    check_sites(method("fetch = partial(requests.get, url)\nreturn fetch()", imports), "wrapped requests.get")


HIDING = {
    "a pattern of a mapping": "match d:\n    case {'k': requests}:\n        requests.get(url)",
    "the rest of a mapping": "match d:\n    case {'a': 1, **requests}:\n        requests.get(url)",
    "a star pattern": "match d:\n    case [_, *requests]:\n        requests.get(url)",
    "a pattern with as": "match d:\n    case dict() as requests:\n        requests.get(url)",
    "a pattern inside others": "match d:\n    case [A(b={'c': (requests, _)}) | requests]:\n        requests.get(url)",
    "a capture alone": "match d:\n    case requests:\n        requests.get(url)",
    "a handler": "try:\n    pass\nexcept OSError as requests:\n    requests.get(url)",
    "a handler of a group": "try:\n    pass\nexcept* OSError as requests:\n    requests.get(url)",
    "a loop": "for requests in d:\n    requests.get(url)",
    "a starred target": "a, *requests = d\nrequests.get(url)",
}
IN_VIEW = {
    "another capture": "match d:\n    case {'k': value, **rest}:\n        requests.get(url)",
    "a wildcard": "match d:\n    case [*_]:\n        requests.get(url)",
    "a class pattern": "match d:\n    case requests.Response():\n        requests.get(url)",
    "a handler without a name": "try:\n    pass\nexcept OSError:\n    requests.get(url)",
    "a handler of another function": "def g():\n    try:\n        pass\n    except OSError as requests:\n        pass\nrequests.get(url)",
}


@pytest.mark.parametrize("name", HIDING)
def test_a_local_name_hides_the_library(name):
    if "except*" in HIDING[name] and sys.version_info < (3, 11):
        pytest.skip("needs Python 3.11")
    check_noop(method(HIDING[name], head="def call(self, d, url):"))


@pytest.mark.parametrize("name", IN_VIEW)
def test_a_name_bound_to_something_else_nearby_hides_nothing(name):
    check_sites(method(IN_VIEW[name], head="def call(self, d, url):"), "wrapped requests.get")


def test_a_pattern_that_binds_self_leaves_no_instance_to_hold_the_queue():
    body = "match d:\n    case {'k': self}:\n        pass\nrequests.get(url)"
    check_sites(method(body, head="def call(self, d, url):"), "skipped requests.get")


@pytest.mark.parametrize(
    "annotation", ["tuple[()]", "Tuple[()]", "list[tuple[()]]", "tuple[(), requests.Session]"]
)
def test_an_annotation_with_an_empty_tuple_names_no_class(annotation):
    source = method("return requests.get(url)", head=f"def call(self, url, nothing: {annotation}):")
    check_sites(source, "wrapped requests.get")
