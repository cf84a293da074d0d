"""The codemod: as a command, and as a LibCST codemod that LibCST's own runner can run.

python -m libcst.tool codemod -x backend_retrofit.codemods.add_queue_backoff.AddQueueBackoffCommand src/clients
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import libcst
from libcst.codemod import CodemodCommand, CodemodContext, SkipFile

from .blocks.templates import RUNTIME_MODULE
from .command import entry
from .disk.places import home_of
from .model import BLOCKS, Options
from .planning.file import plan_module


class AddQueueBackoffCommand(CodemodCommand):
    """Gives the classes of a module their blocks, or takes them out; everything else stays as it is."""

    DESCRIPTION = "Add a request queue, exponential backoff and environment keys to API client classes."

    def __init__(
        self,
        context: CodemodContext,
        blocks: str = ",".join(BLOCKS),
        remove: bool = False,
        runtime: str = "auto",
    ) -> None:
        super().__init__(context)
        self.options = Options(blocks=tuple(blocks.split(",")), remove=remove, runtime=runtime)

    @staticmethod
    def add_args(arg_parser: argparse.ArgumentParser) -> None:
        """Add this codemod's own arguments to those of LibCST's runner."""
        arg_parser.add_argument(
            "--blocks", default=",".join(BLOCKS), help="queue,backoff,env_key (default: all)"
        )
        arg_parser.add_argument("--remove", action="store_true", help="take the retrofit out again")
        arg_parser.add_argument("--runtime", choices=("auto", "shared", "package", "inline"), default="auto")

    def transform_module_impl(self, tree: libcst.Module) -> libcst.Module:
        """Return the module with its blocks.

        LibCST's runner writes one file at a time, so the runtime goes into the file itself unless it lies beside it
        already.
        """
        path = Path(self.context.filename or "module.py")
        home = home_of(path, tree.bytes, self.options)
        beside = home.path is not None and home.path.exists()
        if path.stem == RUNTIME_MODULE:
            raise SkipFile("it is the runtime")
        planned, changed = plan_module(
            tree,
            path,
            self.options,
            place=replace(home.place, can_share=beside),
        )
        for problem in planned.problems:
            self.warn(f"line {problem.line}: {problem.reason}" if problem.line else problem.reason)
        return changed


def main() -> int:
    """Run the command."""
    return entry.add_queue_backoff()


if __name__ == "__main__":
    sys.exit(main())
