"""Renders the blocks from the Jinja templates, and the runtime for its two places."""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from ..source.fingerprints import fingerprint, fingerprint_of
from ..source.garbage import no_garbage_collection
from . import markers
from .inline_types import RuntimeTypes
from .runtime_file import runtime_options, runtime_source

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
_WIDTH = 84
"""Of a line of a block: what black leaves as it is where a class is indented once."""
RUNTIME_MODULE, ENGINE = markers.RUNTIME_MODULE, markers.ENGINE
VERSIONS: Mapping[str, int] = {"queue": 2, "backoff": 2, "env_key": 2, "functions": 2, "runtime": 2}
"""Raised when a template changes in a way that a user should hear of."""

OPTIONS = runtime_options()
SETTINGS: Mapping[str, tuple[str, ...]] = {
    block: tuple(name for name, option in OPTIONS.items() if option.block == block)
    for block in ("queue", "backoff", "env_key")
}
SPELT_OUT = {
    "queue": ("queue_enabled", "max_concurrent_requests", "queue_size"),
    "backoff": ("max_retries", "initial_retry_delay", "backoff_factor", "max_retry_delay"),
    "env_key": (),
}
"""The settings that people change often: they stand in a block with their defaults."""
ON_ONE_LINE = {
    "queue": ("queue_full", "queue_timeout", "total_timeout"),
    "backoff": ("max_retry_after", "retry_if", "circuit_breaker"),
    "env_key": (),
}
"""Those that are named, for type checkers; the rest are attributes all the same."""
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "queue": (
        *SETTINGS["queue"],
        "request_queue",
        "current_requests",
        "submit",
        "map",
        "priority",
        "queue_stats",
        "close",
        "_queued",
    ),
    "backoff": (*SETTINGS["backoff"], "_retried"),
    "env_key": (),
}
"""Every name that a block defines in a class, and that gets another if the class uses it already."""


