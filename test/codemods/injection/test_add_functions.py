"""The queue of a module's functions: before and after."""

import pytest

from backend_retrofit.codemods.injection.add_functions import AddFunctions, NewFunctions

from .transforming import check_transformed

LINES = (
    "# >>> retrofit:functions v2 0123456789",
    "_queued = RequestEngine.for_module(__name__, queue_size=100)",
    "# <<< retrofit:functions",
)
BLOCK = "\n".join(LINES) + "\n"
IMPORT = "from ._request_engine import RequestEngine  # retrofit:import"


def add(beside: str, before: bool = False, import_line: str = ""):
    """Return what makes a transformer that adds the block beside a statement."""

    def for_text(text):
        newline = "\r\n" if "\r\n" in text else "\n"
        new = NewFunctions(LINES, import_line, text.index(beside), before, newline)
        return lambda source, numbers, module: AddFunctions(new, numbers.in_module(new.beside))

    return for_text


@pytest.mark.parametrize(
    ("before", "after", "beside", "above", "import_line"),
    [
        ("import a\nx = 1\n", f"import a\n\n{BLOCK}x = 1\n", "import a", False, ""),
        ("import a\n\n\nx = 1\n", f"import a\n\n{BLOCK}\n\nx = 1\n", "import a", False, ""),
        ("import a  # why\n# of x\nx = 1\n", f"import a  # why\n\n{BLOCK}# of x\nx = 1\n", "import a", False, ""),
        ("import a\nx = 1\n", f"import a\n{IMPORT}\n\n{BLOCK}x = 1\n", "import a", False, IMPORT),
        ("# head\n\n# of x\nx = 1\n", f"# head\n\n# of x\n{IMPORT}\n\n{BLOCK}x = 1\n", "x = 1", True, IMPORT),
        ("def f():\n    pass\n", f"{IMPORT}\n\n{BLOCK}def f():\n    pass\n", "def f", True, IMPORT),
    ],
)  # fmt: skip
def test_the_block_stands_below_or_directly_above_a_statement(before, after, beside, above, import_line):
    check_transformed(before, after, add(beside, above, import_line))
