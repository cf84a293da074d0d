"""Every shape that a class may have: each retrofitted class is run against a server, or is refused with the reason (C7, C8)."""

from __future__ import annotations

import sys
from unittest import mock

import pytest
import requests

from ...loopback import LoopbackServer, Reply
from ..check import check_noop, check_sites, check_transformed, client, planned
from ..disk.folders import plans
from ..running import check_runs, load, module_of

GET = "    def get(self, url):\n        return requests.get(url, timeout=20)\n"
IMPORTS = "import requests\n"


@pytest.fixture
def server():
    with LoopbackServer() as server:
        yield server


SHAPES = {
    "no __init__": "class Client:\n" + GET,
    "early return in __init__": "class Client:\n    def __init__(self, x=None):\n        if x is None:\n            return\n        self.x = x\n        return None\n\n" + GET,
    "an attribute before anything else": "class Client:\n    def __init__(self):\n        self.fetch = self.get\n\n" + GET,
    "the call in __init__": "class Client:\n    def __init__(self):\n        self.ready = True\n        self.threads = [threading.Thread(target=print) for _ in range(2)]\n        [thread.start() for thread in self.threads]\n\n" + GET,
    "__slots__ with __weakref__": "class Client:\n    __slots__ = ('x', '__weakref__')\n\n" + GET,
    "__slots__ with the key": "class Client:\n    __slots__ = ('api_key', '__weakref__')\n\n    def __init__(self):\n        self.api_key = 'x'\n\n" + GET,
    "__slots__ that tell what they are": "class Client:\n    __slots__ = {'api_key': 'None to close', '__weakref__': ''}\n\n    def __init__(self):\n        self.api_key = 'x'\n\n" + GET,
    "__slots__ with names of the blocks": "class Client:\n    __slots__ = 'retry_if queue_stats submit request_queue __weakref__'.split()\n\n" + GET,
    "__slots__ with __dict__ only": "class Base:\n    pass\n\n\nclass Client(Base):\n    __slots__ = ('x',)\n\n" + GET,
    "dataclass": "@dataclasses.dataclass\nclass Client:\n    x: int = 1\n    y: list = dataclasses.field(default_factory=list)\n\n" + GET,
    "frozen dataclass": "@dataclasses.dataclass(frozen=True)\nclass Client:\n    x: int = 1\n\n" + GET,
    "dataclass with eq and no hash": "@dataclasses.dataclass(eq=True)\nclass Client:\n    x: int = 1\n    __hash__ = None\n\n" + GET,
    "attrs": "@attrs.define\nclass Client:\n    x: int = 1\n\n" + GET,
    "frozen attrs": "@attrs.frozen\nclass Client:\n    x: int = 1\n\n" + GET,
    "attrs of old": "@attr.s(auto_attribs=True, slots=True)\nclass Client:\n    x: int = 1\n\n" + GET,
    "pydantic": "class Client(pydantic.BaseModel):\n    x: int = 1\n\n" + GET,
    "pydantic, extra forbidden": "class Client(pydantic.BaseModel):\n    model_config = pydantic.ConfigDict(extra='forbid')\n    x: int = 1\n\n" + GET,
    "pydantic, frozen": "class Client(pydantic.BaseModel, frozen=True):\n    x: int = 1\n\n" + GET,
    "pydantic, validated on assignment": "class Client(pydantic.BaseModel, validate_assignment=True, extra='forbid'):\n    x: int = 1\n    _y: int = pydantic.PrivateAttr(2)\n\n" + GET,
    "generic": "T = typing.TypeVar('T')\n\n\nclass Client(typing.Generic[T]):\n" + GET,
    "abstract": "class Base(abc.ABC):\n    @abc.abstractmethod\n    def name(self): ...\n\n" + GET + "\n\nclass Client(Base):\n    def name(self):\n        return 'x'\n",
    "implements a protocol": "class Named(typing.Protocol):\n    def name(self): ...\n\n\nclass Client(Named):\n    def name(self):\n        return 'x'\n\n" + GET,
    "decorated": "def decorated(cls):\n    cls.seen = True\n    return cls\n\n\n@decorated\nclass Client:\n" + GET,
    "wrapped in another class": "def subclassed(cls):\n    return type(cls.__name__, (cls,), {})\n\n\n@subclassed\nclass Client:\n" + GET,
    "total ordering": "@functools.total_ordering\nclass Client:\n    def __lt__(self, other):\n        return False\n\n    def __eq__(self, other):\n        return True\n\n" + GET,
    "conditional": "if True:\n    class Client:\n    " + GET.replace("\n    ", "\n        ").rstrip(" "),
    "in a try": "try:\n    class Client:\n    " + GET.replace("\n    ", "\n        ").rstrip(" ") + "except ImportError:\n    pass\n",
    "metaclass": "class Meta(type):\n    def __new__(mcs, name, bases, namespace):\n        return super().__new__(mcs, name, bases, dict(namespace))\n\n\nclass Client(metaclass=Meta):\n" + GET,
    "metaclass that looks at the body": "class Meta(type):\n    def __init__(cls, name, bases, namespace):\n        cls.methods = [n for n, v in namespace.items() if callable(v)]\n        super().__init__(name, bases, namespace)\n\n\nclass Client(metaclass=Meta):\n" + GET,
    "__init_subclass__": "class Base:\n    def __init_subclass__(cls, **kwargs):\n        super().__init_subclass__(**kwargs)\n        cls.names = sorted(vars(cls))\n\n\nclass Client(Base):\n" + GET,
    "a mangled attribute": "class Client:\n    def __init__(self):\n        self.__session = requests.Session()\n\n    def get(self, url):\n        return self.__session.get(url, timeout=20)\n",
    "an alias of a method": "class Client:\n    def __init__(self):\n        self.get = self.get\n\n" + GET,
    "an alias in the body": "class Client:\n" + GET + "\n    fetch = get\n",
    "the same method twice": "class Client:\n" + GET + "\n" + GET,
    "__getattr__": "class Client:\n    def __getattr__(self, name):\n        raise AttributeError(name)\n\n" + GET,
    "__getattr__ that makes anything up": "class Client:\n    def __getattr__(self, name):\n        return lambda *args: name\n\n" + GET,
    "__setattr__ that refuses": "class Client:\n    def __setattr__(self, name, value):\n        raise AttributeError(name)\n\n" + GET,
    "__len__ that is 0": "class Client:\n    def __len__(self):\n        return 0\n\n" + GET,
    "__eq__ without __hash__": "class Client:\n    def __eq__(self, other):\n        return True\n\n" + GET,
    "__call__": "class Client:\n    def __call__(self, url):\n        return requests.get(url, timeout=20)\n\n    def get(self, url):\n        return self(url)\n",
    "__new__ that keeps one": "class Client:\n    one = None\n\n    def __new__(cls):\n        cls.one = cls.one or super().__new__(cls)\n        return cls.one\n\n" + GET,
    "a method behind a wrapper": "def logged(f):\n    @functools.wraps(f)\n    def call(*args):\n        return f(*args)\n    return call\n\n\nclass Client:\n    @logged\n" + GET,
    "a nested function": "class Client:\n    def get(self, url):\n        def fetch():\n            return requests.get(url, timeout=20)\n\n        return fetch()\n",
    "methods called like types": "class Client:\n    def dict(self):\n        return {}\n\n    def str(self):\n        return ''\n\n    int = float = object = list = None\n\n" + GET,
    "a lambda": "class Client:\n    def get(self, url):\n        return (lambda: requests.get(url, timeout=20))()\n",
    "an exception": "class Client(Exception):\n" + GET,
    "a dict": "class Client(dict):\n" + GET,
    "a thread": "class Client(threading.Thread):\n    def run(self):\n        pass\n\n" + GET,
    "a session": "class Client(requests.Session):\n    def fetch(self, url):\n        return self.get(url, timeout=20)\n",
    "a session with its own request": "class Client(requests.Session):\n    def request(self, method, url, **kwargs):\n        return super().request(method, url, timeout=20, **kwargs)\n\n    def fetch(self, url):\n        return self.get(url)\n",
    "a base with slots": "class Base:\n    __slots__ = ('__weakref__', 'y')\n\n\nclass Client(Base):\n    __slots__ = ('x',)\n\n" + GET,
    "several bases": "class A:\n    def close(self):\n        self.closed = True\n\n\nclass B:\n    pass\n\n\nclass Client(A, B):\n" + GET,
    "names from a star": "class Client:\n    locals()['x'] = 1\n\n" + GET,
    "only a docstring before": 'class Client:\n    """A client."""\n\n' + GET,
    "type annotations": "class Client:\n    def get(self: 'Client', url: str) -> 'requests.Response':\n        return requests.get(url, timeout=20)\n",
}  # fmt: skip
ALL_IMPORTS = "import abc\nimport dataclasses\nimport functools\nimport threading\nimport typing\n\nimport attr\nimport attrs\nimport pydantic\nimport requests\n\n\n"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_class_of_this_shape_queues_and_retries(shape, server):
    module = load(ALL_IMPORTS + shape)
    instance = module.Client()
    call = instance.fetch if "def fetch(self" in shape else instance.get
    check_runs(call, instance, server)


