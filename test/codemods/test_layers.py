"""No import runs back: a folder of `codemods/` imports only from those above it, and modules import in no circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import backend_retrofit.codemods as codemods

FOLDER = Path(codemods.__file__).parent
LAYERS = (
    {"tables"},
    {"model"},
    {"source"},
    {"finding"},
    {"blocks"},
    {"injection"},
    {"planning"},
    {"disk", "reporting"},
    {"command"},
    {"add_queue_backoff"},
    {"fix_openai_api_implementation"},
)
MODULES = {path.relative_to(FOLDER).with_suffix("").parts: path for path in FOLDER.rglob("*.py")}


def imported(module: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Return the modules of `codemods/` that a module imports, wherever in it the imports stand."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            start = module[: len(module) - node.level]
            target = (*start, *(node.module.split(".") if node.module else ()))
            names = {(*target, alias.name) for alias in node.names}
            found |= {name if name in MODULES else target for name in names}
    return {name if name in MODULES else (*name, "__init__") for name in found}


def layer(module: tuple[str, ...]) -> int:
    return next(number for number, names in enumerate(LAYERS) if module[0] in names)


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {("__init__",)}), ids="/".join)
def test_a_module_imports_only_from_its_own_folder_and_from_those_before_it(module):
    for other in imported(module):
        assert other in MODULES, f"{module} imports {other}, which is no module"
        assert other[0] == module[0] or layer(other) < layer(module), f"{module} imports {other}"


def test_a_folders_docstring_is_all_that_its_package_has():
    for module, path in MODULES.items():
        if module[-1] == "__init__":
            (docstring,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(docstring, ast.Expr), path


def test_modules_import_in_no_circle():
    list(TopologicalSorter({module: imported(module) for module in MODULES}).static_order())


def test_a_module_has_at_most_400_lines():
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in MODULES.values()}
    assert {path: number for path, number in lines.items() if number > 400} == {}


def test_absolute_imports_of_the_project_itself_are_not_used():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "backend_retrofit"], path


def test_tests_lie_where_their_modules_lie():
    tests = Path(__file__).parent
    for path in tests.rglob("*/test_*.py"):
        module = path.relative_to(tests)
        assert (FOLDER / module.with_name(module.name.removeprefix("test_"))).exists(), module
