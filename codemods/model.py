"""The plain data that passes between the layers, and the exception that breaks planning off. No behaviour lives here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .tables.rows import Library

BLOCKS = ("queue", "backoff", "env_key")
"""The blocks, in the order in which they stand in a class."""
FUNCTIONS = "functions"
"""The block of a module, whose functions and static methods share one queue."""


class Decision(str, Enum):
    """What was decided about a call site."""

    WRAPPED = "wrapped"
    QUEUED_ONLY = "queued only"
    SKIPPED = "skipped"
    UNWRAPPED = "unwrapped"
    """It was wrapped, and is so no longer."""


class State(str, Enum):
    """What has happened to a block, or to its mark, since it was put into a file."""

    CLEAN = "clean"
    """As it was made."""
    REFORMATTED = "reformatted"
    """The same code in another layout."""
    CONFIGURED = "configured"
    """Somebody has given it defaults of their own, and changed nothing else."""
    EDITED = "edited"
    """Somebody has changed its code."""
    ORPHANED = "orphaned"
    """It stands in no class, or its class has nothing else; or calls go through it, and it is not there."""
    DUPLICATED = "duplicated"
    """A class, or the file, has it twice."""
    NEWER = "newer"
    """It was made by a newer version of this tool."""
    DAMAGED = "damaged"
    """A marker line is missing, or cannot be read."""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    blocks: tuple[str, ...] = BLOCKS
    """Those of classes, and `functions`."""
    remove: bool = False
    runtime: str = "auto"
    """`shared`, `package`, `inline`, or `auto`: as the file has it already, else shared."""
    runtime_within: str = ""
    """The folder of the configuration that says where the runtime is to lie; empty: the command line says it."""
    given: tuple[str, ...] = ()
    """The files and folders that the run is about, as absolute paths."""
    overwrite_edited: bool = False
    merge: bool = False
    """Bring edited blocks up to date and keep the edits, where the two do not meet."""
    key_variables: tuple[str, ...] = ()
    """Environment variables of the API key; empty: those that the class reads, from the table, or from its name."""
    key_variables_of: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The same of single classes: name and variables."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Defaults that the blocks are to have in the place of the table's: name and value."""
    missing_key: str | None = None
    """What is given where no key is found; None: what the constructor assigned."""
    existing: str = "queue-only"
    """What to do with a call that a loop or a decorator retries already: `queue-only`, `wrap` or `skip`."""
    guess: bool = True
    """Wrap a call whose receiver is not known here if all else says that it is a request."""
    transports: tuple[Library, ...] = ()
    """The user's own rows for the table of libraries."""
    largest: int = 1_000_000
    """Bytes of a file that is looked into, if it may have calls or blocks: half a minute at the worst."""


@dataclass(frozen=True)
class Place:
    """Where a file finds the runtime's module, as its import says it.

    Attributes:
        module: `._request_engine`, `.._request_engine`, `shop.http._request_engine`, or `_request_engine`.
        alone: the same where the file is not part of a package, as when it is run as a script; "" where it always is.
        can_share: nothing but this file is at hand, and no runtime lies there: it has to go into the file itself.
    """

    module: str = "_request_engine"
    alone: str = ""
    can_share: bool = True


BESIDE = Place("._request_engine")
"""In a package, beside the file."""


@dataclass(frozen=True)
class Problem:
    """Why a file was left alone. Line 0 stands for the whole file."""

    line: int
    reason: str
    state: State | None = None
    """The state of the block, where a block is the reason."""


@dataclass(frozen=True)
class Edit:
    """Put `text` in the place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class CallSite:
    """A place where a request leaves the process, or looks as if it did."""

    line: int
    column: int
    scope: str
    """Where it stands: `Class.method`, or a function's name."""
    callee: str
    """The called expression, as it is written."""
    library: str
    decision: Decision
    reason: str
    of_module: bool = False
    """It is in a module function or static method, so that it can go through the queue of the module only."""


@dataclass(frozen=True)
class BlockChange:
    """What happens to one block of one class."""

    block: str
    line: int
    change: str
    """`added`, `upgraded`, `merged`, `kept`, `removed`, or `skipped`."""
    reason: str = ""
    state: State = State.CLEAN
    """Of the block as it was found; `clean` for one that is new."""


@dataclass(frozen=True)
class ClassPlan:
    """A class that has, gets or loses blocks."""

    name: str
    line: int
    blocks: tuple[BlockChange, ...]
    notes: tuple[str, ...] = ()
    key_variables: tuple[str, ...] = ()
    """Environment variables that its API key is read from."""


@dataclass(frozen=True)
class FilePlan:
    """What will become of one file: the outcome of planning, and all that any report needs."""

    path: Path
    before: bytes
    after: bytes
    classes: tuple[ClassPlan, ...] = ()
    sites: tuple[CallSite, ...] = ()
    problems: tuple[Problem, ...] = ()
    needs_runtime: bool = False
    """The file imports the runtime module of its package or folder."""
    runtime_path: Path | None = None
    """Where that module is to lie; None: beside the file."""
    is_runtime: bool = False
    """The file is itself the runtime that others import."""
    made_from: bytes | None = None
    """What it is made from, if not from `before`: the plain backend of an enhanced one. Lines are counted there."""

    @property
    def changed(self) -> bool:
        return self.before != self.after


@dataclass
class Run:
    """All that one run found and did."""

    plans: list[FilePlan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was skipped as a whole, such as vendored folders."""
    warnings: list[str] = field(default_factory=list)
    """What the user has to know before anything is written."""
    for_callers: str = ""
    """What a queue that this run adds changes for those who call; nothing if it adds none."""


class Refusal(Exception):
    """The file is to be left alone."""

    def __init__(self, line: int, reason: str, state: State | None = None) -> None:
        super().__init__(reason)
        self.problem = Problem(line, reason, state)
