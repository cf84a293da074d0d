"""SPEC section 5: K1 to K5."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from backend_retrofit_runtime import RequestEngine
from test.runtime.conftest import Api

SECRET = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def _no_key_around(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("RUNTIME_TEST_KEY", "RUNTIME_TEST_TOKEN", "PYTHON_DOTENV_DISABLED"):
        monkeypatch.delenv(name, raising=False)


def write_dotenv(folder, text, encoding="utf-8"):
    (folder / ".env").write_text(text, encoding=encoding)


def test_K1_order(monkeypatch, tmp_path):
    assert Api().api_key == ""
    write_dotenv(tmp_path, "RUNTIME_TEST_KEY=from-dotenv\n")
    assert Api().api_key == "from-dotenv"
    monkeypatch.setenv("RUNTIME_TEST_KEY", "from-environment")
    assert Api().api_key == "from-environment"
    assert Api({"runtime_api_key": "from-metadata"}).api_key == "from-metadata"
    assert Api({"api_key": "first", "runtime_api_key": "second"}).api_key == "first"
    assert Api({"api_key": "from-metadata"}, "explicit").api_key == "explicit"


@pytest.mark.parametrize("blank", [None, "", "   ", "\n"])
def test_K1_blank_falls_through(monkeypatch, blank):
    monkeypatch.setenv("RUNTIME_TEST_KEY", blank or "")
    monkeypatch.setenv("RUNTIME_TEST_TOKEN", "second-name")
    assert Api({"api_key": blank}).api_key == "second-name"


def test_K1_explicit_empty_means_no_key(monkeypatch):
    monkeypatch.setenv("RUNTIME_TEST_KEY", "from-environment")
    assert Api(api_key="").api_key == ""


def test_K1_explicit_empty_may_be_declared_missing(monkeypatch):
    class Lenient:
        api_key = RequestEngine.api_key("RUNTIME_TEST_KEY", empty_is_missing=True)

    monkeypatch.setenv("RUNTIME_TEST_KEY", "from-environment")
    lenient = Lenient()
    lenient.api_key = ""
    assert lenient.api_key == "from-environment"


def test_K1_white_space_around_is_taken_off(monkeypatch):
    monkeypatch.setenv("RUNTIME_TEST_KEY", "  key\r\n")
    assert Api().api_key == "key"


def test_key_can_be_changed_on_a_live_instance():
    api = Api({"api_key": "first"})
    assert api.api_key == "first"
    api.api_key = "second"
    assert api.api_key == "second"


def test_callable_key_is_left_alone():
    assert Api(api_key=len).api_key is len


def test_K3_searched_upwards_with_bom_without_interpolation_and_environ_stays(monkeypatch, tmp_path):
    write_dotenv(tmp_path, "RUNTIME_TEST_KEY=a${HOME}b\n", "utf-8-sig")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert Api().api_key == "a${HOME}b"
    assert "RUNTIME_TEST_KEY" not in os.environ


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_K3_disabled(monkeypatch, tmp_path, value):
    write_dotenv(tmp_path, "RUNTIME_TEST_KEY=x\n")
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", value)
    assert Api().api_key == ""


def test_K3_without_dotenv_one_debug_line(monkeypatch, tmp_path, caplog):
    write_dotenv(tmp_path, "RUNTIME_TEST_KEY=x\n")
    monkeypatch.setitem(sys.modules, "dotenv", None)
    caplog.set_level(logging.DEBUG)
    api = Api()
    assert api.api_key == api.api_key == ""
    assert [r.getMessage() for r in caplog.records] == [
        "python-dotenv is not installed: no .env file is read"
    ]


def test_K3_unreadable_file_is_no_crash(tmp_path):
    (tmp_path / ".env").write_bytes(b"RUNTIME_TEST_KEY=\xff\xfe\xff\n")
    assert Api().api_key == ""


@pytest.mark.parametrize("where", ["constructor", "metadata", "environment", ".env"])
def test_K4_source_is_logged_and_the_key_never_is(monkeypatch, tmp_path, caplog, where):
    caplog.set_level(logging.DEBUG)
    if where == ".env":
        write_dotenv(tmp_path, f"RUNTIME_TEST_KEY={SECRET}\n")
    if where == "environment":
        monkeypatch.setenv("RUNTIME_TEST_KEY", SECRET)
    api = Api(
        {"api_key": SECRET} if where == "metadata" else None, SECRET if where == "constructor" else None
    )
    assert api.api_key == api.api_key == SECRET
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (where != "constructor")
    assert all(where in line and SECRET[:4] not in line for line in lines)


def test_K4_line_break_inside_is_refused_without_an_echo(monkeypatch):
    with pytest.raises(ValueError, match="line break") as caught:
        assert Api(api_key="sk-can\nary").api_key
    assert "can" not in str(caught.value).replace("api_key", "")
    monkeypatch.setenv("RUNTIME_TEST_KEY", "sk-can\r\nary")
    with pytest.raises(ValueError, match="RUNTIME_TEST_KEY has a line break"):
        assert Api().api_key


def test_K1_metadata_that_comes_later_goes_before_the_environment(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("RUNTIME_TEST_KEY", "from-environment")
    api = Api({})
    assert api.api_key == "from-environment"
    api.metadata = {"api_key": "from-metadata"}
    assert [api.api_key, api.api_key] == ["from-metadata"] * 2
    api.metadata = {}
    assert [api.api_key, api.api_key] == ["from-environment"] * 2
    assert sum("taken from" in record.getMessage() for record in caplog.records) == 3


def test_K1_a_wrapped_secret_or_a_function_in_metadata_is_left_alone():
    class Secret:
        def get_secret_value(self):
            return SECRET

    secret = Secret()
    assert Api({"api_key": secret}).api_key is secret
    assert Api({"api_key": len}).api_key is len
    assert Api({"api_key": 5}).api_key == ""


class Guarded:
    """A class of somebody else's, that tells a missing key from an empty one."""

    api_key = RequestEngine.api_key("RUNTIME_TEST_KEY")

    def __init__(self, api_key=None):
        self.api_key = api_key


