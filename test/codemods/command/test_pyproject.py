"""`[tool.backend-retrofit]` in a pyproject.toml: where it is found, what it may say, and that the command line wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend_retrofit.codemods.command import pyproject
from backend_retrofit.codemods.command.main import main, options_of
from backend_retrofit.codemods.command.options import parser
from backend_retrofit.codemods.tables.rows import BOTH, NONE

from ..check import check_noop, check_sites, client, method

SOURCE = client("def get(self, url):\n    return requests.get(url)")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a client in it, and in that one the working directory."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "client.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text)


def options(*argv: str):
    return options_of(pyproject.parse_args(parser("tool"), argv))


def test_without_a_file_all_is_as_the_command_line_says(project):
    assert options("src") == options_of(parser("tool").parse_args(["src"]))


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ('blocks = ["queue"]', "blocks", ("queue",)),
        ('blocks = "backoff,queue"', "blocks", ("queue", "backoff")),
        ('existing = "wrap"', "existing", "wrap"),
        ('runtime = "inline"', "runtime", "inline"),
        ("guess = false", "guess", False),
        ('key-env = ["A_KEY", "B_KEY"]', "key_variables", ("A_KEY", "B_KEY")),
        ('key-env = "A_KEY"', "key_variables", ("A_KEY",)),
        ("overwrite-edited = true", "overwrite_edited", True),
        ("remove = true", "remove", True),
    ],
)
def test_an_option_from_the_file(project, line, attribute, value):
    write(project, f"[tool.backend-retrofit]\n{line}\n")
    assert getattr(options("src"), attribute) == value


@pytest.mark.parametrize(
    ("line", "argv", "attribute", "value"),
    [
        ('existing = "wrap"', "--existing=skip", "existing", "skip"),
        ('existing = "wrap"', "--existing=queue-only", "existing", "queue-only"),
        ('key-env = ["A_KEY"]', "--key-env=B_KEY", "key_variables", ("B_KEY",)),
        ("guess = false", "--guess", "guess", True),
        ("overwrite-edited = true", "--no-overwrite-edited", "overwrite_edited", False),
        ("overwrite-edited = true", "--merge", "overwrite_edited", False),
    ],
)
def test_the_command_line_wins(project, line, argv, attribute, value):
    write(project, f"[tool.backend-retrofit]\n{line}\n")
    assert getattr(options("src", argv), attribute) == value


def test_other_options_of_the_file_stay_where_the_command_line_gives_one(project):
    write(project, '[tool.backend-retrofit]\nexisting = "wrap"\nblocks = ["queue"]\n')
    assert options("src", "--existing=skip").blocks == ("queue",)


def test_the_nearest_file_with_the_table_above_the_first_path_counts(project):
    write(project, '[tool.backend-retrofit]\nexisting = "wrap"\n')
    write(project / "src", "[tool.black]\n")
    assert options("src/client.py").existing == "wrap"
    write(project / "src", '[tool.backend-retrofit]\nexisting = "skip"\n')
    assert options("src/client.py").existing == "skip"
    assert options("src").existing == "skip"
    assert options(".", "src").existing == "wrap"


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\nexisting = 1\n", "not toml at all [", "[tool]\nx = 'backend-retrofit'\n"])  # fmt: skip
def test_a_file_of_others_is_not_looked_into(project, text):
    write(project, text)
    assert options("src").existing == "queue-only"


WRONG = {
    "unknown key": ('exising = "wrap"', "no key 'exising'. Did you mean 'existing'?"),
    "underscore": ('key_env = "X"', "Did you mean 'key-env'?"),
    "no suggestion": ("zzz = 1", "no key 'zzz'."),
    "not an option of a file": ('api = "all"', "no key 'api'"),
    "wrong choice": ('existing = "warp"', "existing takes queue-only, wrap, skip, not 'warp'. Did you mean 'wrap'?"),
    "wrong type": ("existing = 3", "existing takes queue-only"),
    "list for one": ("existing = [1]", "existing takes a string"),
    "a string for true": ('guess = "yes"', "guess takes true or false"),
    "unknown block": ('blocks = ["quue"]', "Did you mean 'queue'?"),
    "no variable": ('key-env = ["A KEY"]', "key-env takes the name of an environment variable"),
    "a number for a list": ("key-env = 1", "key-env takes a list of strings"),
    "no jobs": ("jobs = -1", "jobs takes a number"),
    "no TOML": ("existing = ", "is not valid TOML"),
    "transports as a table": ("transports = {}", "[[tool.backend-retrofit.transports]]"),
    "unknown key of a row": ('[[tool.backend-retrofit.transports]]\nfunction = "a.b"', "Did you mean 'functions'?"),
    "an empty row": ("[[tool.backend-retrofit.transports]]", "neither functions nor clients"),
    "no dotted name": ('[[tool.backend-retrofit.transports]]\nfunctions = ["fetch"]', "dotted names"),
    "no name": ('[[tool.backend-retrofit.transports]]\nclients = ["a.b c"]', "dotted names"),
    "no list of names": ("[[tool.backend-retrofit.transports]]\nclients = 3", "takes a list of names"),
    "wrong calls": ('[[tool.backend-retrofit.transports]]\nclients = ["a.B"]\ncalls = "later"', "sync, async or both"),
    "wrong nested": ('[[tool.backend-retrofit.transports]]\nclients = ["a.B"]\nnested = 1', "nested takes true or false"),
    "wrong retries": ('[[tool.backend-retrofit.transports]]\nclients = ["a.B"]\nown-retries = 1', "own-retries takes a sentence"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "message"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_wrong_usage(project, line, message, capsys):
    write(project, f"[tool.backend-retrofit]\n{line}\n")
    assert main(["src", "--check"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "pyproject.toml" in error
    assert (project / "src" / "client.py").read_text() == SOURCE


OWN = """
[[tool.backend-retrofit.transports]]
functions = ["shop.http.fetch", "shop.http.send"]
calls = "sync"

