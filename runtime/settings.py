"""How a class holds its settings and its entry point, and how an owner's engine is found.

Which settings there are: `options`. What they do is where `engine.settings` is read.
"""

import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, overload

from .engine import CallT, RequestEngine, engines
from .options import OPTIONS

GetT = TypeVar("GetT")
SetT = TypeVar("SetT")
USUAL = object()  # stands for the default of the table

# Class -> its settings by name, to know them again where a plain value was assigned to the class.
_declared: "weakref.WeakKeyDictionary[type, dict[str, Setting[Any, Any]]]" = weakref.WeakKeyDictionary()


class Member(property):
    """What stands in a class body: a property, so that frameworks that inspect those (pydantic, dataclasses) leave it alone.

    Decorators of classes may make each property anew from its functions, as typeguard does:
    `type(member)(fget=member.fget, ...)` is `member`.
    """

    def __new__(cls, *args: Any, fget: Any = None, **kwargs: Any) -> Any:
        """Return a new one, or the one whose function `fget` is."""
        return super().__new__(cls) if fget is None else fget.member

    def __init__(self, **functions: Any) -> None:
        if functions:  # it is not new
            return

        def read(instance: Any) -> Any:
            return self.__get__(instance)

        read.member = self  # type: ignore[attr-defined]
        super().__init__(read)

    def __reduce__(self) -> Any:
        """Be pickled with a class that is sent as its code, as cloudpickle (joblib, Dask, Spark, Ray) sends those of a script."""
        return type(self), ()


class Setting(Member, Generic[GetT, SetT]):
    """An attribute that can be changed on a live instance; a value that is not valid is refused.

    The value is kept in the instance's `__dict__`, hence copied and pickled with it, but only once it was assigned.
    One can serve several names, `queue_timeout = total_timeout = RequestEngine.setting()`: each gets one of its own.

    Args:
        default: the value until one is assigned; without it, that of the table.
        option: what it sets, where the attribute has another name.
        shared: a base class that is not known may use the attribute for its own ends. Its default is kept, and so is
            a value that is not valid as a setting; the default of the setting is in force then.
    """

    def __init__(
        self, default: Any = USUAL, option: str = "", shared: bool = False, **functions: Any
    ) -> None:
        super().__init__(**functions)
        if functions:
            return
        self.given = default, option, shared
        self.default = default
        self.option = option
        self.attribute = ""
        self.shared = shared
        self.inherited: Any = _NOTHING

    def __set_name__(self, owner: type, name: str) -> None:
        if self.attribute not in ("", name):
            another: Setting[Any, Any] = Setting(*self.given)
            setattr(owner, name, another)
            another.__set_name__(owner, name)
            return
        self.attribute = name
        self.option = self.option or name
        if self.default is USUAL:
            self.default = OPTIONS[self.option].default
        if self.shared:
            self.inherited = _inherited(owner, name)
            self.default = self.in_force(self.inherited if self.inherited is not _NOTHING else self.default)
        else:
            self.default = self.checked(self.default)
        _declared.setdefault(owner, {})[name] = self

    def __reduce__(self) -> Any:
        """Keep its name, which nobody says anew."""
        state = {name: value for name, value in vars(self).items() if name in ("attribute", "default")}
        if self.inherited is not _NOTHING and self.inherited is not _A_FIELD:
            state["inherited"] = self.inherited
        return type(self), (self.default, self.option, self.shared), state

    def in_force(self, value: Any) -> Any:
        """Return `value`, or for a shared attribute the default where it is not a valid setting."""
        try:
            return self.checked(value)
        except ValueError:
            if not self.shared:
                raise
            return self.default if self._makes_sense(self.default) else OPTIONS[self.option].default

    def _makes_sense(self, value: Any) -> bool:
        try:
            self.checked(value)
        except ValueError:
            return False
        return True

    def checked(self, value: Any) -> Any:
        """Return `value`; raise ValueError, naming the attribute, where it is not valid."""
        option = OPTIONS[self.option]
        try:
            return option.check(value)
        except (TypeError, ValueError):
            seen = "" if option.secret else f", not {value!r}"
            raise ValueError(f"{self.attribute} must be {option.allowed}{seen}") from None

    def __get__(self, instance: Any, owner: "type | None" = None) -> GetT:  # type: ignore[override]
        if self.inherited is _A_FIELD and instance is None:
            raise AttributeError(self.attribute)  # a model takes the field's own default then
        shown = self.default if self.inherited in (_NOTHING, _A_FIELD) else self.inherited
        return shown if instance is None else values_of(instance).get(self.attribute, shown)  # type: ignore[no-any-return]

    def __set__(self, instance: Any, value: SetT) -> None:
        values_of(instance)[self.attribute] = value if self.shared else self.checked(value)
        engine = engines.get(id(instance))
        if engine is not None:
            engine.configure(partial(_settings_of, instance, engine.values))

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, self.default)
        del values_of(instance)[self.attribute]


