"""Settles what a class gets: whether it can have blocks, what their members are called, and how they look in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from ..blocks import templates, wraps
from ..blocks.markers import Region
from ..blocks.wraps import ENTRY_POINTS
from ..finding.kin import Kin
from ..model import BLOCKS, Options
from ..source.scopes import ClassInfo
from ..source.syntax import decorator_name, shown
from ..source.text import Source
from ..tables.rows import NONE, OFF, Library
from . import keys
from .member_names import other_names

_MODEL_BASES = frozenset({"BaseModel", "BaseSettings", "SQLModel", "Struct", "Model"})
_MODEL_DECORATORS = frozenset({"dataclass", "define", "attrs", "s", "frozen", "mutable"})
_HARMLESS_BASES = frozenset({"object", "ABC", "Generic", "Protocol"})
_LOOKS_AT_ITS_NAMES = re.compile(
    r"(?:dir|inspect\.getmembers|getmembers)\((?:self|cls|type\(self\)|self\.__class__)\b"
    r"|(?:cls|type\(self\)|self\.__class__)\.__dict__|vars\((?:cls|type\(self\)|self\.__class__)\)"
)
_LOOKING = frozenset({"dir", "getmembers", "vars", "__dict__"})
"""The words by which code that does so is known, before anything is looked at."""
_NO_WEAK_REFERENCE = "its instances cannot be referred to weakly, which the queue needs"
_METACLASS = "its classes would not get the settings of a metaclass"
_REFUSED_BASES = {
    "NamedTuple": _NO_WEAK_REFERENCE,
    "namedtuple": _NO_WEAK_REFERENCE,
    "tuple": _NO_WEAK_REFERENCE,
    "int": _NO_WEAK_REFERENCE,
    "bytes": _NO_WEAK_REFERENCE,
    "TypedDict": "a TypedDict has no methods",
    "Enum": "the members of an Enum are its attributes",
    "IntEnum": "the members of an Enum are its attributes",
    "StrEnum": "the members of an Enum are its attributes",
    "Flag": "the members of an Enum are its attributes",
    "type": _METACLASS,
    "ABCMeta": _METACLASS,
    "EnumMeta": _METACLASS,
    "EnumType": _METACLASS,
}


@dataclass
class ClassWork:
    """A class that is to have blocks.

    Attributes:
        blocks: that it has or gets itself.
        names: what members of the blocks are called, where their own name is taken.
        entry_point: the method through which its calls go; empty if no block defines one.
        inherited: blocks that a base class has; those of other files count for the key only.
        key: where its API key comes from, or why it has no block for it.
        libraries: that its calls go through.
        kin: the classes above and below it in other files.
    """

    info: ClassInfo
    blocks: tuple[str, ...]
    names: dict[str, str]
    entry_point: str = ""
    inherited: tuple[str, ...] = ()
    key: keys.Key | str = ""
    libraries: frozenset[Library] = frozenset()
    kin: Kin = Kin()  # noqa: RUF009 - it is frozen

    @property
    def has_queue(self) -> bool:
        """Whether its calls go through a queue, and not only through the backoff."""
        return wraps.block_of(self.entry_point) == "queue"

    @property
    def hands_down(self) -> tuple[str, ...]:
        """The blocks that classes have which are made of it: its own, and those of its bases."""
        own = (block for block in self.blocks if block != "env_key" or isinstance(self.key, keys.Key))
        return (*own, *self.inherited)


def settle(
    info: ClassInfo,
    bases: Iterable[ClassWork],
    kin: Kin,
    existing: Mapping[str, Region],
    asked: tuple[str, ...],
    used: Set[str],
    identifiers: frozenset[str],
) -> ClassWork:
    """Settle which blocks a class gets, beside those of its bases, and what their members are called.

    Args:
        bases: the work for its base classes in the file.
        kin: the classes above and below it in other files.
        existing: the blocks that it has.
        asked: the blocks that the user wants.
        used: names that the class and its kin use for their own ends (see `names_used`).
        identifiers: every word of the file.
    """
    bases = list(bases)
    inherited = tuple(dict.fromkeys(block for base in bases for block in base.hands_down))
    if kin.has_key_block and "env_key" not in inherited:
        inherited = (*inherited, "env_key")
    blocks = tuple(b for b in BLOCKS if b in existing or (b in asked and b not in inherited))
    names: dict[str, str] = {}
    for block in blocks:
        region = existing.get(block)
        if region is not None:
            names.update(region.values)
        if region is None or region.version < templates.VERSIONS[block]:
            inherits = _has_bases(info)
            names.update(other_names(info, kin, region, block, used, identifiers, inherits))
    entry = next((block for block in ENTRY_POINTS if block in blocks), "")
    entry_point = names.get(ENTRY_POINTS[entry], ENTRY_POINTS[entry]) if entry else ""
    entry_point = next((base.entry_point for base in bases if base.entry_point), entry_point)
    return ClassWork(info, blocks, names, entry_point, inherited, kin=kin)


def notes(work: ClassWork, identifiers: frozenset[str]) -> list[str]:
    """Return what a user has to know of a class beside its blocks.

    Args:
        identifiers: every word of the file.
    """
    told = [
        f"{library.name} retries by itself, which cannot be turned off from here, so its calls are queued only:"
        f" {library.own_retries}"
        for library in sorted(work.libraries, key=lambda library: library.name)
        if library.own_retries not in (OFF, NONE)
    ]
    module = work.info.scope
    while module.parent is not None:
        module = module.parent
    is_httpx = any(library.name in ("httpx", "httpx2") for library in work.libraries)
    if is_httpx and (line := _own_transport(module.node)):
        told.append(
            f"a client of httpx is made with a transport of its own (line {line}); what that retries by itself cannot be "
            "turned off from here: make it with retries=0"
        )
    told += _own_limits(work)
    looks = identifiers & _LOOKING
    for node in ast.walk(work.info.node) if looks else ():
        if not isinstance(node, ast.Call | ast.Attribute) or _name_of(node) not in looks:
            continue
        if _LOOKS_AT_ITS_NAMES.match(text := shown(node)):
            told.append(f"`{text}` in line {node.lineno} will see the names of the blocks, too")
            break
    return told


def _own_limits(work: ClassWork) -> list[str]:
    """Return what to say of a class that has its own queue or limit, or inherits one."""
    if not work.kin.limits or "queue" not in (*work.blocks, *work.inherited):
        return []
    limit = work.names.get("max_concurrent_requests", "max_concurrent_requests")
    attribute, maker = work.kin.limits[0]
    values = [value for cls in work.info.lineage() for value, _ in cls.attributes.get(attribute, ())]
    numbers = [part.value for value in values for part in ast.walk(value) if isinstance(part, ast.Constant)]
    number = next((number for number in numbers if type(number) is int and number > 0), None)
    what = f"the class limits itself with `self.{attribute}` ({maker}); `{limit}` limits its requests, too"
    return [what + (f": make it {number} or more to leave the other limit as it is" if number else "")]


def _name_of(node: ast.expr) -> str:
    """Return the last name of an attribute, or of a called function."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@lru_cache(maxsize=1)