[[tool.backend-retrofit.transports]]
clients = ["shop.http.HttpClient"]
methods = ["get", "post"]
own-retries = "make it with retries=0"

[[tool.backend-retrofit.transports]]
clients = ["shop.sdk.Sdk"]
nested = true
"""


@pytest.fixture
def own(project):
    write(project, OWN)
    return options("src").transports


def test_settings_are_the_defaults_of_the_blocks_that_are_made(project, capsys):
    write(
        project, "[tool.backend-retrofit.settings]\nqueue_size = 1000\nmax_retries = 2\nqueue_timeout = 2.5\n"
    )
    assert main(["src"]) == 0
    text = (project / "src" / "client.py").read_text()
    for line in ("queue_size = ", "max_retries = ", "queue_timeout = "):
        assert line in text
    for line in ("queue_size = RequestEngine.setting(1000)", "max_retries = RequestEngine.setting(2)"):
        assert line in text
    assert "queue_timeout = RequestEngine.setting(2.5)" in text
    assert "max_concurrent_requests = RequestEngine.setting(5)" in text
    assert main(["src", "--check"]) == 0
    assert main(["src", "--remove"]) == 0
    assert (project / "src" / "client.py").read_text() == SOURCE


def test_settings_that_change_are_brought_into_the_blocks_and_edits_are_merged(project):
    write(project, "[tool.backend-retrofit.settings]\nmax_retries = 2\n")
    main(["src"])
    file = project / "src" / "client.py"
    edited = file.read_text().replace(
        "backoff_factor = RequestEngine.setting(2)", "backoff_factor = RequestEngine.setting(3)"
    )
    write(project, "[tool.backend-retrofit.settings]\nmax_retries = 7\n")
    assert main(["src"]) == 0
    assert "max_retries = RequestEngine.setting(7)" in file.read_text()
    assert edited != file.read_text()
    write(project, "[tool.backend-retrofit.settings]\nmax_retries = 2\n")
    file.write_text(edited)
    assert main(["src", "--merge"]) == 0
    assert "backoff_factor = RequestEngine.setting(3)" in file.read_text()


def test_a_setting_of_the_project_has_the_other_name_where_the_class_uses_its_own(project):
    write(project, "[tool.backend-retrofit.settings]\nqueue_size = 7\n")
    code = SOURCE.replace("    def get(", "    queue_size = 'large'\n\n    def get(")
    (project / "src" / "client.py").write_text(code)
    main(["src"])
    text = (project / "src" / "client.py").read_text()
    assert 'retrofit_queue_size = RequestEngine.setting(7, "queue_size")' in text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("queue_sise = 1000", "has no setting 'queue_sise'. Did you mean 'queue_size'?"),
        ("max-retries = 2", "has no setting 'max-retries'. Did you mean 'max_retries'?"),
        ("zzz = 2", "has no setting 'zzz'. There are: queue_enabled,"),
        ("max_retries = -1", "max_retries must be a whole number, 0 or more, not -1"),
        ("max_retries = 2.5", "max_retries must be a whole number, 0 or more, not 2.5"),
        ("max_retries = true", "max_retries must be a whole number"),
        ('max_retries = "2"', "max_retries must be a whole number"),
        ("backoff_factor = nan", "backoff_factor must be a number above 0, not nan"),
        ("max_retry_delay = inf", "max_retry_delay must be seconds"),
        ("queue_enabled = 1", "queue_enabled must be True or False"),
        ("queue_timeout = 1979-05-27", "queue_timeout must be seconds"),
        ('retry_if = "print"', "retry_if must be a function, or None"),
    ],
)
def test_a_setting_that_there_is_not_or_a_senseless_value_is_wrong_usage(project, capsys, lines, said):
    write(project, f"[tool.backend-retrofit.settings]\n{lines}\n")
    assert main(["src"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "[tool.backend-retrofit.settings] of pyproject.toml" in error
    assert (project / "src" / "client.py").read_text() == SOURCE


def test_none_is_written_as_a_word(project):
    write(project, '[tool.backend-retrofit.settings]\ncircuit_breaker = "none"\nretry_budget = 3\n')
    assert dict(options("src").settings) == {"circuit_breaker": None, "retry_budget": 3}


def test_settings_that_are_no_table_are_wrong_usage(project, capsys):
    write(project, "[tool.backend-retrofit]\nsettings = 5\n")
    assert main(["src"]) == 2
    assert "is a table, not 5" in capsys.readouterr().err


def test_rows_for_own_transports(own):
    assert [row.name for row in own] == ["shop.http", "shop.http", "shop.http", "shop.sdk"]
    assert [row.calls for row in own] == ["sync", "sync", BOTH, BOTH]
    assert [row.own_retries for row in own] == [NONE, NONE, "make it with retries=0", NONE]


@pytest.mark.parametrize(
    ("imports", "body", "callee"),
    [
        ("from shop.http import fetch", "return fetch(url)", "fetch"),
        ("import shop.http", "return shop.http.send(url)", "shop.http.send"),
        ("from .http import fetch", "return fetch(url)", "fetch"),
        ("from . import http", "return http.fetch(url)", "http.fetch"),
        ("from ..shop.http import (\n    fetch as f,\n)", "return f(url)", "f"),
        ("from shop.sdk import Sdk", "return Sdk().orders.latest(url)", "Sdk().orders.latest"),
    ],
)
def test_a_call_through_an_own_transport_is_wrapped(own, imports, body, callee):
    check_sites(method(body, imports), f"wrapped {callee}", transports=own)
    assert not [s for s in check_noop(method(body, imports)).sites if s.decision.value == "wrapped"]


@pytest.mark.parametrize(
    ("imports", "callee"),
    [
        ("from shop.http import HttpClient", "HttpClient().get"),
        ("from .http import HttpClient", "HttpClient().post"),
    ],
)
def test_a_call_through_an_own_transport_that_retries_is_queued_only(own, imports, callee):
    check_sites(method(f"return {callee}(url)", imports), f"queued only {callee}", transports=own)


def test_a_parameter_with_the_type_of_an_own_client(own):
    source = client(
        "def __init__(self, client: HttpClient):\n    self.client = client",
        "def get(self, url):\n    return self.client.get(url)",
        imports="from .http import HttpClient",
    )
    (cls,) = check_sites(source, "queued only self.client.get", transports=own).classes
    assert any("make it with retries=0" in note for note in cls.notes)


@pytest.mark.parametrize(
    ("imports", "body"),
    [
        ("from other.http import fetch", "return fetch(url)"),
        ("from .http2 import fetch", "return fetch(url)"),
        ("from .http import fetch_all", "return fetch_all(url)"),
        ("from shop.http import HttpClient", "return HttpClient().close()"),
        ("from shop.http import HttpClient", "return HttpClient()"),
        ("from shop.sdk import Sdk", "return Sdk()._private(url)"),
    ],
)
def test_what_only_resembles_an_own_transport_is_left(own, imports, body):
    assert not check_noop(method(body, imports), transports=own).sites


def test_the_command_uses_the_rows(project, capsys):
    write(project, OWN)
    (project / "src" / "own.py").write_text(method("return fetch(url)", "from .http import fetch"))
    assert main(["src/own.py"]) == 0
    assert "self._queued(fetch)(url)" in (project / "src" / "own.py").read_text()
