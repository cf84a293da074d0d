"""Makes one file of the runtime's modules, as it is put beside or inside the files of a user.

The modules of `runtime/` follow each other in `MODULES`, each under a heading. What they import from one another is
left out, and what they import from the standard library is imported once, at the top. That this is enough, the modules
themselves see to: no two have a name in common, and each imports only from those before it, by
`from .module import name` at its top (what only a type checker needs, below `if TYPE_CHECKING:`).
"""

from __future__ import annotations

import ast
import runpy
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

from ..source.garbage import no_garbage_collection

RUNTIME = Path(__file__).resolve().parents[2] / "runtime"
MODULES = """
    errors clocks probing parts options vendor server_delay failures repeating slots testing_mode adaptive learnt_rates rates workers spare_slots starts held_slots closing
    gate usage pacing health connections retry_policy
    request waiting streams bodies async_waiting async_streams async_generators async_calls call_kinds jobs calls
    vendors/aiohttp vendors/botocore vendors/by_argument vendors/genai vendors/grpc vendors/httpx vendors/requests
    vendors/retrying vendors/sdk vendors/urllib3
    wrap showing engine settings keys closers members module_queue __init__
""".split()  # fmt: skip
"""In the order in which they import from one another."""
INSTALLED_ONLY = ("instrumentation", "pool", "shared", "tasks")
"""Modules and folders that only the installed runtime has; they may import any of the others, and none imports them."""
_WIDTH = 110


@cache
@no_garbage_collection()
def runtime_source() -> str:
    """Return the runtime as one module, in black's format."""
    modules = {name: _Module(name) for name in MODULES}
    plain = {name for module in modules.values() for name in module.imports}
    members: defaultdict[str, set[str]] = defaultdict(set)
    for module in modules.values():
        for package, names in module.members.items():
            members[package] |= names - {"TYPE_CHECKING"}
    imports = [f"import {name}\n" for name in sorted(plain)]
    imports += [
        _import_from(package, sorted(names, key=_isort_key))
        for package, names in sorted(members.items())
        if names
    ]
    sections = [f"{module.heading}\n\n\n{module.code}\n" for module in modules.values()]
    head = f'"""{modules["__init__"].docstring}\n"""\n\n{"".join(imports)}\n'
    return head + "\n\n".join(sections)


def runtime_options() -> dict[str, Any]:
    """Return the table of settings, `OPTIONS` of `runtime/options.py`: name -> row."""
    return dict(runpy.run_path(str(RUNTIME / "options.py"))["OPTIONS"])


class _Module:
    """A module of the runtime, taken apart: docstring, imports from the standard library, and code."""

    def __init__(self, name: str) -> None:
        text = (RUNTIME / f"{name}.py").read_text(encoding="ascii")
        tree = ast.parse(text)
        self.docstring = ast.get_docstring(tree) or ""
        about = "\n".join(f"# {line}".rstrip() for line in self.docstring.splitlines())
        title = f"# {name.rpartition('/')[2]} "
        self.heading = title.ljust(_WIDTH, "-") + ("" if name == "__init__" else f"\n{about}")
        self.imports: set[str] = set()
        self.members: defaultdict[str, set[str]] = defaultdict(set)
        end = 0
        for node in tree.body:
            if isinstance(node, ast.Import):
                self.imports |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                if not node.level:
                    self.members[node.module or ""] |= {alias.name for alias in node.names}
            elif end and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
                break
            end = node.end_lineno or 0
        self.code = "".join(text.splitlines(keepends=True)[end:]).strip("\n")


def _import_from(package: str, names: list[str]) -> str:
    line = f"from {package} import {', '.join(names)}\n"
    if len(line) <= _WIDTH + 1:
        return line
    return f"from {package} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


def _isort_key(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
