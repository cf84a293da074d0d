"""Work that crashes its process; in a module of its own, as each process that does it reads the module first."""

import os
import signal
from pathlib import Path

from backend_retrofit.codemods.disk import work
from backend_retrofit.codemods.finding.summary import Summary
from backend_retrofit.codemods.model import FilePlan


class CrashingAtClient3(work.Planning):
    """Stands in for a file that makes a parser overflow its stack."""

    def __call__(self, path: Path) -> FilePlan:
        if path.name == "client3.py":
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(path)


class SummarisingCrashes(work.Summarising):
    """The same, when the project is looked at."""

    def __call__(self, path: Path) -> Summary:
        if path.name == "client3.py":
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(path)