class MakeSetting(Protocol):
    """The type of `RequestEngine.setting`: what a setting gives, and what it takes, follows from its default."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a bool is an int, too
        self, default: bool, option: str = "", shared: bool = False
    ) -> Setting[bool, bool]: ...
    @overload
    def __call__(
        self, default: int, option: str = "", shared: bool = False
    ) -> Setting[int, "float | None"]: ...
    @overload
    def __call__(
        self, default: float, option: str = "", shared: bool = False
    ) -> Setting[float, "float | None"]: ...
    @overload
    def __call__(
        self, default: object = ..., option: str = "", shared: bool = False
    ) -> Setting[Any, Any]: ...


_NOTHING = object()
_A_FIELD = object()


def _inherited(owner: type, name: str) -> Any:
    """Return what the bases of a class have by a name: a plain default, `_A_FIELD` of a model, or `_NOTHING`."""
    for cls in owner.__mro__[1:]:
        for fields in ("__pydantic_fields__", "model_fields", "__fields__"):
            known = vars(cls).get(fields)
            if isinstance(known, dict) and name in known:
                return _A_FIELD
        value = vars(cls).get(name, _NOTHING)
        if isinstance(value, Setting):
            return _NOTHING
        if value is not _NOTHING and not hasattr(value, "__get__"):
            return value
    return _NOTHING


def values_of(instance: Any) -> dict[str, Any]:
    """Return where the values of an instance's settings are kept: its `__dict__`, or its engine if it has slots."""
    try:
        return instance.__dict__  # type: ignore[no-any-return]
    except AttributeError:
        return engine_of(instance).values


def _settings_of(owner: Any, values_in_slots: Mapping[str, Any]) -> dict[str, Any]:
    """Return option -> value for an instance, or for a class that holds a queue itself.

    `max_retries` is None where the class has no backoff.

    A plain value in the body of a subclass, or assigned to a class, hides the Setting: a Setting is put in its place,
    so that later assignments are noticed. A property in a subclass stays, and is asked when the settings are read.
    """
    values = {name: option.neutral for name, option in OPTIONS.items()}
    classes = (owner if isinstance(owner, type) else type(owner)).__mro__
    settings: dict[str, Setting[Any, Any]] = {}
    computed: set[str] = set()
    for cls in reversed(classes):
        declared = _declared.get(cls, {})
        for name, value in list(vars(cls).items()):
            hidden = settings.get(name) or declared.get(name)
            if hidden is not None and not hasattr(value, "__get__"):
                value = Setting(value, hidden.option, hidden.shared)
                value.__set_name__(cls, name)
                setattr(cls, name, value)
            if isinstance(value, Setting):
                settings[name] = value
            elif hidden is not None:
                computed.add(name)
    own = {} if isinstance(owner, type) else getattr(owner, "__dict__", values_in_slots)
    for name, setting in settings.items():
        if name in computed and not isinstance(owner, type):
            values[setting.option] = setting.in_force(getattr(owner, name))
        else:
            values[setting.option] = setting.in_force(own[name]) if name in own else setting.default
    return values


def engine_of(owner: Any) -> RequestEngine:
    """Return the engine of an instance or class, and make it at first use."""
    engine = engines.get(id(owner))
    if engine is None:
        try:
            engine = RequestEngine(owner)
        except (
            TypeError
        ):  # it cannot be referred to weakly, so nobody could say when it is gone: its class has one queue
            if isinstance(owner, type):
                raise
            return engine_of(type(owner))
        engine.configure(partial(_settings_of, owner, engine.values))
        engine = engines.setdefault(id(owner), engine)
        engine.configure(
            partial(_settings_of, owner, engine.values)
        )  # a setting may have been changed meanwhile
    elif engine.owner_is_class:
        engine.configure(partial(_settings_of, owner, engine.values))
    return engine


def _declare_the_rest(owner: type) -> None:
    """Make attributes of the settings that a class's blocks do not name; a name that it has already stays its own."""
    members = {name: value for cls in reversed(owner.__mro__) for name, value in vars(cls).items()}
    options = {value.option or name for name, value in members.items() if isinstance(value, Setting)}
    shared = any(isinstance(value, Setting) and value.shared for value in members.values())
    blocks = {OPTIONS[option].block for option in options if option in OPTIONS}
    taken = options | members.keys()
    for annotations in (vars(cls).get("__annotations__") for cls in owner.__mro__):
        taken |= annotations.keys() if isinstance(annotations, dict) else set()  # `type` has a descriptor
    for option in OPTIONS.values():
        if option.block in blocks and option.name not in taken:
            setting: Setting[Any, Any] = Setting(shared=shared)
            setattr(owner, option.name, setting)
            setting.__set_name__(owner, option.name)


class Wrap(Protocol):
    """The type of `self._queued`: to a type checker, what it returns is what it was given."""

    def __call__(self, call: CallT, /, retry: bool = True) -> CallT: ...


class EntryPoint(Member):
    """What `_queued` is in a class: `self._queued(function)` is `function`, made in its turn and retried.

    Reached through the class (`cls._queued`), the class itself holds the queue. A property, like the settings.
    It makes attributes of the settings that the class's blocks do not name.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        _declare_the_rest(owner)

    def __get__(self, instance: Any, owner: "type | None" = None) -> "Wrap":  # type: ignore[override]
        try:
            return engines[id(instance)].wrap
        except KeyError:
            return engine_of(owner if instance is None else instance).wrap
