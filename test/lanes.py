"""In which order the processes of xdist take the tests (`-n`), so that neither the cores nor the processes stand idle."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController


class Lanes(LoadScopeScheduling):
    """Hand out tests one by one: from the front to some processes, from the back to the others.

    At the front are those that take long, at the back those that mostly wait. So some of both kinds run at any time
    until the two lanes meet, and where they meet the tests are short.

    xdist's own groups (`loadgroup`) would do for the files, but they are not seen with pytest 9.2, where a test's ID
    cannot be set.
    """

    def __init__(self, config: pytest.Config, log: Any, together: Collection[str]) -> None:
        """Take what xdist gives, and the files whose tests all go to one process, as paths from the root."""
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the files with the most tests first
        self._together = frozenset(together)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in self._together else nodeid

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """Each test's place in what was collected, which is the same in all processes."""
        assert self.collection is not None
        return {nodeid: place for place, nodeid in enumerate(self.collection)}

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Send the tests of the next scope to a process; two of three take theirs from the back."""
        scope, unit = self.workqueue.popitem(last=self.nodes.index(node) % 3 != 1)
        self.assigned_work[node][scope] = unit
        node.send_runtest_some([self._places[nodeid] for nodeid, ended in unit.items() if not ended])

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forget a scope whose tests have all ended: xdist counts what is left of all scopes, at each test."""
        nodeid = self.registered_collections[node][item_index]
        scope = self._split_scope(nodeid)
        unit = self.assigned_work[node][scope]
        unit[nodeid] = True
        if all(unit.values()):
            del self.assigned_work[node][scope]
        self._reschedule(node)
