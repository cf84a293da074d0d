"""The other files of a project, as one of its files sees them."""

from __future__ import annotations

from ..source.scopes import ClassInfo
from .elsewhere import Elsewhere
from .follow import Follower


class Project(Elsewhere):
    """The other files of a project, as one of its files sees them.

    Args:
        module: that file.
    """

    def __init__(self, follower: Follower, module: str) -> None:
        self.follower = follower
        self.module = module
        self.classes: list[ClassInfo] = []

    @property
    def is_concerned(self) -> bool:
        """Whether the file makes requests through what comes from others."""
        return self.module in self.follower.view.concerned

    def _own(self, name: str) -> str:
        """Return a name with a class of this very file called as the file knows it."""
        start = f"@{self.module}:"
        if name.startswith(start):
            path, called, rest = name[len(start) :].partition("()")
            for info in self.classes:
                if info.scope.path == path:
                    return f"<{info.index}>{called}{rest}"
        return name

    def imported(self, written: str) -> str:
        return self._own(self.follower.follow(written, self.module))

    def has(self, written: str) -> bool:
        return self.follower.target(written, self.module) is not None

    def attribute(self, name: str, attribute: str) -> str:
        return self._own(self.follower.step(name, attribute))

    def called(self, name: str) -> str:
        return self._own(self.follower.step(name, "()"))

    def member(self, info: ClassInfo, name: str) -> str:
        return self._own(self.follower.member(self.module, info.scope.path, name))

    def methods_of(self, info: ClassInfo) -> frozenset[str]:
        return self.follower.methods(self.module, info.scope.path)

    def star(self, module: str, name: str) -> str:
        target = self.follower.target(module, self.module)
        if target is None or target[1]:
            return ""
        return self._own(self.follower.of_module(target[0], name))

    def client_base(self, name: str) -> str:
        if not name.startswith("@"):
            return ""
        module, _, path = name[1:].partition(":")
        return self.follower.client_base(module, path)
