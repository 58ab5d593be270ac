"""Finding a function by its name, calling it, and reading what it returns."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import orjson

from gateway.functions.events import QOS_MAX, Event, Publish

VERSION_DIGITS = 12
TRACE_CHARS_MAX = 8_000
OUTPUTS_MAX = 1_000
PAIR = 2
OWN_FRAMES = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen ")

Row = tuple[str, bytes, bool, int]
"""What is to be published, as it travels: topic, payload, retain, QoS."""


Complete = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine to its end, as `asyncio.Runner.run` does."""


class FunctionNotFound(Exception):
    """A module can't be imported or has no such function; the text says why, traceback included."""


class Loaded(NamedTuple):
    """A function that can be called, and what tells this version of it from others."""

    function: Callable[[Event], Any]
    version: str


def load_function(call: str, folder: Path) -> Loaded:
    """Import MODULE:FUNCTION, looked for in `folder` first; it runs what the module runs.

    Raises:
        FunctionNotFound: says what is wrong.
    """
    module_name, _, name = call.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        # A person's module may raise anything at all.
        raise FunctionNotFound(trace_of(error)) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = sorted(key for key, own in vars(module).items() if inspect.isfunction(own))
        raise FunctionNotFound(
            f"module {module_name!r} has no function {name!r}; it has: {', '.join(known) or 'none'}"
        )
    return Loaded(function, version_of(module))


def version_of(module: ModuleType) -> str:
    """What a module says of itself in `__version__`, and a digest of its source."""
    try:
        source = Path(module.__file__ or "").read_bytes()
    except OSError:
        source = b""
    digest = hashlib.sha256(source).hexdigest()[:VERSION_DIGITS]
    stated = getattr(module, "__version__", None)
    return digest if stated is None else f"{stated}+{digest}"


def event_of(content: dict[str, Any]) -> Event:
    """The event that the gateway has sent, its payload decoded."""
    try:
        payload = orjson.loads(content["raw"])
    except orjson.JSONDecodeError:
        payload = None
    return Event(payload=payload, **content)


def call_function(loaded: Loaded, event: Event, run: Complete) -> list[Row]:
    """Call a function, by `run` to its end if it is async; returns what is to be published."""
    result = loaded.function(event)
    if inspect.isawaitable(result):
        result = run(_settled(result))
    return rows_of(result)


async def _settled(awaitable: Any) -> Any:
    return await awaitable


def rows_of(result: object) -> list[Row]:
    """Read what a function has returned: nothing, a `Publish`, a (topic, payload), or several.

    Raises:
        TypeError: it is something else.
        ValueError: there are too many, or a QoS that doesn't exist.
    """
    if result is None:
        return []
    if isinstance(result, Publish) or is_pair(result):
        return [_row(result)]
    if isinstance(result, str | bytes | dict) or not isinstance(result, Iterable):
        raise TypeError(_unusable(result))
    rows: list[Row] = []
    for one in result:
        if len(rows) == OUTPUTS_MAX:
            raise ValueError(f"a function returns at most {OUTPUTS_MAX} events to publish")
        rows.append(_row(one))
    return rows


def is_pair(value: object) -> bool:
    """Whether a value is a topic and a payload."""
    return isinstance(value, tuple) and len(value) == PAIR and isinstance(value[0], str)


def _row(value: Any) -> Row:
    if is_pair(value):
        value = Publish(*value)
    if not isinstance(value, Publish):
        raise TypeError(_unusable(value))
    if value.qos not in range(QOS_MAX + 1):
        raise ValueError(f"qos is 0, 1 or 2, not {value.qos!r}")
    if not isinstance(value.topic, str):
        raise TypeError(f"a topic is text, not {type(value.topic).__name__}")
    return value.topic, _encoded(value.payload), bool(value.retain), value.qos


def _encoded(payload: Any) -> bytes:
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    return payload.encode() if isinstance(payload, str) else orjson.dumps(payload)


def _unusable(value: object) -> str:
    return (
        f"a function returns None, Publish(topic, payload), (topic, payload) or a list of those, "
        f"not {type(value).__name__}"
    )


def trace_of(error: BaseException) -> str:
    """The traceback of an error without our own frames; the end of it, where it is long."""
    frames = traceback.extract_tb(error.__traceback__)
    kept = [one for one in frames if not one.filename.startswith(OWN_FRAMES)]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(kept)]
    lines += traceback.format_exception_only(error)
    text = "".join(lines if kept else lines[1:]).rstrip()
    return text if len(text) <= TRACE_CHARS_MAX else f"… {text[-TRACE_CHARS_MAX:]}"
