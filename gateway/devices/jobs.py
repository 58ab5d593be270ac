"""Doing one thing to many devices: whom a job is for, what it does, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec
import orjson

from gateway.devices.commands.command import check_command_id, read_wanted
from gateway.devices.registry import Device
from gateway.devices.twins.patches import Document, check_document, read_object
from gateway.errors import PenstockError

JOBS_TABLE: Final = "device-jobs"
JOBS_RUNNING_MAX: Final = 10
JOBS_KEPT_MAX: Final = 100
FAILURES_SHOWN_MAX: Final = 20
RATE_MAX: Final = 10_000

JobState = Literal["running", "done", "cancelled"]
JobKind = Literal["set", "command"]


class JobRefused(PenstockError):
    """A job can't be so, or not now; the message says why."""


class Query(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which devices of the registry are meant: all that fit everything it says."""

    pattern: str = "*"
    profile: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    def fits(self, device: Device) -> bool:
        """Whether a device is meant; one that is disabled or no device never is."""
        return (
            device.status == "active"
            and device.role == "device"
            and fnmatchcase(device.id, self.pattern)
            and self.profile in ("", device.profile)
            and self.tags.items() <= device.tags.items()
        )


class JobWish(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What somebody wants: `content` is the patch of a `set`, or what a `command` is."""

    id: str
    kind: JobKind
    content: Document
    query: Query
    by: str = ""
    rate_per_s: int = 100


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as the table keeps it; `cursor` is the last device that it has seen to, in id order."""

    wish: JobWish
    created_ms: int
    state: JobState = "running"
    cursor: str = ""
    total: int = 0
    done: int = 0
    failed: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    ended_ms: int = 0


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Job)


def encode_job(job: Job) -> bytes:
    """A job as the table keeps it."""
    return ENCODER.encode(job)


def decode_job(encoded: bytes) -> Job | None:
    """Read back what `encode_job` made; None for what nobody can read."""
    try:
        return DECODER.decode(encoded)
    except msgspec.DecodeError:
        return None


def read_wish(payload: bytes) -> JobWish:
    """What somebody wants of many devices, checked before anything is done to one of them.

    Raises:
        PenstockError: it is no job, or beyond a limit.
    """
    try:
        wish = msgspec.convert(orjson.loads(payload), JobWish)
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        raise JobRefused(f"no job: {error}") from None
    check_command_id(wish.id)
    if not 1 <= wish.rate_per_s <= RATE_MAX:
        raise JobRefused(f"'rate_per_s' is {wish.rate_per_s}; it must be 1 to {RATE_MAX}")
    content = orjson.dumps(wish.content)
    if wish.kind == "set":
        check_document(read_object(content), "the patch")
    else:
        read_wanted(content)
    return wish


def advanced(job: Job, cursor: str, failures: Mapping[str, str], done: int) -> Job:
    """The job once it has seen to the devices up to `cursor`; `done` of them, others failed."""
    return msgspec.structs.replace(
        job,
        cursor=cursor,
        done=job.done + done,
        failed=job.failed + len(failures),
        failures=(*job.failures, *failures.items())[:FAILURES_SHOWN_MAX],
    )


def finished(job: Job, state: JobState, now_ms: int) -> Job:
    """The job once it does nothing more."""
    return msgspec.structs.replace(job, state=state, ended_ms=now_ms)


def shown_job(job: Job) -> dict[str, Any]:
    """How a job stands, for programs."""
    wish = job.wish
    return {
        "id": wish.id,
        "kind": wish.kind,
        "content": wish.content,
        "query": {
            "pattern": wish.query.pattern,
            "profile": wish.query.profile,
            "tags": wish.query.tags,
        },
        "by": wish.by,
        "rate_per_s": wish.rate_per_s,
        "state": job.state,
        "created": job.created_ms,
        "ended": job.ended_ms or None,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "failures": dict(job.failures),
    }
