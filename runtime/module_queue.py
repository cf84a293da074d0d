"""The queue of a module, whose functions and static methods share it: `_queued = RequestEngine.for_module(__name__, ...)`."""

from typing import Any

from .engine import CallT, engines
from .members import methods, views
from .options import OPTIONS
from .settings import EntryPoint, Setting, engine_of


class ModuleQueue:
    """What `_queued` is in a module: `_queued(function)` is `function`, made in its turn and retried.

    Its attributes are the settings that an instance of a class would have: `_queued.max_retries = 2`.
    """

    def __getattr__(self, name: str) -> Any:
        """Say that there is no such setting; to a type checker, that settings can be read."""
        raise AttributeError(f"the queue of a module has no setting {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Change a setting.

        Raises:
            AttributeError: there is no such setting.
            ValueError: the value is not valid; the message names the setting.
        """
        if name not in OPTIONS:
            raise AttributeError(f"the queue of a module has no setting {name!r}", name=name, obj=self)
        super().__setattr__(name, value)

    def __call__(self, call: CallT, /, retry: bool = True) -> CallT:
        """Return `call` as a function that waits for its turn and, if `retry`, is tried again when it fails."""
        try:
            engine = engines[id(self)]
        except KeyError:
            engine = engine_of(self)
        return engine.wrap(call, retry)  # type: ignore[no-any-return]

    request_queue, current_requests = views()
    submit, map, priority, queue_stats = methods()

    def close(self) -> None:
        """Fail the waiting requests, let the running ones end, and join the queue's threads."""
        engine_of(self).close()

    def __reduce__(self) -> Any:
        """Be made anew where a copy arrives, as an instance's queue is: functions may be sent to other processes."""
        cls = type(self)
        defaults = {name: value.default for name, value in vars(cls).items() if isinstance(value, Setting)}
        return _copied_queue, (cls.__module__, {**defaults, **self.__dict__})


def for_module(name: str, **settings: Any) -> ModuleQueue:
    """Return the queue of a module.

    Args:
        name: of the module, `__name__`: that of the logger.
        settings: defaults; of the blocks queue and backoff it has those of which a setting is named.

    Raises:
        TypeError: there is no such setting.
        ValueError: a value is not valid; the message names the setting.
    """
    members: dict[str, Any] = {}
    for setting, value in settings.items():
        if setting not in OPTIONS:
            raise TypeError(f"there is no setting {setting!r}; there are {', '.join(OPTIONS)}")
        default: Setting[Any, Any] = Setting(value, setting)
        members[setting] = default
        default.attribute = setting
        default.checked(value)  # here, as Python before 3.12 hides what is raised while a class is made
    # The settings that are not named are declared by the entry point, as in a class.
    members |= {"__module__": name, "_queued": EntryPoint()}
    queue: ModuleQueue = type(name.rpartition(".")[2], (ModuleQueue,), members)()
    return queue


def _copied_queue(name: str, settings: dict[str, Any]) -> ModuleQueue:
    return for_module(name, **settings)