DELEGATES = """import requests


class Inner:
    def close(self):
        return "closed"

    def submit(self, job):
        return "submitted", job

    def map(self, function, jobs):
        return [function(job) for job in jobs]


class Client(BASES):
    def __init__(self):
        self.inner = Inner()

    def __getattr__(self, name):
        return getattr(self.inner, name)

"""


@pytest.mark.parametrize("bases", ["", "Other"])
def test_what_a_client_inside_has_is_still_reached_by_getattr(server, bases):
    source = DELEGATES.replace("(BASES)", f"({bases})" if bases else "").replace(
        "class Inner", "class Other:\n    pass\n\n\nclass Inner"
    )
    client = load(source + GET).Client()
    check_runs(client.get, client, server)
    assert client.close() == "closed"
    assert client.submit(1) == ("submitted", 1)
    assert client.map(str, [1, 2]) == ["1", "2"]
    assert client.retrofit_queue_stats()["requests"] > 3
    client.retrofit_close()


def test_what_a_getattr_in_another_file_hands_on_is_left_to_it(tmp_path):
    files = {
        "__init__.py": "",
        "base.py": DELEGATES.replace("(BASES)", "").replace("Client", "Base"),
        "client.py": "import requests\n\nfrom .base import Base\n\n\nclass Client(Base):\n" + GET,
    }
    (tmp_path / "sea").mkdir()
    for name, text in files.items():
        (tmp_path / "sea" / name).write_text(text)
    [plan] = [plan for plan in plans(tmp_path / "sea") if plan.path.name == "client.py"]
    assert b"retrofit_close = RequestEngine.closing()" in plan.after
    assert b"retrofit_submit, retrofit_map," in plan.after