def _own_transport(module: ast.AST) -> int:
    """Return the line of a `transport=` in the file; 0 if there is none. Remembered, as each class asks for it."""
    for node in ast.walk(module):
        if isinstance(node, ast.keyword) and node.arg in ("transport", "mounts") and _is_made(node.value):
            return node.value.lineno
    return 0


def _is_made(value: ast.expr) -> bool:
    """Return False for None, and for the transports of httpx itself, whose retries the runtime turns off."""
    if isinstance(value, ast.Constant) and value.value is None:
        return False
    return decorator_name(value).rpartition(".")[2] not in ("HTTPTransport", "AsyncHTTPTransport")


def render_block(work: ClassWork, name: str, engine: str, options: Options) -> templates.Block | str:
    """Render a block for a class, or return why the class gets none.

    Args:
        engine: the name by which the file knows the runtime's class.
    """
    defaults = dict(options.settings)
    if name == "queue":
        enters, closes = _closes(work.info, work.kin)
        shared = work.kin.may_set_anything
        return templates.block(
            name, engine, work.names, defaults, closes=closes, enters=enters, shared=shared
        )
    if name == "backoff":
        queued = "queue" in (*work.blocks, *work.inherited)
        shared = work.kin.may_set_anything
        return templates.block(name, engine, work.names, defaults, queued=queued, shared=shared)
    return _render_env_key(work, engine, options)


def _closes(info: ClassInfo, kin: Kin) -> tuple[bool, dict[str, str]]:
    """Return whether a class gets `with`, and which methods close its queue: `own` ones, or what is `inherited`.

    A class that is closed only by `await` gets no `with`, which would leave its client open. Nor does a mixin whose
    subclasses get their `with` from another base, which the mixin's would hide.
    """
    methods = {
        node.name: node
        for node in info.node.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list
    }
    own = [name for name in methods if name in ("close", "aclose")]
    own = own or [name for name in methods if name in ("__exit__", "__aexit__")]
    closes = dict.fromkeys(own, "own")
    known = {name for cls in info.lineage() for name in cls.defined}
    is_async = _is_async_only(methods)
    if is_async and "aclose" in known:
        closes.setdefault("aclose", "inherited")
    if "close" not in info.defined and not (is_async and "aclose" in known):
        closes["close"] = "inherited"
    enters = not _has_bases(info) and not (known | kin.used) & {"__enter__", "__exit__", "__aenter__"}
    enters = enters and not is_async and not ("aclose" in known and "close" not in known)
    return enters and ("close" not in info.defined or _is_plain_method(methods.get("close"))), closes


def _has_bases(info: ClassInfo) -> bool:
    return any(base not in _HARMLESS_BASES for base in _base_names([info.node]))


