"""A plugin of pytest's: the runtime's tests, run with the one file that is made of its modules.

    python -m pytest -p test.runtime_package.assembled test/runtime

As no two modules have a name in common, the file can stand for each of them, in this process and in those that tests start.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from backend_retrofit.codemods.blocks.runtime_file import MODULES, runtime_source

PACKAGE = "backend_retrofit_runtime"
ALIAS = f'import sys\n\nsys.modules[__name__] = sys.modules["{PACKAGE}"]\n'

_folder = tempfile.TemporaryDirectory(prefix="assembled-")
for name in MODULES:
    path = Path(_folder.name, PACKAGE, f"{name}.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(runtime_source() if name == "__init__" else ALIAS)
sys.path.insert(0, _folder.name)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_folder.name, os.environ.get("PYTHONPATH", "")]))
