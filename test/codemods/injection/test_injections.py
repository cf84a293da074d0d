"""What LibCST cannot read, or would not give back, is told from what it can."""

import ast

import libcst as cst
import pytest

from backend_retrofit.codemods.injection.add_import import NewImport
from backend_retrofit.codemods.injection.injections import Injections, gives_back, inject, without_odd_end
from backend_retrofit.codemods.model import Refusal
from backend_retrofit.codemods.source.text import Source

IMPORT = Injections(head=NewImport("import b", 0, False, "\n"))


def injected(text: str, module: cst.Module | None = None) -> str:
    return inject(Source(text, "utf-8", b""), ast.parse(text), IMPORT, module).code


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n\r\n", "  # c\n"])
def test_a_usual_end_of_a_file_is_left_to_libcst(end):
    text = f"import a{end}"
    assert without_odd_end(text) == (text, "")
    assert gives_back(text)


@pytest.mark.parametrize("end", ["  \n", "\t", "\x0c\n", "\n\n  \n", "\r", "    \n\n"])
def test_an_odd_end_is_kept_from_libcst(end):
    assert without_odd_end(f"import a\n{end}") == ("import a\n", end)
    assert gives_back("import a\n")


def test_what_libcst_does_not_give_back_is_known():
    assert not gives_back("\\\nimport a\n")
    assert not gives_back("import a\n\n    # c\n")
    assert not gives_back("import (\n")


def test_what_would_take_libcst_long_is_refused():
    with pytest.raises(Refusal, match="would take too long"):
        injected("del " + "(" * 40 + "a" + ", b)" * 40 + "\n")


def test_what_libcst_cannot_read_is_named_in_one_line():
    with pytest.raises(Refusal, match="LibCST, which makes the changes, cannot read it") as refused:
        injected("x = (\n" + "'a'\n" * 10_000 + ")\n")
    assert "\n" not in refused.value.problem.reason


def test_a_long_string_is_no_work():
    text = "import a\nx = '''\n" + "(import a)\n" * 500_000 + "'''\n"
    assert injected(text) == text.replace("import a\n", "import a\nimport b\n", 1)


def test_a_module_that_has_been_read_is_not_read_again():
    module = cst.parse_module("import a\nx = 1\n")
    changed = inject(Source(module.code, "utf-8", b""), ast.parse(module.code), IMPORT, module)
    assert changed.code == "import a\nimport b\nx = 1\n"
    assert changed.body[2] is module.body[1]