@pytest.mark.parametrize("assigned", [None, "", "  "])
def test_K5_where_no_key_is_found_the_class_keeps_what_was_assigned(assigned):
    kept = Guarded(assigned).api_key
    assert type(kept) is type(assigned)
    assert kept == assigned


def test_K5_a_key_that_comes_later_is_found_and_one_that_goes_is_none_again(monkeypatch):
    guarded = Guarded()
    assert guarded.api_key is None
    monkeypatch.setenv("RUNTIME_TEST_KEY", "from-environment")
    assert guarded.api_key == "from-environment"
    other = Guarded()
    other.metadata = {"api_key": "from-metadata"}
    assert other.api_key == "from-metadata"
    monkeypatch.delenv("RUNTIME_TEST_KEY")
    other.metadata = {}
    assert other.api_key is None


def test_K5_what_was_never_assigned_is_no_attribute(monkeypatch):
    bare = Guarded.__new__(Guarded)
    assert not hasattr(bare, "api_key")
    with pytest.raises(AttributeError, match="'Guarded' object has no attribute 'api_key'"):
        assert bare.api_key
    monkeypatch.setenv("RUNTIME_TEST_KEY", "from-environment")
    assert bare.api_key == "from-environment"


def test_K5_a_class_with_slots_keeps_none_too():
    class Slotted:
        __slots__ = ("__weakref__",)
        api_key = RequestEngine.api_key("RUNTIME_TEST_KEY")

        def __init__(self):
            self.api_key = None

    assert Slotted().api_key is None


def test_K5_the_projects_own_backends_give_the_empty_string():
    assert Api().api_key == ""
    assert Api({"api_key": 5}).api_key == ""