def _is_async_only(methods: Mapping[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> bool:
    """Return True if a class can be used in a coroutine only: all its public methods are async."""
    public = [node for name, node in methods.items() if not name.startswith("_")]
    return bool(public) and all(isinstance(node, ast.AsyncFunctionDef) for node in public)


def _is_plain_method(node: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    """Return True for a method that can be called without arguments, in a sync way."""
    if not isinstance(node, ast.FunctionDef):
        return False
    required = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
    return required == 1 and not any(default is None for default in node.args.kw_defaults)


def key_of(work: ClassWork, options: Options) -> keys.Key | str:
    """Return where the API key of a class comes from, or why it gets no block for it."""
    if is_model(work.info):
        return "the key is a field of a model or dataclass"
    libraries = frozenset(library.name.partition(".")[0] for library in work.libraries)
    return keys.key_of(work.info, libraries, options, work.kin.key)


def _render_env_key(work: ClassWork, engine: str, options: Options) -> templates.Block | str:
    key = work.key
    if isinstance(key, str):
        return key
    known = {*map(str.lower, key.variables), f"{work.info.node.name.lower()}_api_key"}
    return templates.block(
        "env_key",
        engine,
        {},
        attribute=key.attribute,
        variables=key.variables,
        metadata_names=tuple(name for name in key.metadata_names if name not in known),
        empty_is_missing=key.empty_is_missing,
        missing=options.missing_key,
    )


def key_note(work: ClassWork) -> str:
    """Return what a user has to know of a key that may be none, or nothing."""
    key = work.key
    if isinstance(key, str) or not keys.is_token(key.attribute):
        return ""
    told = ", ".join(key.variables)
    return f"`self.{key.attribute}` is taken for the API key: where none is given, it is read from {told}"


def is_model(info: ClassInfo) -> bool:
    """Return True for a dataclass, a pydantic model and the like, whose attributes are declared fields."""
    decorators = {decorator_name(d).rpartition(".")[2] for d in info.node.decorator_list}
    bases = {decorator_name(base).rpartition(".")[2] for cls in info.lineage() for base in cls.node.bases}
    return bool(decorators & _MODEL_DECORATORS) or bool(bases & _MODEL_BASES)


def why_refused(info: ClassInfo, kin: Kin, source: Source) -> str:
    """Return why a class cannot have blocks, or nothing."""
    if _stands_on_one_line(info.node, source):
        return "its body is on the line of `class`; put it on separate lines"
    bases = _base_names(cls.node for cls in info.lineage())
    if "Protocol" in _base_names([info.node]):
        return "it is a Protocol: whatever is to fit it would need what the blocks define, too"
    if "__getattribute__" in kin.used or any("__getattribute__" in cls.defined for cls in info.lineage()):
        return "it defines `__getattribute__`, through which the queue's own names would go"
    if refused := next((base for base in _REFUSED_BASES if base in bases), ""):
        return f"it is a {refused}: {_REFUSED_BASES[refused]}"
    if any(decorator_name(d).rpartition(".")[2] == "beartype" for d in info.node.decorator_list):
        return "beartype takes no property but Python's own, which the settings are not; decorate its methods instead"
    if _has_slots_only(info):
        return 'it has `__slots__` without "__weakref__", which the queue needs; add it'
    if any("weakref_slot=False" in ast.unparse(d).replace(" ", "") for d in info.node.decorator_list):
        return "it has weakref_slot=False; the queue needs weak references"
    keywords = {k.arg: ast.unparse(k.value) for k in info.node.keywords}
    if "Struct" in bases and keywords.get("weakref") != "True":
        return "it is a Struct; add weakref=True, which the queue needs"
    for decorator in info.node.decorator_list:
        if isinstance(decorator, ast.Call) and decorator_name(decorator).rpartition(".")[2] == "dataclass":
            keywords = {k.arg: ast.unparse(k.value) for k in decorator.keywords}
            if keywords.get("slots") == "True" and keywords.get("weakref_slot") != "True":
                return "it is a dataclass with slots=True; add weakref_slot=True (Python 3.11), which the queue needs"
    return ""


def _base_names(nodes: Iterable[ast.ClassDef]) -> set[str]:
    """Return the last parts of the names of the bases of classes, without the brackets behind them."""
    bases = (base.value if isinstance(base, ast.Subscript) else base for node in nodes for base in node.bases)
    return {decorator_name(base).rpartition(".")[2] for base in bases}


def _stands_on_one_line(node: ast.ClassDef, source: Source) -> bool:
    first = node.body[0]
    if first.lineno == node.lineno or source.line(first.lineno)[: first.col_offset].strip(" \t\f@"):
        return True
    before = source.line(first.lineno - 1)
    return before.endswith("\\") and "#" not in before


def _has_slots_only(info: ClassInfo) -> bool:
    """Return True if neither the class nor a base gives its instances a place for weak references."""
    known = list(info.lineage())
    names = {cls.node.name for cls in known}
    for cls in known:
        if "__slots__" not in cls.attributes:
            return False
        if any("__weakref__" in ast.unparse(value) for value, _ in cls.attributes["__slots__"]):
            return False
        outside = {decorator_name(base).rpartition(".")[2] for base in cls.node.bases} - names
        if outside - {"object", "ABC", "Protocol", ""}:
            return False
    return True
