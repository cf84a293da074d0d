"""A project is planned as a whole (C5, C6, C7): what comes from another file is wrapped, or told for what it is."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from backend_retrofit.codemods.model import BLOCKS, FUNCTIONS, FilePlan

from ..finding.test_existing_retries import GUARDED
from .folders import content, plans, write

HTTP = """
    import httpx
    import requests


    class Base:
        def __init__(self):
            self.http = requests.Session()


    class Client:
        def __init__(self, base):
            self.session = requests.Session()

        def request(self, method, path):
            return self.session.request(method, path)

        def get(self, path):
            return self.request("GET", path)


    def shared() -> httpx.Client:
        return httpx.Client()


    def fetch(client, url):
        return client.get(url)


    def post(url, body):
        return requests.post(url, json=body)
    """


def project(folder: Path, **files: str) -> Path:
    """Write a package `shop` with the clients of above."""
    package = folder / "shop"
    package.mkdir()
    for name, text in {"__init__": "", "http": HTTP, **files}.items():
        (package / f"{name}.py").write_text(textwrap.dedent(text))
    return package


def decisions(planned: list[FilePlan], name: str = "use") -> dict[str, str]:
    """Return callee -> what was decided, and why, of one file."""
    (plan,) = [plan for plan in planned if plan.path.stem == name]
    assert not plan.problems
    return {site.callee: f"{site.decision.value}: {site.reason}" for site in plan.sites}


def use(body: str, bases: str = "", header: str = "from . import http") -> str:
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    return f"{header}\n\n\nclass Use{bases}:\n{lines}\n"


@pytest.mark.parametrize(
    ("body", "callee"),
    [
        ("def __init__(self):\n    self.c = http.shared()\n\ndef go(self, u):\n    return self.c.get(u)", "self.c.get"),
        ("def go(self, u):\n    c = http.shared()\n    return c.request('GET', u)", "c.request"),
        ("def go(self, u):\n    return http.shared().get(u)", "http.shared().get"),
        ("def __init__(self, b: http.Base):\n    self.b = b\n\ndef go(self, u):\n    return self.b.http.get(u)", "self.b.http.get"),
    ],
)  # fmt: skip
def test_a_client_of_another_file_is_wrapped(tmp_path, body, callee):
    assert decisions(plans(project(tmp_path, use=use(body))))[callee] == "wrapped: "


def test_a_session_that_a_base_of_another_file_makes_is_wrapped(tmp_path):
    text = use("def go(self, u):\n    return self.http.get(u)", "(http.Base)")
    assert decisions(plans(project(tmp_path, use=text))) == {"self.http.get": "wrapped: "}


@pytest.mark.parametrize("method", ["request", "get"])
def test_what_goes_through_the_project_s_own_client_says_where_it_is_wrapped(tmp_path, method):
    text = use(
        f"def __init__(self, c: http.Client):\n    self.c = c\n\ndef go(self, u):\n    return self.c.{method}(u)"
    )
    told = decisions(plans(project(tmp_path, use=text)))[f"self.c.{method}"]
    assert told.startswith(f"skipped: goes through Client.{method}")
    assert told.endswith("wrapped at shop/http.py:16")


@pytest.mark.parametrize("functions", [False, True])
def test_C6_what_is_made_with_an_untyped_parameter_is_not_said_to_be_wrapped(tmp_path, functions):
    tune = "import openai\n\n\ndef tune(client):\n    return client.fine_tuning.jobs.create(a=1)\n"
    text = use("def go(self, c):\n    return tune(c)", header="import openai\n\nfrom .tune import tune")
    blocks = (*BLOCKS, *([FUNCTIONS] if functions else ()))
    told = decisions(plans(project(tmp_path, use=text, tune=tune), blocks=blocks))["tune"]
    assert told.endswith("which makes the request at shop/tune.py:5; what is done about it is said there")


def test_C6_what_is_taken_for_a_request_by_its_shape_is_not_said_to_be_wrapped(tmp_path):
    tune = """
        import http.client

        class Tune:
            def once(self, conn, method, path, params):
                conn.request(method, path, params, {})

            def tune(self, method, path, params):
                return self.once(self.connect(), method, path, params)
        """
    text = use(
        "def go(self):\n    return self.tune('POST', '/', params={})", "(Tune)", "from .tune import Tune"
    )
    planned = plans(project(tmp_path, use=text, tune=tune))
    told = decisions(planned, "tune")["conn.request"]
    assert told.startswith("skipped: the type of `conn` is not known here")
    assert decisions(planned)["self.tune"].endswith("tune.py:6; what is done about it is said there")


def test_a_client_of_a_file_that_was_not_given_is_not_said_to_be_wrapped(tmp_path):
    text = use(
        "def __init__(self, c: http.Client):\n    self.c = c\n\ndef go(self, u):\n    return self.c.request('GET', u)"
    )
    told = decisions(plans(project(tmp_path, use=text) / "use.py"))["self.c.request"]
    assert "makes the request at shop/http.py:16; that file is not among those given" in told


@pytest.mark.parametrize(("call", "where"), [("http.fetch(http.shared(), u)", 27), ("http.post(u, {})", 31)])
def test_a_module_function_of_another_file_that_makes_a_request_is_named(tmp_path, call, where):
    told = decisions(plans(project(tmp_path, use=use(f"def go(self, u):\n    return {call}"))))
    assert (
        f"a module function, which makes the request at shop/http.py:{where}" in told[call.partition("(")[0]]
    )


def test_a_file_that_imports_no_library_is_planned_because_of_what_it_imports(tmp_path):
    text = use("def go(self, u):\n    return self.link.get(u)", "(base.Base)", "from . import base")
    base = "import requests\nclass Base:\n    def __init__(self):\n        self.link = requests.Session()\n"
    (tmp_path / "other").mkdir()
    assert not decisions(plans(project(tmp_path / "other", base="class Base:\n    pass\n", use=text)))
    assert decisions(plans(project(tmp_path, base=base, use=text))) == {"self.link.get": "wrapped: "}


def test_a_second_run_changes_nothing_and_a_removal_gives_all_back(tmp_path):
    text = use("def go(self, u):\n    return self.http.get(u)", "(http.Base)")
    package = project(tmp_path, use=text)
    before = content(package)
    write(package)
    assert content(package) != before
    assert not [plan.path for plan in write(package) if plan.changed]
    write(package, remove=True)
    assert content(package) == before


def test_the_result_works(tmp_path):
    package = project(tmp_path, use=use("def go(self, u):\n    return self.http.get(u)", "(http.Base)"))
    write(package)
    code = "import shop.use; made = shop.use.Use(); made.close(); print(made.max_retries)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "5\n"


@pytest.mark.parametrize(
    ("base", "names"),
    [
        ("def __init__(self):\n    self.request_queue = []", {"request_queue"}),
        ("def __init__(self, max_retries=None):\n    self.max_retries = max_retries", {"max_retries"}),
        ("def submit(self):\n    return 1", {"submit"}),
        ("queue_size: int = 7", {"queue_size"}),
        ("def run(self):\n    return self.queue_stats()", {"queue_stats"}),
    ],
)
def test_names_that_a_base_of_another_file_uses_are_the_base_s(tmp_path, base, names):
    text = use(
        "def go(self, u):\n    return requests.get(u)", "(Base)", "import requests\nfrom .base import Base"
    )
    planned = plans(project(tmp_path, base=f"class Base:\n{textwrap.indent(base, '    ')}\n", use=text))
    (plan,) = [plan for plan in planned if plan.path.stem == "use"]
    renamed = {
        name for name in names if f"the class uses `{name}` already" in " ".join(plan.classes[0].notes)
    }
    assert renamed == names


def test_names_that_a_class_below_in_another_file_uses_are_kept_free(tmp_path):
    base = "import requests\nclass Base:\n    def go(self, u):\n        return requests.get(u)\n"
    below = "from .base import Base\nclass Below(Base):\n    def __init__(self):\n        self.max_retries = None\n    def x(self):\n        self.y.get('')\n"
    planned = plans(project(tmp_path, base=base, below=below))
    (plan,) = [plan for plan in planned if plan.path.stem == "base"]
    assert "the class uses `max_retries` already" in " ".join(plan.classes[0].notes)


@pytest.mark.parametrize(
    ("loop", "says"),
    [
        ("for attempt in range(3):\n    try:\n        return self.ask(u)\n    except OSError:\n        pass", "the loop in line"),
        ("return tenacity.retry()(self.ask)(u)", "`tenacity.retry`"),
    ],
)  # fmt: skip
def test_a_template_method_that_a_base_of_another_file_repeats_is_queued_only(tmp_path, loop, says):
    base = f"import tenacity\nclass Base:\n    def go(self, u):\n{textwrap.indent(loop, ' ' * 8)}\n"
    text = use(
        "def ask(self, u):\n    return requests.get(u)", "(Base)", "import requests\nfrom .base import Base"
    )
    told = decisions(plans(project(tmp_path, base=base, use=text)))["requests.get"]
    assert told.startswith(f"queued only: already retried by {says}")
    assert "of shop/base.py, which calls `ask`" in told


def test_a_decorator_of_another_file_that_repeats_is_seen(tmp_path):
    again = "def persistent(f):\n    def inner(*args):\n        for attempt in range(3):\n            try:\n                return f(*args)\n            except OSError:\n                pass\n    return inner\n"
    text = use(
        "@persistent\ndef go(self, u):\n    return requests.get(u)",
        header="import requests\nfrom .again import persistent",
    )
    told = decisions(plans(project(tmp_path, again=again, use=text)))["requests.get"]
    assert told.startswith(
        "queued only: already retried by @persistent, by the loop in line 3 of shop/again.py"
    )


UNTYPED = "def __init__(self, session):\n    self.session = session\n\ndef go(self, u):\n    return self.session.{}(u, headers={{}})"


def test_C6_what_may_be_the_project_s_own_client_is_not_taken_for_a_library_s(tmp_path):
    text = use(UNTYPED.format("get"), header="import requests")
    told = decisions(plans(project(tmp_path, use=text)))["self.session.get"]
    assert told.startswith(
        "skipped: the type of `self.session` is not known here; if it is a Client, the call goes through"
    )
    assert "Client.get and Client.request, wrapped at shop/http.py:16" in told
    assert "pyproject" not in told
    assert "tool.backend-retrofit" not in told


def test_C6_a_client_of_the_project_may_hand_its_requests_on_as_functions(tmp_path):
    own = """
        import requests

        class Caller:
            def __init__(self):
                self.session = requests.Session()

            def _call(self, method, url):
                return method(url).json()

            def delete(self, url):
                return self._call(method=self.session.delete, url=url)
    """
    text = use(UNTYPED.format("delete"), header="import requests")
    told = decisions(plans(project(tmp_path, own=own, use=text)))["self.session.delete"]
    assert "if it is a Caller, the call goes through Caller.delete, wrapped at shop/own.py:12" in told
    assert "requests.Session" not in told


def test_C6_where_many_classes_of_the_project_have_such_a_method_no_row_is_advised(tmp_path):
    own = "import requests\n\n\n" + "\n\n".join(
        f"class C{n}:\n    def get(self, u):\n        return requests.get(u)\n" for n in range(4)
    )
    text = use(UNTYPED.format("get"), header="import requests")
    told = decisions(plans(project(tmp_path, own=own, use=text)))["self.session.get"]
    assert told.endswith(
        "annotate it with its type; several classes of the project have such a method, whose requests are wrapped there"
    )


def test_what_no_class_of_the_project_has_is_taken_for_the_library_s_as_before(tmp_path):
    text = use(UNTYPED.format("put"), header="import requests")
    assert decisions(plans(project(tmp_path, use=text)))["self.session.put"].startswith(
        "wrapped: `self.session` is taken for"
    )


def test_C6_a_loop_several_calls_away_is_named_with_its_file(tmp_path):
    far = use(
        "def all(self, t, u):\n    for n in range(3):\n        try:\n            return self.one(u)\n        except OSError:\n            pass\n\ndef one(self, u):\n    return middle.get(u)",
        header="from . import middle",
    )
    middle = "import requests\n\n\ndef get(u):\n    return Inner().ask(u)\n\n\nclass Inner:\n    def ask(self, u):\n        return requests.get(u)\n"
    told = decisions(plans(project(tmp_path, far=far, middle=middle)), "middle")["requests.get"]
    assert told.startswith(
        "queued only: already retried by the loop in line 6 of shop/far.py, which calls `one`"
    )


def test_C6_a_library_that_is_not_in_the_table_is_named_but_not_in_its_own_files(tmp_path):
    package = tmp_path / "twilio"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text("class Config:\n    pass\n")
    (package / "http.py").write_text("from stripe import Charge\nfrom twilio.base import Config\n")
    (planned,) = (plan for plan in plans(package) if plan.path.name == "http.py")
    notes = [note for cls in planned.classes for note in cls.notes]
    assert len(notes) == 1
    assert notes[0].startswith("stripe is not in the table of libraries")


LOOP = """
    import requests
    from . import http


    class Retrying{base}:
        def __init__(self, backend, kind: type[http.Client]):
            self.backend = backend
            self.made = kind("base")

        def ask(self, path):
            for attempt in range(3):
                try:
                    return {call}
                except OSError:
                    if attempt == 2:
                        raise
    """


@pytest.mark.parametrize(
    ("call", "base"),
    [
        ("self.made.request('GET', path)", ""),
        ("self.backend.request('GET', path, headers={})", ""),
        ("self.backend.request('GET', path)", ""),
        ("super().request('GET', path)", "(http.Client)"),
        ("self.run(send=self.made.request)", ""),
        ("self.run(lambda: self.made.request('GET', path))", ""),
    ],
    ids=["a class that was given", "by name and keyword", "by name", "super", "handed on", "in a lambda"],
)
def test_C6_a_loop_is_seen_however_it_comes_to_its_client(call, base, tmp_path):
    planned = plans(project(tmp_path, use=LOOP.format(call=call, base=base)))
    told = decisions(planned, "http")["self.session.request"]
    assert told.startswith("queued only: already retried by the loop in line 12 of shop/use.py")


@pytest.mark.parametrize("call", ["self.backend.get(path)", "self.backend.transfer(path)"])
def test_C6_what_many_classes_have_or_no_client_of_the_project_is_not_its_client_s(call, tmp_path):
    planned = plans(project(tmp_path, use=LOOP.format(call=call, base="")))
    assert decisions(planned, "http")["self.session.request"] == "wrapped: "


RUNNERS = f"""{GUARDED}


