"""Running a function on one event, in a worker, with nothing kept of what comes of it."""

from __future__ import annotations

from typing import NamedTuple

from gateway.events import Record
from gateway.functions import FunctionSpec
from gateway.pipeline.handlers.occasions import Occasions, content_of
from gateway.pipeline.handlers.publishing import Row
from gateway.pipeline.handlers.workers import FunctionBroken, FunctionFailed, Worker


class Trial(NamedTuple):
    """What came of it: what would be published, or why the function failed."""

    version: str
    is_wanted: bool
    rows: list[Row]
    error: str


async def try_function(spec: FunctionSpec, record: Record | None = None) -> Trial:
    """Load a function and, given a record, have it work on that, within the handler's limits."""
    is_wanted = record is not None and Occasions(spec).wants(record)
    try:
        worker = await Worker.start(spec)
    except FunctionBroken as error:
        return Trial("", is_wanted, [], str(error))
    try:
        if record is None:
            return Trial(worker.version, is_wanted, [], "")
        answer = await worker.call(content_of(record, spec.name, 1))
    except FunctionFailed as error:
        return Trial(worker.version, is_wanted, [], str(error))
    else:
        return Trial(answer.version, is_wanted, answer.rows, "")
    finally:
        await worker.kill()
