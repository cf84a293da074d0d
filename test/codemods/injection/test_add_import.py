"""The import of the runtime: before and after (C1, C2)."""

import pytest

from backend_retrofit.codemods.injection.add_import import AddImport, NewImport

from .transforming import check_transformed

LINE = "from ._request_engine import RequestEngine  # retrofit:import"


def add(beside: str, before: bool = False):
    """Return what makes a transformer that adds the import beside a statement."""

    def for_text(text):
        newline = "\r\n" if "\r\n" in text else "\n"
        new = NewImport(LINE, text.index(beside), before, newline)
        return lambda source, numbers, module: AddImport(new, numbers.in_module(new.beside))

    return for_text


@pytest.mark.parametrize(
    ("before", "after", "beside", "above"),
    [
        ("import a\nx = 1\n", f"import a\n{LINE}\nx = 1\n", "import a", False),
        ("import a; import b\nx = 1\n", f"import a; import b\n{LINE}\nx = 1\n", "import b", False),
        ("import a  # why\n# of x\nx = 1\n", f"import a  # why\n{LINE}\n# of x\nx = 1\n", "import a", False),
        ('"""Doc."""\n\nx = 1\n', f'"""Doc."""\n{LINE}\n\nx = 1\n', '"""Doc', False),
        ("from .b import (\n    c,\n)\nx = 1\n", f"from .b import (\n    c,\n)\n{LINE}\nx = 1\n", "from .b", False),
        ("import a\n\nfrom .b import c\n", f"import a\n\n{LINE}\nfrom .b import c\n", "from .b", True),
        ("# head\n\n# of x\nx = 1\n", f"# head\n\n# of x\n{LINE}\nx = 1\n", "x = 1", True),
        ("x = 1\n", f"{LINE}\nx = 1\n", "x = 1", True),
        ("@deco\nclass A:\n    pass\n", f"{LINE}\n@deco\nclass A:\n    pass\n", "class A", True),
        ("# head\n@deco\nclass A:\n    pass\n", f"# head\n{LINE}\n@deco\nclass A:\n    pass\n", "class A", True),
    ],
)  # fmt: skip
def test_the_import_stands_below_or_directly_above_a_statement(before, after, beside, above):
    check_transformed(before, after, add(beside, above))
