"""What the bases of a class use, and the classes that derive from it: in the project, and in libraries that are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..source.scopes import ClassInfo
from ..source.syntax import decorator_name
from ..tables import key_variables
from ..tables.known_bases import names_of
from . import through
from .bindings import ANY_NAME
from .follow import Follower
from .key_sources import KeySource
from .project_names import Project
from .resolve import Names
from .summary import Class

_LIMITS = frozenset(
    """
    Semaphore BoundedSemaphore CapacityLimiter Limiter AsyncLimiter RateLimiter RateLimit Throttle Throttler LeakyBucket
    TokenBucket ThreadPoolExecutor Queue LifoQueue PriorityQueue SimpleQueue InMemoryRateLimiter
    """.split()
)


_ANYTHING = frozenset({ANY_NAME, "__dict__", "__new__"})


@dataclass(frozen=True)
class Kin:
    """The classes above and below one, outside of its file.

    Attributes:
        used: names that they bind, assign or read.
        out_of_sight: bases of which nothing is known.
        limits: attributes by which a base limits its requests itself -> what they are.
        key: where the nearest base that keeps an API key keeps it.
        has_key_block: that base has, or gets, the block for its key.
    """

    used: frozenset[str] = frozenset()
    out_of_sight: tuple[str, ...] = ()
    limits: tuple[tuple[str, str], ...] = ()
    key: KeySource | None = None
    has_key_block: bool = False

    @property
    def may_set_anything(self) -> bool:
        """Whether attributes may be assigned that nobody can tell beforehand."""
        return bool(self.out_of_sight) or bool(self.used & _ANYTHING)


def kin_of(names: Names, info: ClassInfo) -> Kin:
    """Return what is known of the classes above and below a class of the file."""
    project = names.elsewhere
    if not isinstance(project, Project):
        return Kin()
    follower, place = project.follower, (project.module, info.scope.path)
    lineage = list(follower.lineage(*place))
    used = {name for _, cls in lineage for name in cls.used}
    for heir in follower.heirs(f"@{place[0]}:{place[1]}"):
        module, _, path = heir[1:].partition(":")
        used |= {name for _, cls in follower.lineage(module, path) for name in cls.used}
        used |= _used_by_libraries(follower.foreign_bases(module, path))[0]
    bases = list(follower.foreign_bases(*place)) if lineage else _written_bases(info, names)
    of_libraries, unknown = _used_by_libraries(bases)
    limits = [
        (name, value.removesuffix("()"))
        for _, cls in lineage
        for name, values in cls.attributes.items()
        for value in values
        if is_limit(value.removesuffix("()"))
    ]
    keeper = next(((owner, cls) for owner, cls in lineage if owner != project.module and cls.key), None)
    return Kin(
        frozenset(used | of_libraries),
        tuple(dict.fromkeys(unknown)),
        tuple(dict.fromkeys(limits)),
        keeper[1].key if keeper is not None else None,
        keeper is not None and _has_key_block(follower, *keeper),
    )


def _has_key_block(follower: Follower, module: str, cls: Class) -> bool:
    """Return True if a class of another file gets a block for its key: it makes requests, and a variable can be named."""
    key = cls.key
    if key is None or key.is_defined or key.comes_from or module not in follower.view.planned:
        return False
    name = cls.name.rpartition(".")[2]
    named = key.variables or key_variables.vendor_named(name) or key_variables.made_up(name, key.attribute)
    own = (f"@{module}:{cls.name}.{method}" for method in cls.methods)
    return bool(named) and any(
        request.module == module and request.function.name.startswith(f"{cls.name}.")
        for place in own
        for request in through.requests_of(follower, place)
    )


def is_limit(maker: str) -> bool:
    """Return True for the name of what limits how much is done at once, or in a time."""
    return maker.rpartition(".")[2] in _LIMITS


def _written_bases(info: ClassInfo, names: Names) -> list[str]:
    outer = info.scope.parent or names.module
    return [names.resolve(base, outer) or f"?{decorator_name(base)}" for base in info.node.bases]


def _used_by_libraries(bases: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return which names the bases use that are known, and which bases are not."""
    used: set[str] = set()
    unknown: list[str] = []
    for base in bases:
        known = names_of(base)
        if known is None:
            unknown.append(base)
        else:
            used |= known
    return used, unknown
