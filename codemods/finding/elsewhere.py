"""What a file's names may stand for outside of it: what it asks of other files, and which of several things is meant."""

from __future__ import annotations

from collections.abc import Iterable

from ..source.scopes import ClassInfo
from ..tables.lookup import Catalogue

UNKNOWN = ""


class Elsewhere:
    """What is known of names that come from other files: here, only how they are written.

    Attributes:
        classes: those of the file itself.
    """

    classes: list[ClassInfo] = []

    def imported(self, written: str) -> str:
        """Return what an import gives: `requests.Session`, `..http.make_session`."""
        return f".{written.lstrip('.')}" if written.startswith(".") else written

    def has(self, written: str) -> bool:
        """Return True if what an import leads to is a module of the project, or something in one."""
        return written.startswith(".")

    def attribute(self, name: str, attribute: str) -> str:
        """Return the dotted name of an attribute of what a name stands for."""
        return f"{name}.{attribute}"

    def called(self, name: str) -> str:
        """Return what calling gives."""
        return f"{name}()"

    def member(self, info: ClassInfo, name: str) -> str:
        """Return what `self.name` is in a class of the file, none of whose bases in the file has it."""
        return UNKNOWN

    def methods_of(self, info: ClassInfo) -> frozenset[str]:
        """Return the names of the methods that a class of the file has of bases in other files."""
        return frozenset()

    def star(self, module: str, name: str) -> str:
        """Return what a name is that `from module import *` may have brought."""
        return UNKNOWN

    def client_base(self, name: str) -> str:
        """Return the library's class that a base class of another file derives from, or nothing."""
        return UNKNOWN


def best(names: Iterable[str], catalogue: Catalogue) -> str:
    """Return the one of several names that a thing is taken to be: a client, if one is among them."""
    found = [name for name in names if name]
    clients = [name for name in found if name.endswith("()") and catalogue.is_client(name[:-2])]
    if not clients:
        return next(iter(found), UNKNOWN)
    # What may be another class as well counts only where the method's name tells that it is a request.
    if catalogue.any_method(clients[0][:-2]) and any(
        name.endswith("()") and name not in clients for name in found
    ):
        return UNKNOWN
    return clients[0]
