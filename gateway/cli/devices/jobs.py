"""`penstock devices jobs`: one thing done to many devices, at a pace, and how far it has come."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.devices.asking import ask_gateway, who
from gateway.cli.devices.command import wanted_of
from gateway.cli.devices.registering import tags_of
from gateway.cli.devices.registry_access import CONFIG, DATA, log_dir_of
from gateway.cli.record_lines import iso_time
from gateway.devices import (
    COMMANDS_TABLE,
    JOBS_TABLE,
    Document,
    Job,
    decode_command,
    decode_job,
    read_object,
    read_wish,
    shown_job,
)
from gateway.documents import did_you_mean
from gateway.errors import PenstockError
from gateway.store import StreamReader, open_reader

ID_BYTES = 4
PATTERN = typer.Argument(help="Which ids, such as 'pump-*'; the registry is asked.")
PROFILE = typer.Option("", help="Only devices with this profile.")
TAGS = typer.Option([], "--tag", help="Only with this tag, name=text; may be given several times.")
RATE = typer.Option(100, min=1, help="How many devices a second, at most.")
JOB_ID = typer.Option("", "--id", help="Its identifier; the same is done once.")
JSON = typer.Option(False, "--json", help="Print one JSON object a line.")

app = typer.Typer(help="Do one thing to many devices.", no_args_is_help=True)


class NoSuchJob(PenstockError):
    """There is no job of that name."""


@app.command("set")
def set_desired(
    pattern: str = PATTERN,
    patch: str = typer.Argument(help="What is wanted of each: a JSON object; null removes."),
    profile: str = PROFILE,
    tag: list[str] = TAGS,
    rate: int = RATE,
    job_id: str = JOB_ID,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Change what is wanted of many devices."""
    query = {"pattern": pattern, "profile": profile, "tags": tags_of(tag)}
    content = read_object(patch.encode())
    wish = _wish("set", content, query, rate, job_id)
    _print(asyncio.run(ask_gateway(log_dir_of(data, config), "job.start", wish)), as_json=json)


@app.command("command")
def send_command(
    pattern: str = PATTERN,
    name: str = typer.Argument(help="What they are to do."),
    payload: str = typer.Option("null", help="What goes with it, as JSON."),
    timeout: str = typer.Option("30s", help="How long a device may take for its answer."),
    ttl: str = typer.Option("1h", help="How long it may wait until its device listens."),
    deliveries: int = typer.Option(1, min=1, help="How often it may be sent to a device."),
    profile: str = PROFILE,
    tag: list[str] = TAGS,
    rate: int = RATE,
    job_id: str = JOB_ID,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Give many devices a command, whose identifier is that of the job."""
    query = {"pattern": pattern, "profile": profile, "tags": tags_of(tag)}
    content = orjson.loads(wanted_of(name, payload, timeout, ttl, deliveries))
    wish = _wish("command", content, query, rate, job_id)
    _print(asyncio.run(ask_gateway(log_dir_of(data, config), "job.start", wish)), as_json=json)


@app.command("list")
def list_jobs(data: Path | None = DATA, config: Path | None = CONFIG, json: bool = JSON) -> None:
    """List the jobs that run, and those that ended last."""
    for job in asyncio.run(_read(log_dir_of(data, config))):
        _print(shown_job(job), as_json=json)


@app.command()
def show(
    job_id: str = typer.Argument(metavar="ID", help="Identifier of the job."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Show one job: how far it is, what failed, and what became of its commands."""
    found = asyncio.run(_show(log_dir_of(data, config), job_id))
    if json:
        print(orjson.dumps(found).decode())
        return
    print(line_of(found))
    for device, error in found["failures"].items():
        print(f"  {device}: {error}")
    for state, count in found.get("outcomes", {}).items():
        print(f"  {state}: {count}")


@app.command()
def cancel(
    job_id: str = typer.Argument(metavar="ID", help="Identifier of the job."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Let a job do nothing more; what it has done stays."""
    _print(asyncio.run(ask_gateway(log_dir_of(data, config), "job.cancel", job_id)), as_json=json)


def _wish(kind: str, content: Document, query: dict[str, Any], rate: int, job_id: str) -> bytes:
    """What the gateway is asked for; what can't be is refused before it is asked."""
    wish = orjson.dumps(
        {
            "id": job_id or f"job-{secrets.token_hex(ID_BYTES)}",
            "kind": kind,
            "content": content,
            "query": query,
            "by": who(),
            "rate_per_s": rate,
        }
    )
    read_wish(wish)
    return wish


async def _read(data_dir: Path) -> list[Job]:
    reader = await open_reader(data_dir)
    try:
        return await jobs_in(reader)
    finally:
        await reader.close()


async def jobs_in(reader: StreamReader) -> list[Job]:
    """Every job that is remembered, the newest last."""
    found = [decode_job(encoded) for _, encoded in await reader.entries(JOBS_TABLE)]
    return sorted((job for job in found if job is not None), key=lambda job: job.created_ms)


async def _show(data_dir: Path, job_id: str) -> dict[str, Any]:
    reader = await open_reader(data_dir)
    try:
        jobs = {job.wish.id: job for job in await jobs_in(reader)}
        if job_id not in jobs:
            raise NoSuchJob(f"there is no job '{job_id}'{did_you_mean(job_id, jobs)}")
        job = jobs[job_id]
        outcomes = await outcomes_of(reader, job_id) if job.wish.kind == "command" else None
    finally:
        await reader.close()
    return shown_job(job) | ({} if outcomes is None else {"outcomes": outcomes})


async def outcomes_of(reader: StreamReader, command_id: str) -> dict[str, int]:
    """How many of the commands of that identifier stand how, the most first."""
    counts: Counter[str] = Counter()
    for key, encoded in await reader.entries(COMMANDS_TABLE):
        command = decode_command(encoded) if key.endswith(f"/{command_id}") else None
        if command is not None:
            counts[command.state] += 1
    return dict(counts.most_common())


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    print(orjson.dumps(found).decode() if as_json else line_of(found))


def line_of(found: dict[str, Any]) -> str:
    """A job in one line, for people."""
    moment = iso_time(found["ended"] or found["created"])
    progress = f"{found['done']} of {found['total']} done, {found['failed']} failed"
    query = found["query"]["pattern"]
    return f"{found['id']}  {found['kind']} {query}  {found['state']}  {progress}  {moment}"