@dataclass(frozen=True)
class Block:
    """A block as it is to stand in a class: code without indentation, and what its marker carries."""

    name: str
    code: str
    values: Mapping[str, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings that are not to have the default of the table."""
    mark: str = ""
    """Its fingerprint, if that is not to be the code's: of an edited block, what it is without the edit."""
    engine: str = ENGINE
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What its template was given besides."""

    @property
    def begin(self) -> str:
        mark = self.mark or fingerprint(self.code)
        return markers.begin(self.name, VERSIONS[self.name], mark, self.values, self.defaults)

    @property
    def end(self) -> str:
        return markers.end(self.name)


@cache
def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES, encoding="ascii"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # what comes out is Python; values go in through `repr`, names are checked identifiers
    )
    environment.filters["repr"] = literal
    return environment


def literal(value: Any) -> str:
    """Return a literal in double quotes, as black writes it."""
    if isinstance(value, tuple):
        inside = ", ".join(literal(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        text = f'"{text[1:-1]}"'
    return text


def block(
    name: str,
    engine: str,
    names: Mapping[str, str],
    defaults: Mapping[str, Any] | None = None,
    by_hand: Mapping[str, str] | None = None,
    **arguments: Any,
) -> Block:
    """Render a block.

    Args:
        name: of the block.
        engine: the name by which the file knows the runtime's class.
        names: other names for some of what the block defines.
        defaults: of settings, where they are not to be those of the table.
        by_hand: setting -> the code of the default that somebody has given it in the block.
        arguments: whatever else the template asks for.
    """
    own = {
        option: value
        for option, value in (defaults or {}).items()
        if option in SETTINGS[name] and value != OPTIONS[option].default
    }
    shared = ["shared=True"] if arguments.get("shared") else []
    written = {option: literal(value) for option, value in own.items()} | dict(by_hand or {})

    def renamed(member: str) -> str:
        new = names.get(member, member)
        if not new.isidentifier() or keyword.iskeyword(new):
            raise ValueError(f"{new!r} is not an identifier")
        return new

    def setting(option: str, about: str = "") -> str:
        attribute = renamed(option)
        spelt_out = option in written or option in SPELT_OUT[name]
        values = [written.get(option, literal(OPTIONS[option].default))] if spelt_out else []
        values += [("" if values else "option=") + literal(option)] if attribute != option else []
        line = f"{attribute} = {engine}.setting({', '.join([*values, *shared])})"
        commented = f"{line}  # {about}"
        return commented if about and len(commented) <= _WIDTH else line

    rest = [option for option in SETTINGS[name] if option not in SPELT_OUT[name]]
    alone = [option for option in rest if option in written or option in names]
    together = [option for option in ON_ONE_LINE[name] if option in rest and option not in alone]
    lines = [f"{' = '.join(together)} = {engine}.setting({''.join(shared)})"] if together else []
    template = environment().get_template(f"{name}.py.j2")
    code = template.render(
        engine=engine,
        name=renamed,
        setting=setting,
        other_settings=[*lines, *map(setting, alone)],
        width=_WIDTH,
        **arguments,
    )
    carried = {member: new for member, new in names.items() if member in MEMBERS[name]}
    return Block(name, code.strip("\n") + "\n", carried, own, engine=engine, arguments=arguments)


def with_own_defaults(made: Block, by_hand: Mapping[str, str]) -> Block:
    """Return a block with the defaults that somebody has given it; its mark stays that of the block without them."""
    other = block(made.name, made.engine, made.values, made.defaults, by_hand, **made.arguments)
    return replace(other, mark=fingerprint(made.code))


def indented(lines: list[str], indent: str, unit: str) -> list[str]:
    """Return lines that are indented by multiples of four spaces, indented like the code around them."""
    result = []
    for line in lines:
        body = line.lstrip(" ")
        depth, rest = divmod(len(line) - len(body), 4)
        result.append(indent + unit * depth + " " * rest + body if body else "")
    return result


_HEADER = """\
# @generated by add-queue-backoff (backend-retrofit {version}). Do not edit it: the next run replaces it.
# What the blocks in your classes call: a request queue, exponential backoff and environment keys. Licence: MIT.
# Documentation: docs/runtime.md of backend-retrofit.
# retrofit:runtime v{number} {mark}
#
# Linters, formatters, type checkers and coverage leave it alone:
# ruff: noqa: PGH004
# ruff: noqa
# flake8: noqa
# pylint: skip-file
# mypy: ignore-errors
# pyright: basic, {pyright}
# isort: skip_file
# fmt: off
"""
_PYRIGHT = """
    reportArgumentType reportAssignmentType reportAttributeAccessIssue reportCallIssue reportGeneralTypeIssues
    reportIncompatibleMethodOverride reportIncompatibleVariableOverride reportIndexIssue reportInvalidTypeForm
    reportInvalidTypeVarUse reportMissingImports reportMissingModuleSource reportOperatorIssue reportOptionalMemberAccess
    reportPossiblyUnboundVariable reportRedeclaration reportReturnType reportUnboundVariable
""".split()
"""What pyright says in its basic mode; it has no word by which a file is left out."""


@cache
@no_garbage_collection()
def runtime_module() -> bytes:
    """Return the runtime as a module, with a header for people and tools."""
    source = runtime_source()
    tree = ast.parse(source)
    code = _uncovered(source, tree)
    header = _HEADER.format(
        version=version("backend-retrofit"),
        number=VERSIONS["runtime"],
        mark=_mark_of(tree),
        pyright=", ".join(f"{rule}=false" for rule in _PYRIGHT),
    )
    return (header + code).encode("ascii")


def _uncovered(source: str, tree: ast.Module) -> str:
    """Return code that coverage does not count: what is defined in it; the rest runs when it is imported."""
    lines = source.split("\n")
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If | ast.For):
            first = min(
                [node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))]
            )
            lines[first - 1] += "  # pragma: no cover"
    return "\n".join(lines)


_RUNTIME_MARK = re.compile(rb"^# .*?retrofit:runtime v(\d+) ([0-9a-f]{10})\r?$", re.MULTILINE)
_LONGEST_HEADER = 4000


def runtime_state(data: bytes) -> str:
    """Tell what a runtime module on disk is: `current`, `old`, `newer`, `edited`, or `foreign`."""
    if data == runtime_module():
        return "current"
    match = _RUNTIME_MARK.search(data, 0, _LONGEST_HEADER)
    if match is None:
        return "foreign"
    if int(match[1]) > VERSIONS["runtime"]:
        return "newer"
    try:
        code = data.decode().replace("\r\n", "\n")
        mark = fingerprint(code) if int(match[1]) < 2 else _runtime_mark(code)
    except (UnicodeDecodeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return "edited"
    if mark != match[2].decode():
        return "edited"
    current = _RUNTIME_MARK.search(runtime_module(), 0, _LONGEST_HEADER)
    return "current" if current and mark == current[2].decode() else "old"


@lru_cache(maxsize=8)
@no_garbage_collection()
def _runtime_mark(code: str) -> str:
    """Return the fingerprint of a runtime on disk; raise SyntaxError or ValueError."""
    return _mark_of(ast.parse(code))


def _mark_of(tree: ast.Module) -> str:
    """Return the fingerprint of the runtime, whether its annotations are in quotes or not: pyupgrade takes them off.

    The tree loses the quotes.
    """
    unquoted = _Unquoted()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        for name in ("annotation", "returns"):
            if isinstance(given := getattr(node, name, None), ast.expr):
                setattr(node, name, unquoted.visit(given))
        # No expression has annotations.
        todo += [inner for inner in ast.iter_child_nodes(node) if not isinstance(inner, ast.expr)]
    return fingerprint_of(tree)


class _Unquoted(ast.NodeTransformer):
    """Takes the quotes off the parts of an annotation."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        return self.visit(ast.parse(node.value, mode="eval").body)  # type: ignore[no-any-return]


@cache
@no_garbage_collection()
def inline_runtime(engine: str = ENGINE) -> Block:
    """Return the runtime as a block for a single file: inside a function, so that none of its names meet the file's.

    Type checkers see its types instead of its code, in which they would find faults.
    """
    source = runtime_source()
    docstring = ast.parse(source).body[0]
    body = "\n".join(source.split("\n")[docstring.end_lineno :]).strip("\n")
    body = body.replace(f'_KNOWN_AS = "{ENGINE}"', f'_KNOWN_AS = "{engine}"')
    types = RuntimeTypes()
    protocols = "\n\n\n".join(types.protocols.values())
    seen = environment().get_template("inline_types.py.j2").render(engine=engine, protocols=protocols)
    code = f"""\
_retrofit_version = {VERSIONS["runtime"]}  # stands between the import below and those above, which tools sort
import typing as _retrofit_typing  # noqa: E402

if _retrofit_typing.TYPE_CHECKING:  # pragma: no cover
    # The types of what is below.
{textwrap.indent(types.apart(seen, engine), "    ")}
else:  # pragma: no cover

    def _{_snake(engine)}():
        \"""Request queue, exponential backoff and environment keys; the classes below use it.\"""
{textwrap.indent(body, "        ")}

        return {ENGINE}

    {engine} = _{_snake(engine)}()
"""
    return Block("runtime", code, {} if engine == ENGINE else {"engine": engine})


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
