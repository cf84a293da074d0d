"""Statements by their number: `ast` and LibCST must count the same."""

import ast
from pathlib import Path

import libcst as cst
import pytest

from backend_retrofit.codemods.injection.numbered import NumberedStatements, Numbers
from backend_retrofit.codemods.source.text import Source

from .transforming import dedented

ROOT = Path(__file__).resolve().parents[3]
EVERYTHING = dedented("""
    import a; import b
    @deco(lambda: 1)
    async def f(x=1, *, y: int = 2) -> int:
        async with a as b, c: await b
        async for x in y:
            continue
        else:
            pass
        del x
        return x
    if a: pass
    elif b:
        pass; pass
    else:
        while True:
            break
        else: pass
    try:
        raise a
    except b:
        pass
    except (c, d) as e: pass
    else:
        pass
    finally:
        pass
    match a:
        case [1, *_] if b:
            pass
        case {"x": y}: x = y; y = x
    class A(B, metaclass=C):
        x: int
        def g(self):
            global h
            def i(): nonlocal_ = 1
            with a: assert b, c
        x += 1
        class J: pass
    for x in y: yield_ = 1
""")


class Seen(NumberedStatements):
    """Notes where LibCST finds the statements that are named, instead of changing them."""

    def __init__(self, ways):
        super().__init__(ways)
        self.seen = {}

    def change(self, original, updated, way):
        self.seen[way] = original
        return updated


def check_counts_the_same(text: str) -> None:
    source = Source(text, "utf-8", b"")
    tree = ast.parse(text)
    numbers = Numbers(source, tree)
    ways = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            way, found = numbers.way_to(source.span(node)[0])
            assert found is node
            ways[way] = node
    module = cst.parse_module(text)
    visitor = Seen(ways)
    assert module.visit(visitor).code == text
    assert visitor.seen.keys() == ways.keys()
    for way, node in ways.items():
        told = ast.dump(ast.parse(ast.unparse(node)))
        name = type(node).__name__.removeprefix("Async")
        assert type(visitor.seen[way]).__name__ in (name, *OTHER_NAMES.get(name, ())), (way, told)
    for way in ways:
        alone = Seen([way])
        module.visit(alone)
        assert alone.seen == {way: visitor.seen[way]}


OTHER_NAMES = {"Delete": ("Del",), "TryStar": ("TryStar",)}


def test_every_kind_of_statement():
    check_counts_the_same(EVERYTHING)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "backends" / "plain").glob("*.py")), ids=lambda path: path.stem
)
def test_a_whole_module(path):
    check_counts_the_same(path.read_text(encoding="utf-8"))


def test_only_what_a_way_leads_through_is_visited():
    visited = []

    class Visits(Seen):
        def on_visit(self, node):
            if isinstance(node, cst.FunctionDef):
                visited.append(node.name.value)
            if isinstance(node, cst.Return):
                visited.append("return")
            return super().on_visit(node)

    text = "def f():\n    return 1\n\n\ndef g():\n    x = 1\n    return 2\n\n\ndef h():\n    return 3\n"
    cst.parse_module(text).visit(Visits([(2, 1)]))
    assert visited == ["f", "g", "h"]
