"""API keys: as assigned, else from `metadata`, the environment or a `.env` file. A key is never logged."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .engine import engines
from .probing import attribute, has_method, logger_of, safe_log
from .settings import Member, engine_of, values_of

_OUTSIDE = (" in the environment", " in .env")  # where a key is looked for once


class ApiKey(Member):
    """An API key: as assigned, else from the instance's `metadata`, the environment, or a `.env` file.

    Args:
        variables: names of environment variables, first choice first.
        metadata_names: names in `metadata`, beside `api_key`, `<class>_api_key` and the variables in lower case.
        empty_is_missing: take an assigned "" for a missing key; otherwise it means that there is to be none.
        missing: given where no key is found; None: what was assigned, so that `if self.api_key is None` still holds.
    """

    def __init__(
        self,
        *variables: str,
        metadata_names: Sequence[str] = (),
        empty_is_missing: bool = False,
        missing: "str | None" = None,
        **functions: Any,
    ) -> None:
        super().__init__(**functions)
        if functions:
            return
        self.variables = variables
        self.metadata_names = ("api_key", *metadata_names, *map(str.lower, variables))
        self.empty_is_missing = empty_is_missing
        self.missing = missing
        self.attribute = "api_key"

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.metadata_names += (f"{owner.__name__.lower()}_api_key",)

    def __set__(self, instance: Any, value: Any) -> None:
        values = values_of(instance)
        values[self.attribute] = value
        engine = engines.get(id(instance))
        if engine is not None:
            engine.keys.pop(self.attribute, None)

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, None)
        del values_of(instance)[self.attribute]

    def __get__(self, instance: Any, owner: "type | None" = None) -> Any:
        if instance is None:
            return self
        values = values_of(instance)
        assigned = values.get(self.attribute)
        if assigned == "" and not self.empty_is_missing:
            return ""
        if assigned is not None and not isinstance(assigned, str):
            return assigned  # a callable or a secret's wrapper: not ours to judge
        if (key := _clean_key(assigned, self.attribute)) is not None:
            return key
        keys = engine_of(instance).keys
        known = keys.get(self.attribute)
        found = self._in_metadata(instance)
        if found is None:
            if known is not None and known[1].endswith(_OUTSIDE):
                return known[0]
            found = self._outside(instance)
        if found is None:
            keys.pop(self.attribute, None)
            if self.missing is not None:
                return self.missing
            if self.attribute not in values:
                name = type(instance).__name__
                raise AttributeError(f"{name!r} object has no attribute {self.attribute!r}")
            return assigned
        if found != known:
            keys[self.attribute] = found
            name = type(instance).__name__
            safe_log(logger_of(instance), logging.INFO, "%s: API key taken from %s", name, found[1])
        return found[0]

    def _in_metadata(self, instance: Any) -> "tuple[Any, str] | None":
        metadata = attribute(instance, "metadata")
        if isinstance(metadata, Mapping):
            for name in self.metadata_names:
                value = metadata.get(name)
                key = (
                    value
                    if callable(value) or has_method(value, "get_secret_value")
                    else _clean_key(value, name)
                )
                if key is not None:
                    return key, f'metadata["{name}"]'
        return None

    def _outside(self, instance: Any) -> "tuple[Any, str] | None":
        for name in self.variables:
            if (key := _clean_key(os.environ.get(name), name)) is not None:
                return key, f"{name}{_OUTSIDE[0]}"
        engine = engine_of(instance)
        if engine.dotenv is None:
            engine.dotenv = _read_dotenv(logger_of(instance))
        for name in self.variables:
            if (key := _clean_key(engine.dotenv.get(name), name)) is not None:
                return key, f"{name}{_OUTSIDE[1]}"
        return None


def _clean_key(value: Any, name: str) -> "str | None":
    """Return a key without the white space around it, or None for a blank one; the value is never shown."""
    if not isinstance(value, str) or not (key := value.strip()):
        return None
    if any(char in key for char in "\r\n\0"):
        raise ValueError(f"The API key in {name} has a line break inside it; it was not used.")
    return key


def _read_dotenv(logger: logging.Logger) -> Mapping[str, "str | None"]:
    """Return what the nearest `.env` says, from the working directory upwards; `os.environ` is not changed."""
    if os.environ.get("PYTHON_DOTENV_DISABLED", "").strip().lower() in ("1", "true", "t", "yes", "y"):
        return {}
    try:
        from dotenv import dotenv_values, find_dotenv
    except ImportError:
        safe_log(logger, logging.DEBUG, "python-dotenv is not installed: no .env file is read")
        return {}
    try:
        path = find_dotenv(usecwd=True)
        return dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, ValueError) as error:
        safe_log(logger, logging.DEBUG, "the .env file could not be read: %s", type(error).__name__)
        return {}