def test_a_getattribute_in_another_file_refuses_the_class_as_one_of_its_own_does(tmp_path):
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "__init__.py").touch()
    spied = "class Spied:\n    def __getattribute__(self, name):\n        return object.__getattribute__(self, name)\n"
    (tmp_path / "sea" / "spied.py").write_text(spied)
    client = f"import requests\n\nfrom .spied import Spied\n\n\nclass Client(Spied):\n{GET}"
    (tmp_path / "sea" / "client.py").write_text(client)
    [plan] = [plan for plan in plans(tmp_path / "sea") if plan.path.name == "client.py"]
    assert not plan.changed
    assert "__getattribute__" in plan.sites[0].reason


def test_a_mixin_hides_no_with_of_the_class_that_stands_beside_it(server):
    managed = """class Managed:
    def __enter__(self):
        return "managed"

    def __exit__(self, *exc):
        return True


class Both(Client, Managed):
    pass
"""
    source = f"{IMPORTS}\n\nclass Client:\n{GET}\n\n{managed}"
    module = load(source)
    with module.Both() as got:
        raise ValueError("which `Managed` handles")
    assert got == "managed"
    client = module.Both()
    check_runs(client.get, client, server)
    assert "__enter__" not in vars(module.Client)


def test_a_metaclass_in_another_file_is_imported_and_makes_its_requests(server):
    """What it makes are classes, which the settings in it do not reach: its requests are made as they come."""
    meta = f"{IMPORTS}from somewhere import Base\n\n\nclass Meta(Base):\n{GET}"
    with mock.patch.dict(sys.modules, {"somewhere": mock.Mock(Base=type)}):
        client = load(meta).Meta("Client", (), {})
    assert client.get(server.url).status_code == 200


