"""What type checkers see of a runtime that is inside a file: its types, without its code.

The protocols are the runtime's own. The rest is in `templates/inline_types.py.j2`: what else the blocks name, by its
signatures. Every name gets a prefix, those of the standard library too, so that none meets one of the file's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from .runtime_file import RUNTIME

PREFIX = "_retrofit_"
MODULES = ("engine", "settings", "members")
"""Where the types are from that the template names."""


class RuntimeTypes:
    """The types of the runtime, as code.

    Attributes:
        variables: name -> the definition of a type variable.
        protocols: name -> the definition of a protocol.
        imports: name -> the module of the standard library that it is from.
    """

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.protocols: dict[str, str] = {}
        self.imports: dict[str, str] = {}
        for module in MODULES:
            self._read((RUNTIME / f"{module}.py").read_text(encoding="ascii"))

    def _read(self, text: str) -> None:
        lines = text.splitlines()
        for node in ast.parse(text).body:
            code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if isinstance(node, ast.ImportFrom) and not node.level:
                self.imports |= {alias.name: node.module or "" for alias in node.names}
            elif isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
                self.protocols[node.name] = code
            elif isinstance(node, ast.Assign) and re.search(r"= (TypeVar|ParamSpec)\(", code):
                self.variables[ast.unparse(node.targets[0])] = code

    def apart(self, code: str, engine: str) -> str:
        """Return code that names some of these, below what it needs, with the prefix before all names but `engine`."""
        own = {node.name for node in ast.parse(code).body if isinstance(node, ast.ClassDef)} - {engine}
        variables = _used(self.variables, code)
        code = "\n".join([*variables.values(), "", "", code])
        imports = _used(self.imports, code)
        renamed = re.compile(
            rf"\b({'|'.join([*own, *variables, *imports])})\b(?!-)"
        )  # not in "overload-overlap"
        lines = sorted(f"from {module} import {name} as {PREFIX}{name}" for name, module in imports.items())
        return "\n".join([*lines, "", renamed.sub(rf"{PREFIX}\1", code)])


def _used(known: Mapping[str, str], code: str) -> dict[str, str]:
    """Return those of the known names that are words of the code."""
    words = set(re.findall(r"\w+", code))
    return {name: told for name, told in known.items() if name in words}
