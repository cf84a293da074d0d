"""No constructor breaks (C7): each class of a corpus of base-class shapes is made and used before and after, and gives the same.

The bases come from a library that is not known here, from another file, or from a library of the table of known bases.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .disk.folders import compile_runtime, write

# Each: the base's code, then how its subclass is made and what is asked of it.
SHAPES = {
    "plain": ("class Base:\n    def __init__(self, a=1):\n        self.a = a", "Use(2)", "made.a"),
    "no init": ("class Base:\n    a = 1", "Use()", "made.a"),
    "retries that may be None": ("class Base:\n    def __init__(self, max_retries=None):\n        self.max_retries = max_retries", "Use()", "made.max_retries"),
    "retries that are an object": ("class Policy:\n    total = 3\nclass Base:\n    def __init__(self):\n        self.max_retries = Policy()", "Use()", "made.max_retries.total"),
    "retries in words": ("class Base:\n    def __init__(self):\n        self.max_retries = 'many'", "Use()", "made.max_retries"),
    "retries that are a number": ("class Base:\n    def __init__(self, max_retries=9):\n        self.max_retries = max_retries", "Use()", "made.max_retries"),
    "a default in the class": ("class Base:\n    max_retries = 2", "Use()", "made.max_retries, Use.max_retries"),
    "a default of None in the class": ("class Base:\n    max_retries = None", "Use()", "made.max_retries, Use.max_retries"),
    "a senseless default": ("class Base:\n    queue_size = 'big'", "Use()", "made.queue_size"),
    "a default that is read in init": ("class Base:\n    queue_size = 7\n    def __init__(self):\n        self.seen = self.queue_size", "Use()", "made.seen"),
    "a queue": ("class Base:\n    def __init__(self):\n        self.request_queue = []\n    def put(self, x):\n        self.request_queue.append(x)\n        return self.request_queue", "Use()", "made.put(1)"),
    "a counter": ("class Base:\n    def __init__(self):\n        self.current_requests = 0\n    def up(self):\n        self.current_requests += 1\n        return self.current_requests", "Use()", "made.up()"),
    "submit": ("class Base:\n    def submit(self, x):\n        return x * 2\n    def run(self):\n        return self.submit(4)", "Use()", "made.run(), made.submit(3)"),
    "priority": ("class Base:\n    priority = 3\n    def order(self):\n        return self.priority + 1", "Use()", "made.order()"),
    "stats": ("class Base:\n    def queue_stats(self):\n        return {'own': 1}", "Use()", "made.queue_stats()"),
    "close with arguments": ("class Base:\n    def close(self, wait=True):\n        return 'closed', wait", "Use()", "made.close(), made.close(False), made.close(wait=3)"),
    "close that gives itself": ("class Base:\n    def close(self):\n        return self", "Use()", "made.close() is made"),
    "with": ("class Base:\n    def __enter__(self):\n        return 'entered'\n    def __exit__(self, *exc):\n        self.left = True\n        return True", "Use()", "[made.__enter__(), made.__exit__(None, None, None), made.left]"),
    "slots above": ("class Base:\n    __slots__ = ('a', '__weakref__')\n    def __init__(self):\n        self.a = 1", "Use()", "made.a"),
    "a property of that name": ("class Base:\n    @property\n    def request_queue(self):\n        return 'own'", "Use()", "made.request_queue"),
    "abstract": ("import abc\nclass Base(abc.ABC):\n    @abc.abstractmethod\n    def go(self, url): ...\n    def name(self):\n        return type(self).__name__", "Use()", "made.name()"),
    "generic": ("import typing\nT = typing.TypeVar('T')\nclass Base(typing.Generic[T]):\n    def __init__(self, queue_size=None):\n        self.queue_size = queue_size", "Use()", "made.queue_size"),
    "a dataclass": ("import dataclasses, typing\n@dataclasses.dataclass\nclass Base:\n    url: str = 'x'\n    max_retries: typing.Optional[int] = None", "Use()", "made.max_retries, Use(max_retries=4).max_retries, made == Use()"),
    "a dataclass with a number": ("import dataclasses\n@dataclasses.dataclass\nclass Base:\n    max_retries: int = 2\n    queue_size: int = 7", "Use()", "made.max_retries, made.queue_size, Use(3).max_retries"),
    "a model": ("import pydantic, typing\nclass Base(pydantic.BaseModel):\n    max_retries: typing.Optional[int] = 2\n    queue_size: int = 7", "Use()", "made.model_dump(), Use(max_retries=None).max_retries, Use(queue_size=3).queue_size"),
    "a metaclass": ("class Meta(type):\n    def __call__(cls, *a):\n        made = super().__call__(*a)\n        made.stamped = True\n        return made\nclass Base(metaclass=Meta):\n    pass", "Use()", "made.stamped"),
    "init_subclass": ("class Base:\n    names = []\n    def __init_subclass__(cls, **kw):\n        super().__init_subclass__(**kw)\n        Base.names.append(cls.__name__)", "Use()", "'Use' in made.names"),
    "new": ("class Base:\n    def __new__(cls, *a, **k):\n        made = super().__new__(cls)\n        made.max_retries = None\n        return made", "Use()", "made.max_retries"),
    "setattr": ("class Base:\n    def __setattr__(self, name, value):\n        object.__setattr__(self, name, value)\n    def __init__(self):\n        self.max_retries = None", "Use()", "made.max_retries"),
    "an update of its dict": ("class Base:\n    def __init__(self, **more):\n        self.__dict__.update(more)", "Use(max_retries=None, a=2)", "made.max_retries, made.a"),
    "settings by name": ("class Base:\n    def __init__(self, **more):\n        for name, value in more.items():\n            setattr(self, name, value)", "Use(queue_timeout='soon', b=1)", "made.queue_timeout, made.b"),
    "a thread": ("import threading\nclass Base(threading.Thread):\n    def run(self):\n        self.done = 1", "Use()", "made.name is not None, made.start(), made.join(), made.done"),
    "an exception": ("class Base(Exception):\n    pass", "Use('x')", "str(made), made.args"),
    "a dict": ("class Base(dict):\n    pass", "Use(a=1)", "made['a'], len(made)"),
}  # fmt: skip


def values(folder: Path, make: str, ask: str) -> str:
    """Return what an instance says of itself; its modules are imported anew."""
    before = set(sys.modules)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        names: dict[str, object] = {}
        exec(f"from pkg.use import Use\nmade = {make}\nsaid = ({ask})", names)
        return json.dumps(names["said"], default=repr)
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


@pytest.mark.parametrize("seen", [True, False], ids=["another file", "out of sight"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_class_is_made_and_answers_as_before(shape, seen, tmp_path):
    base, make, ask = SHAPES[shape]
    if "pydantic" in base:
        pytest.importorskip("pydantic")
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    home = package / "base.py" if seen else tmp_path / "unknown_library.py"
    home.write_text(base + "\n")
    source = "from .base import Base" if seen else "from unknown_library import Base"
    subclass = "class Use(Base):\n    def go(self, url):\n        return requests.get(url, timeout=5)\n"
    (package / "use.py").write_text(f"import requests\n{source}\n\n\n{textwrap.dedent(subclass)}")
    before = values(tmp_path, make, ask)
    planned = write(package)
    assert not [problem for plan in planned for problem in plan.problems]
    assert any(plan.changed for plan in planned if plan.path.name == "use.py")
    compile_runtime(package)
    assert values(tmp_path, make, ask) == before
    assert not [plan.path for plan in write(package) if plan.changed]


def test_a_value_that_makes_no_sense_is_the_base_s_and_the_default_is_in_force(tmp_path):
    (tmp_path / "unknown_library.py").write_text(
        "class Base:\n    def __init__(self):\n        self.max_retries = None\n        self.queue_size = 3\n"
    )
    source = "import requests\nfrom unknown_library import Base\n\n\nclass Use(Base):\n    def go(self, url):\n        return requests.get(url)\n"
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "use.py").write_text(source)
    write(package)
    code = """
from pkg._request_engine import RequestEngine
from pkg.use import Use
made = Use()
engine = RequestEngine.of(made)
print(made.max_retries, engine.settings["max_retries"], made.queue_size, engine.settings["queue_size"])
made.max_retries = 4
print(made.max_retries, engine.settings["max_retries"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "None 5 3 3\n4 4\n", done.stderr


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("asyncio.Semaphore(20)", "make it 20 or more"),
        ("threading.BoundedSemaphore(8)", "make it 8 or more"),
        ("queue.Queue()", "`max_concurrent_requests` limits its requests, too"),
    ],
)
def test_a_class_with_a_limit_of_its_own_is_said_to_have_one(made, says, tmp_path):
    (tmp_path / "use.py").write_text(
        f"import asyncio, queue, threading\nimport requests\n\n\nclass Use:\n    def __init__(self):\n        self.own = {made}\n\n"
        "    def go(self, url):\n        return requests.get(url)\n"
    )
    (plan,) = [plan for plan in write(tmp_path) if plan.path.name == "use.py"]
    assert any("limits itself with `self.own`" in note and says in note for note in plan.classes[0].notes)