def test_names_that_getattr_may_know_are_told_in_one_note():
    notes = check_transformed(DELEGATES.replace("(BASES)", "") + GET).classes[0].notes
    assert len(notes) == 1
    assert "`close`, `current_requests`, `map`" in notes[0]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="weakref_slot came with Python 3.11")
def test_a_dataclass_with_slots_and_a_place_for_weak_references(server):
    shape = "@dataclasses.dataclass(slots=True, weakref_slot=True)\nclass Client:\n    x: int = 1\n\n"
    instance = load(ALL_IMPORTS + shape + GET).Client()
    check_runs(instance.get, instance, server)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with Python 3.12")
def test_type_parameters(server):
    instance = load(ALL_IMPORTS + "class Client[T]:\n" + GET).Client[int]()
    check_runs(instance.get, instance, server)


def test_a_nested_class(server):
    nested = "class Outer:\n    class Client:\n    " + GET.replace("\n    ", "\n        ").rstrip(" ")
    instance = load(ALL_IMPORTS + nested).Outer.Client()
    check_runs(instance.get, instance, server)


def test_a_class_that_is_made_in_a_function(server):
    made = (
        "def make(x):\n    class Client:\n    "
        + GET.replace("\n    ", "\n        ").rstrip(" ")
        + "\n    return Client\n"
    )
    instance = load(ALL_IMPORTS + made).make(1)()
    check_runs(instance.get, instance, server)


def test_a_class_method_and_a_metaclass_hold_the_queue_of_the_class(server):
    source = IMPORTS + "\n\nclass Client:\n    @classmethod\n" + GET.replace("self", "cls")
    cls = load(source).Client
    check_runs(cls.get, cls, server)


def test_a_property(server):
    source = (
        IMPORTS
        + "\n\nclass Client:\n    url = ''\n\n    @property\n    def page(self):\n        return requests.get(self.url, timeout=20)\n"
    )
    instance = load(source).Client()

    def call(url):
        instance.url = url
        return instance.page

    check_runs(call, instance, server)


def test_a_session_with_a_policy_of_its_own_keeps_it(server):
    source = """\
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry


class Own(Retry):
    def __init__(self, wait=1.0, **kwargs):
        super().__init__(**{"total": 3, "status_forcelist": [503], "backoff_factor": 0, **kwargs})


class Client(requests.Session):
    def __init__(self):
        super().__init__()
        self.mount("http://", HTTPAdapter(max_retries=Own()))

    def request(self, method, url, **kwargs):
        return super().request(method, url, timeout=20, **kwargs)

    def fetch(self, url):
        return self.get(url)
"""
    instance = load(source).Client()
    server.app = lambda request: Reply(503)
    with pytest.raises(requests.exceptions.RetryError):
        instance.fetch(server.url)
    assert len(server.requests) == 1 + 3


def test_a_subclass_in_the_same_file_uses_the_blocks_of_its_base(server):
    source = (
        IMPORTS + "\n\nclass Base:\n" + GET + "\n\nclass Client(Base):\n"
        "    def put(self, url):\n        return requests.put(url, timeout=20)\n"
    )
    result = check_transformed(source, "self._queued(requests.put)(url, timeout=20)")
    assert result.after.count(b">>> retrofit:queue") == 1
    instance = load(source).Client()
    check_runs(instance.put, instance, server)


def test_a_subclass_that_stands_before_its_base_in_a_branch():
    source = IMPORTS + "\n\nclass Sub(Base if True else object):\n" + GET + "\n\nclass Base:\n" + GET
    assert check_transformed(source).after.count(b">>> retrofit:queue") == 2


def test_several_classes_in_a_file_have_a_queue_each(server):
    source = IMPORTS + "\n\nclass One:\n" + GET + "\n\nclass Two:\n" + GET
    assert check_transformed(source).after.count(b">>> retrofit:queue") == 2


def test_threads_that_are_started_in_init_find_the_queue(server):
    source = (
        "import threading\n\nimport requests\n\n\nclass Client:\n    def __init__(self, url):\n        self.answers = []\n"
        "        self.threads = [threading.Thread(target=self.work, args=(url,), daemon=True) for _ in range(4)]\n"
        "        for thread in self.threads:\n            thread.start()\n\n"
        "    def work(self, url):\n        self.answers.append(self.get(url))\n\n" + GET
    )
    instance = load(source).Client(server.url)
    for thread in instance.threads:
        thread.join(20)
    assert len(instance.answers) == 4
    assert server.most_in_flight == 1