class Runner:
    @guarded
    def by_decorator(self, send, path):
        return send(path)

    @tenacity.retry
    def by_tenacity(self, send, path):
        return send(path)

    def through_another(self, send, path):
        return self.by_tenacity(send, path)

    def once(self, send, path):
        return send(path)
"""


@pytest.mark.parametrize("given", ["requests.get", "lambda p: requests.get(p)"])
@pytest.mark.parametrize("runs", ["by_decorator", "by_tenacity", "through_another", "once"])
def test_C6_a_helper_of_another_file_that_repeats_what_it_is_given(tmp_path, runs, given):
    text = use(
        f"def go(self, path):\n    return self.{runs}({given}, path)",
        "(Runner)",
        header="import requests\n\nfrom .runners import Runner",
    )
    told = decisions(plans(project(tmp_path, use=text, runners=RUNNERS)))["requests.get"]
    if runs == "once":
        assert told.startswith("wrapped")
    else:
        assert told.startswith("queued only: already retried by ")
        assert f"of shop/runners.py, as `Runner.{runs}` runs it" in told


def test_C6_a_loop_around_any_of_several_clients_retries_those_of_all(tmp_path):
    kinds = "import requests\n\n\n" + "\n\n".join(
        f"class C{n}:\n    def ask(self, u):\n        return requests.get(u)\n" for n in range(5)
    )
    loop = "class Asks:\n    def ask(self, backend, u):\n        for attempt in range(3):\n            try:\n                return backend.ask(u)\n            except OSError:\n                pass\n"
    planned = plans(project(tmp_path, kinds=kinds, loop=f"import requests\n\n\n{loop}"))
    told = [site.reason for plan in planned if plan.path.name == "kinds.py" for site in plan.sites]
    assert len(told) == 5
    assert all("already retried by the loop in line 6 of shop/loop.py" in reason for reason in told)


RETRYING_SESSION = """
    import {library}


    class Base({library}.{client}):
        def __init__(self):
            super().__init__()
            self.parent = super()

        def request(self, method, url, **kwargs):
            for attempt in range(3):
                try:
                    return self.parent.request(method, url, **kwargs)
                except OSError:
                    pass
    """


@pytest.mark.parametrize(("library", "client"), [("requests", "Session"), ("httpx", "Client")])
def test_C6_what_a_base_of_another_file_overrides_is_wrapped_there_alone(library, client, tmp_path):
    use = f"import {library}\nfrom .base import Base\n\n\nclass Users(Base):\n    def all(self):\n        return self.get('/users')\n"
    base = RETRYING_SESSION.format(library=library, client=client)
    planned = plans(project(tmp_path, base=base, use=use))
    assert decisions(planned, "use") == {}
    (told,) = decisions(planned, "base").values()
    assert told.startswith("queued only: already retried by the loop in line 11")