def test_a_class_that_reads_its_own_dict_finds_what_it_found_before(server):
    source = (
        IMPORTS + "\n\nclass Client:\n    def __init__(self):\n        self.x = 1\n\n"
        "    def fields(self):\n        return dict(vars(self)), dict(self.__dict__)\n\n" + GET
    )
    result = check_transformed(source)
    instance = load(source).Client()
    assert instance.get(server.url).ok
    assert instance.fields() == ({"x": 1}, {"x": 1})
    assert not result.classes[0].notes


def test_a_class_that_goes_through_its_own_names_is_told_of():
    source = (
        IMPORTS + "\n\nclass Client:\n    def names(self):\n        return [n for n in dir(self)]\n\n" + GET
    )
    (note,) = check_transformed(source).classes[0].notes
    assert "line 6" in note
    assert "dir(self)" in note


REFUSED = {
    "__slots__": ("class Client:\n    __slots__ = ('x',)\n\n", "__weakref__"),
    "slots=True": ("@dataclass(slots=True)\nclass Client:\n    x: int\n\n", "weakref_slot=True"),
    "slots=True, module": ("@dataclasses.dataclass(slots=True)\nclass Client:\n    x: int\n\n", "weakref_slot=True"),
    "beartype": ("import beartype\n\n\n@beartype.beartype\nclass Client:\n", "beartype takes no property"),
    "attrs without weak references": ("@attrs.define(weakref_slot=False)\nclass Client:\n    x: int\n\n", "weakref_slot"),
    "NamedTuple": ("class Client(NamedTuple):\n    x: int\n\n", "NamedTuple"),
    "namedtuple": ("class Client(collections.namedtuple('Client', 'x')):\n", "namedtuple"),
    "tuple": ("class Client(tuple):\n", "tuple"),
    "int": ("class Client(int):\n", "int"),
    "Enum": ("class Client(Enum):\n    A = 1\n\n", "Enum"),
    "StrEnum": ("class Client(enum.StrEnum):\n    A = 'a'\n\n", "Enum"),
    "str, Enum": ("class Client(str, Enum):\n    A = 'a'\n\n", "Enum"),
    "TypedDict": ("class Client(TypedDict):\n    x: int\n\n", "TypedDict"),
    "Protocol": ("class Client(Protocol):\n", "Protocol"),
    "generic Protocol": ("class Client(typing.Protocol[T]):\n", "Protocol"),
    "a metaclass": ("class Client(type):\n", "metaclass"),
    "a metaclass of abc": ("class Client(abc.ABCMeta):\n", "metaclass"),
    "Struct": ("class Client(msgspec.Struct):\n    x: int\n\n", "weakref=True"),
    "__getattribute__": ("class Client:\n    def __getattribute__(self, name):\n        return object.__getattribute__(self, name)\n\n", "__getattribute__"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_class_that_cannot_have_a_queue_is_refused_with_the_reason(head, reason):
    result = check_noop(IMPORTS + "\n\n" + head + GET)
    (site,) = result.sites
    assert "refused" in site.reason
    assert reason in site.reason
    assert result.classes[0].blocks[0].reason


def test_a_one_line_class_is_refused():
    source = IMPORTS + "\n\nclass Client: get = staticmethod(lambda url: requests.get(url))\n"
    assert check_noop(source).sites
    tight = IMPORTS + "\n\nif True:\n    class Client: \\\n    x = 1\n"
    check_noop(tight)


# Collisions.


@pytest.mark.parametrize(
    "name",
    ["max_retries", "request_queue", "submit", "_queued", "current_requests", "queue_size", "queue_enabled"],
)
def test_a_name_that_the_class_uses_stays_its_own(name, server):
    source = client(
        f"def __init__(self):\n    self.{name} = 'mine'",
        "def get(self, url):\n    return requests.get(url, timeout=20)",
    )
    result = check_transformed(source, f"retrofit_{name.lstrip('_')}")
    assert any(name in note for note in result.classes[0].notes)
    code = planned(source, in_package=False, runtime="shared").after.decode()
    instance = module_of(code).Client()
    assert getattr(instance, name) == "mine"
    server.script(Reply(503, headers={"Retry-After": "0"}))
    other = f"{'_' if name.startswith('_') else ''}retrofit_{name.lstrip('_')}"
    assert hasattr(type(instance), other)
    instance.initial_retry_delay = 0
    assert instance.get(server.url).ok
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "use",
    [
        "return self.max_retries",
        "return getattr(self, 'max_retries', 3)",
        "return setattr(self, 'max_retries', 3)",
        "return hasattr(self, 'max_retries')",
        "return Client.max_retries",
        "def inner():\n    return self.max_retries\nreturn inner",
        "del self.max_retries",
        "self.max_retries += 1",
        "self.max_retries: int = 1",
    ],
)
def test_a_name_is_taken_however_it_is_used(use):
    source = client(
        "def other(self):\n    " + use.replace("\n", "\n    "),
        "def get(self, url):\n    return requests.get(url)",
    )
    check_transformed(source, "retrofit_max_retries")


@pytest.mark.parametrize(
    "body",
    ["max_retries = 3", "max_retries: int = 3", "def max_retries(self):\n    return 3", "class max_retries:\n    pass", "max_retries = submit = None", "from m import max_retries", "import max_retries", "for max_retries in range(3):\n    pass", "(max_retries, y) = 1, 2", "with open(__file__) as max_retries:\n    pass"],
)  # fmt: skip
def test_a_name_is_taken_however_the_body_binds_it(body):
    check_transformed(
        client(body, "def get(self, url):\n    return requests.get(url)"), "retrofit_max_retries"
    )


@pytest.mark.parametrize("other", ["return other.max_retries", "return max_retries", "x = {'max_retries': 1}\nreturn x", "return f(max_retries=1)"])  # fmt: skip
def test_a_name_that_is_used_of_something_else_is_free(other):
    source = client(
        "def other(self, other, max_retries):\n    " + other.replace("\n", "\n    "),
        "def get(self, url):\n    return requests.get(url)",
    )
    result = check_transformed(source)
    assert b"retrofit_max_retries" not in result.after


def test_a_name_that_a_subclass_in_the_file_uses_is_taken():
    source = (
        client("def get(self, url):\n    return requests.get(url)")
        + "\n\nclass Sub(Client):\n    max_retries = 'many'\n"
    )
    check_transformed(source, "retrofit_max_retries")


def test_a_name_that_the_library_class_above_has_is_taken():
    source = client("def fetch(self, url):\n    return self.get(url)", head="class Client(requests.Session):")
    result = check_transformed(source)
    assert b"retrofit_" not in result.after


def test_a_class_with_its_own_close_keeps_it(server):
    source = client(
        "def get(self, url):\n    return requests.get(url, timeout=20)",
        "def close(self):\n    self.closed = True",
    )
    check_transformed(source, "__enter__, __exit__, close = RequestEngine.context(close)")
    with load(source).Client() as instance:
        assert instance.get(server.url).ok
    assert instance.closed
    assert instance.get(server.url).ok, "it could be used after its own close"


CLOSING = "async def get(self, url):\n    async with httpx.AsyncClient() as client:\n        return await client.get(url)"


@pytest.mark.parametrize(
    ("methods", "head", "wanted", "unwanted"),
    [
        (["def close(self, wait):\n    pass"], "class Client:", ["    close = RequestEngine.closing(close)"], "__enter__"),
        (["def close(self):\n    pass"], "class Client(Base):", ["    close = RequestEngine.closing(close)"], "__enter__"),
        ([], "class Client(Base):", ["    close = RequestEngine.closing()"], "__enter__"),
        ([], "class Client:", ["    __enter__, __exit__, close = RequestEngine.context()"], "closing("),
        (
            ["def __enter__(self):\n    return self", "def __exit__(self, *exc):\n    pass"],
            "class Client:",
            ["    __exit__ = RequestEngine.closing(__exit__)", "    close = RequestEngine.closing()"],
            "__enter__,",
        ),
    ],
)  # fmt: skip
def test_Q10_a_class_keeps_how_it_is_closed(methods, head, wanted, unwanted):
    source = client("def get(self, url):\n    return requests.get(url)", *methods, head=head)
    imports = "import requests\n\nfrom bases import Base" if "Base" in head else "import requests"
    assert (
        unwanted not in check_transformed(source.replace("import requests", imports), *wanted).after.decode()
    )


@pytest.mark.parametrize(
    ("methods", "head", "wanted"),
    [
        (["async def aclose(self):\n    pass"], "class Client:", "    aclose = RequestEngine.closing(aclose)"),
        (["async def close(self):\n    pass"], "class Client:", "    close = RequestEngine.closing(close)"),
        (["async def __aexit__(self, *exc):\n    pass"], "class Client:", "__aexit__ = RequestEngine.closing(__aexit__)"),
        ([], "class Client:", "    close = RequestEngine.closing()"),
    ],
)  # fmt: skip
def test_Q10_an_async_class_gets_no_with_that_leaves_its_client_open(methods, head, wanted):
    result = check_transformed(client(CLOSING, *methods, imports="import httpx", head=head), wanted)
    assert b"__enter__" not in result.after


def test_Q10_a_class_that_is_closed_by_await_gets_no_with_even_if_it_has_other_methods():
    source = client(
        CLOSING, "async def aclose(self):\n    pass", "def name(self):\n    return 1", imports="import httpx"
    )
    assert b"__enter__" not in check_transformed(source, "aclose = RequestEngine.closing(aclose)").after


def test_Q10_what_a_class_inherits_to_close_it_keeps_arguments_and_result(server):
    module = load(
        "import requests\n\n\nclass Pool:\n    def close(self, wait=True, *, code=1):\n        return wait, code, type(self).__name__\n\n\n"
        + "class Client(Pool):\n    def get(self, url):\n        return requests.get(url, timeout=20)\n"
    )
    instance = module.Client()
    assert instance.get(server.url).ok
    assert instance.close() == (True, 1, "Client")
    assert instance.close(False, code=2) == (False, 2, "Client")
    assert instance.get(server.url).ok, "it could be used after that"


def test_Q10_of_two_bases_that_can_be_closed_both_are():
    module = load(
        "import requests\n\n\nclass Root:\n    def close(self):\n        self.closed = [*getattr(self, 'closed', ()), 'root']\n\n\n"
        + "class Other(Root):\n    def close(self):\n        self.closed = ['other']\n        super().close()\n\n\n"
        + "class Client(Root):\n    def get(self, url):\n        return requests.get(url)\n\n\nclass Both(Client, Other):\n    pass\n"
    )
    both = module.Both()
    both.close()
    assert both.closed == ["other", "root"]


def test_a_file_with_a_class_called_request_engine():
    source = client("def get(self, url):\n    return requests.get(url)", head="class RequestEngine:")
    check_transformed(source, "import RequestEngine as RetrofitRequestEngine", inline=True)


# The key.

KEY = (
    "import requests\n\n\nclass WeatherClient:\n    def __init__(self, api_key=None):\n        self.api_key = {}\n\n"
    + GET
)


def test_key_block():
    check_transformed(KEY.format("api_key"), 'api_key = RequestEngine.api_key("WEATHER_API_KEY")')
    sea = KEY.format("api_key").replace("WeatherClient", "AsyncSeaWeatherClientV2")
    check_transformed(sea, 'metadata_names=("sea_weather_api_key",)', key_variables=("MY_TOKEN",))
    check_transformed(KEY.format("api_key or ''"), "empty_is_missing=True")
    check_transformed(KEY.format("api_key"), '"MY_TOKEN"', key_variables=("MY_TOKEN",))


@pytest.mark.parametrize(
    ("name", "variables", "options"),
    [
        ("OpenAIClient", ["OPENAI_API_KEY"], {}),
        ("AnthropicBackend", ["ANTHROPIC_API_KEY", "CLAUDE_API_KEY"], {}),
        ("claude", ["ANTHROPIC_API_KEY", "CLAUDE_API_KEY"], {}),
        ("AsyncGroq", ["GROQ_API_KEY"], {}),
        ("GoogleGenaiService", ["GOOGLE_API_KEY", "GEMINI_API_KEY"], {}),
        ("HuggingFaceApi", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"], {}),
        ("ollama_kit", ["OLLAMA_API_KEY"], {}),
        ("OpenWeatherMap", ["OPEN_WEATHER_MAP_API_KEY"], {}),
        ("WeatherClient", ["MY_TOKEN", "MY_OLD_TOKEN"], {"key_variables": ("MY_TOKEN", "MY_OLD_TOKEN")}),
    ],
)
def test_K2_a_class_reads_the_variables_of_its_api_or_of_its_name_or_of_the_flag(
    name, variables, options, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for variable in variables:
        monkeypatch.delenv(variable, raising=False)
    owner = getattr(load(KEY.format("api_key").replace("WeatherClient", name), **options), name)
    assert owner().api_key is None
    for variable in reversed(variables):
        monkeypatch.setenv(variable, f"from-{variable}")
        assert owner().api_key == f"from-{variable}"


def test_an_annotated_parameter_is_the_key_as_it_is():
    source = KEY.format("api_key").replace("api_key=None", "api_key: 'str | None' = None")
    assert b"empty_is_missing" not in check_transformed(source, '"WEATHER_API_KEY"').after


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("api_key or os.environ['K']", "environment already"),
        ("api_key or os.getenv('K')", "environment already"),
    ],
)
def test_no_key_block_where_the_class_reads_the_environment_itself(value, reason):
    result = check_transformed(KEY.format(value))
    assert b"retrofit:env_key" not in result.after
    assert any(reason in block.reason for block in result.classes[0].blocks)


def test_no_key_block_where_there_is_no_key():
    result = check_sites(client("def get(self, url):\n    return requests.get(url)"), "wrapped requests.get")
    assert any("keeps no API key" in block.reason for block in result.classes[0].blocks)


# Tokens.

TOKEN = """\
import requests


class GitHubClient:
    def __init__(self, token=None):
        self.token = token

    def get(self, url):
        return requests.get(url, headers={"Authorization": f"Bearer {self.token}"})
"""


@pytest.mark.parametrize(
    ("attribute", "variable"),
    [
        ("token", "GITHUB_TOKEN"),
        ("_token", "GITHUB_TOKEN"),
        ("access_token", "GITHUB_ACCESS_TOKEN"),
        ("_access_token", "GITHUB_ACCESS_TOKEN"),
        ("auth_token", "GITHUB_AUTH_TOKEN"),
        ("_auth_token", "GITHUB_AUTH_TOKEN"),
    ],
)
def test_a_token_that_the_constructor_is_given_comes_from_the_environment(
    attribute, variable, monkeypatch, server
):
    source = TOKEN.replace("self.token", f"self.{attribute}")
    module = load(source)
    monkeypatch.setenv(variable, "from-the-environment")
    module.GitHubClient().get(server.url)
    module.GitHubClient(token="given").get(server.url)
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == ["Bearer from-the-environment", "Bearer given"]
    (told,) = planned(source).classes[0].notes
    assert (
        told
        == f"`self.{attribute}` is taken for the API key: where none is given, it is read from {variable}"
    )


def test_the_token_of_a_class_that_is_called_after_a_vendor_has_the_vendors_variable():
    check_transformed(TOKEN.replace("GitHubClient", "HuggingFaceClient"), '"HF_TOKEN",')
    check_transformed(TOKEN, '"MY_TOKEN"', key_variables=("MY_TOKEN",))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.token = token", "self.token = token or self.login()"),
        ("self.token = token", "self.token = None"),
        (
            "    def get",
            "    def login(self, url):\n        self.token = requests.post(url).json()\n\n    def get",
        ),
        ("    def get", "    def is_in(self):\n        return self.token is not None\n\n    def get"),
        ("    def get", "    def logout(self):\n        del self.token\n\n    def get"),
        ("    def get", "    @property\n    def token(self):\n        return 1\n\n    def get"),
        ("    def __init__(self, token=None)", "    def start(self, token=None)"),
        ("class GitHubClient:", "class GitHubClient(Base):"),
        ("self.token = token", "self.page_token = token"),
    ],
)
def test_a_token_that_is_no_key_is_left_alone(old, new):
    source = TOKEN.replace(old, new)
    assert source != TOKEN
    assert b"retrofit:env_key" not in planned(source).after


def test_the_key_of_a_class_that_has_a_token_as_well_is_the_key(server):
    source = TOKEN.replace(
        "        self.token = token\n", "        self.token = token\n        self.api_key = token\n"
    )
    result = check_transformed(source, '"GITHUB_API_KEY"')
    assert b"token = RequestEngine" not in result.after
