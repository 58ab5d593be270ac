"""`penstock doctor`: what is well, what isn't, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson
import typer

from gateway import __version__
from gateway.cli.doctor_running import check_groups, check_listeners
from gateway.cli.findings import Finding, Level
from gateway.clock import SystemClock
from gateway.config import GatewayConfig, load_config
from gateway.errors import DocumentInvalid, PenstockError
from gateway.store import StreamReader, engine_version, forecast_wear, open_reader, read_wear

DEFAULT_CONFIG = Path("config/gateway.yaml")
MIB = 1 << 20
FREE_BYTES_FAIL = 64 * MIB
FREE_BYTES_WARN = 512 * MIB
SYNCS = 8
SYNC_WARN_MS = 50.0
SYNC_UNLIKELY_MS = 0.02
OPEN_FILES_WARN = 4096
DAYS_LEFT_WARN = 365
MOUNTS = Path("/proc/self/mounts")
UNSAFE_SYSTEMS = {"tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "vfat", "exfat", "fuse", "9p"}
DAMAGE_TABLE = "damage"

app = typer.Typer(help="Look for what is wrong with a gateway and its machine.")


@app.command()
def doctor(
    data: Path | None = typer.Option(None, "--data", help="Data directory [default: config's]."),
    config: Path | None = typer.Option(None, "--config", help="Configuration file."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Check configuration, data directory, disk, clock and limits; exit 1 when something fails."""
    findings = []
    for finding in examine(data, config):
        findings.append(finding)
        if json:
            typer.echo(orjson.dumps(finding._asdict()).decode())
        else:
            advice = f"; {finding.advice}" if finding.advice else ""
            typer.echo(f"{finding.level:<5} {finding.subject}: {finding.text}{advice}")
    if any(finding.level is Level.fail for finding in findings):
        raise typer.Exit(1)


def examine(data: Path | None, config_path: Path | None) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield from check_programs()
    path = config_path or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)
    config, finding = check_config(path)
    yield finding
    data_dir = data or (config.store_options().data_dir if config else Path("penstock-data"))
    yield check_open_files()
    yield check_clock()
    standing = next(own for own in (data_dir, *data_dir.absolute().parents) if own.exists())
    yield check_directory(data_dir, standing)
    yield check_space(standing)
    yield check_file_system(standing)
    yield check_sync(standing)
    if config is not None:
        yield from check_listeners(data_dir, config.server.listeners)
    if data_dir.exists():
        yield from check_set_aside(data_dir)
        yield from asyncio.run(check_log(data_dir, config))


def check_programs() -> Iterator[Finding]:
    """What runs here."""
    try:
        zstd = version("backports.zstd")
    except PackageNotFoundError:
        zstd = "of Python"
    yield Finding(
        Level.ok,
        "versions",
        f"penstock {__version__}, Python {platform.python_version()}, "
        f"SQLite {engine_version()}, zstd {zstd}, {platform.machine()}",
    )


def check_config(path: Path | None) -> tuple[GatewayConfig | None, Finding]:
    """Whether the configuration can be used, its rules included."""
    name = "defaults" if path is None else str(path)
    try:
        config = load_config(path)
        if config.rules_path is not None:
            from gateway.rules import load_rules

            load_rules([config.rules_path])
    except (PenstockError, OSError) as error:
        first = error.complaints[0] if isinstance(error, DocumentInvalid) else error
        return None, Finding(Level.fail, "configuration", str(first), "correct it")
    return config, Finding(Level.ok, "configuration", name)


def check_open_files() -> Finding:
    """How many connections the system allows."""
    limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < OPEN_FILES_WARN:
        advice = "raise it (systemd: LimitNOFILE=65536), each client needs one"
        return Finding(Level.warn, "open files", f"{limit} of at most {hard_limit}", advice)
    return Finding(Level.ok, "open files", str(limit))


def check_clock() -> Finding:
    """Whether the wall clock can be believed."""
    clock = SystemClock()
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(clock.now_ms() // 1000))
    if clock.is_right():
        return Finding(Level.ok, "clock", text)
    advice = "see that NTP runs (timedatectl); until it is right nothing is removed by its age"
    return Finding(Level.warn, "clock", f"it says {text}, and nothing says that is right", advice)


def check_directory(data_dir: Path, standing: Path) -> Finding:
    """Whether the data directory is there and may be written."""
    if not os.access(standing, os.W_OK | os.X_OK):
        advice = "name another with --data, or change its owner"
        return Finding(Level.fail, "data directory", f"{standing} can't be written", advice)
    if not data_dir.exists():
        return Finding(Level.ok, "data directory", f"{data_dir} will be made by the gateway")
    return Finding(Level.ok, "data directory", str(data_dir))


def check_space(standing: Path) -> Finding:
    """How much room there is."""
    free_bytes = shutil.disk_usage(standing).free
    text = f"{free_bytes // MIB} MiB free"
    if free_bytes < FREE_BYTES_FAIL:
        return Finding(Level.fail, "free space", text, "make room, or lower the streams' retention")
    if free_bytes < FREE_BYTES_WARN:
        return Finding(Level.warn, "free space", text, "see that retention_size fits the disk")
    return Finding(Level.ok, "free space", text)


def check_file_system(standing: Path) -> Finding:
    """What kind of file system holds the log."""
    kind = file_system_of(standing.resolve())
    if kind in UNSAFE_SYSTEMS:
        advice = "use ext4, xfs, btrfs or f2fs on a local disk if the log must outlast a power cut"
        return Finding(Level.warn, "file system", kind, advice)
    return Finding(Level.ok, "file system", kind)


def file_system_of(path: Path) -> str:
    """The type of the file system that is mounted nearest above a path."""
    try:
        mounts = [line.split()[:3] for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return "unknown"
    above = [(len(at), kind) for _, at, kind in mounts if path.is_relative_to(at)]
    return max(above, default=(0, "unknown"))[1]


def check_sync(standing: Path) -> Finding:
    """Whether fsync works, and how long it takes."""
    times_ms = []
    try:
        with tempfile.TemporaryFile(dir=standing) as file:
            for _ in range(SYNCS):
                file.write(bytes(4096))
                file.flush()
                before_s = time.perf_counter()
                os.fsync(file.fileno())
                times_ms.append((time.perf_counter() - before_s) * 1000)
    except OSError as error:
        return Finding(Level.fail, "fsync", error.strerror or str(error), "use another disk")
    median_ms = sorted(times_ms)[SYNCS // 2]
    text = f"{median_ms:.2f} ms, the slowest {max(times_ms):.2f} ms"
    if median_ms < SYNC_UNLIKELY_MS:
        return Finding(Level.warn, "fsync", text, "too fast for a disk: it may not reach one")
    if median_ms > SYNC_WARN_MS:
        return Finding(Level.warn, "fsync", text, "each acknowledgement waits so long at least")
    return Finding(Level.ok, "fsync", text)


def check_set_aside(data_dir: Path) -> Iterator[Finding]:
    """Whether damaged databases lie there."""
    kept = sorted(data_dir.glob("*.damaged-*"))
    if kept:
        size_bytes = sum(path.stat().st_size for path in kept)
        text = f"{len(kept)} files set aside, {size_bytes // MIB} MiB, the last {kept[-1].name}"
        advice = "delete them when you need them no more, and look for a failing disk"
        yield Finding(Level.warn, "damage", text, advice)


async def check_log(data_dir: Path, config: GatewayConfig | None) -> list[Finding]:
    """What the log says of itself."""
    try:
        reader = await open_reader(data_dir)
    except PenstockError as error:
        level = Level.ok if "there is no log" in str(error) else Level.fail
        return [Finding(level, "log", str(error))]
    try:
        return [
            await check_streams(reader),
            await check_damage(reader),
            await check_wear(reader, config),
            *await check_groups(reader, SystemClock().now_ms()),
        ]
    except PenstockError as error:
        advice = "start the gateway again: it saves what can be read"
        return [Finding(Level.fail, "log", str(error), advice)]
    finally:
        await reader.close()


async def check_streams(reader: StreamReader) -> Finding:
    """How much there is."""
    extents = [own for spec in await reader.streams() for own in await reader.extents(spec.name)]
    records = sum(own.log_end_offset - own.log_start_offset for own in extents)
    stored_bytes = sum(own.stored_bytes for own in extents)
    return Finding(Level.ok, "log", f"{records} records, {stored_bytes // MIB} MiB")


async def check_damage(reader: StreamReader) -> Finding:
    """Whether the log was ever damaged."""
    reports = await reader.entries(DAMAGE_TABLE)
    if not reports:
        return Finding(Level.ok, "damage", "none reported; 'penstock streams verify' reads it all")
    report = orjson.loads(reports[-1][1])
    text = f"{len(reports)} times, last {report['time']}: {report['finding']}"
    return Finding(Level.warn, "damage", text, "see the gaps with 'penstock streams verify'")


async def check_wear(reader: StreamReader, config: GatewayConfig | None) -> Finding:
    """How long the flash will last."""
    totals = await read_wear(reader)
    endurance_bytes = None if config is None else config.wear.card_endurance_bytes
    rate = totals.bytes_per_day
    if rate is None:
        return Finding(Level.ok, "flash wear", "nothing counted yet")
    text = f"{rate / MIB:.1f} MiB a day"
    if endurance_bytes is None:
        return Finding(Level.ok, "flash wear", text)
    forecast = forecast_wear(totals, endurance_bytes)
    if forecast is None:
        return Finding(Level.ok, "flash wear", text)
    text += f", {forecast.days_left:.0f} days left"
    if forecast.days_left < DAYS_LEFT_WARN:
        return Finding(Level.warn, "flash wear", text, "set linger: auto, or a write budget")
    return Finding(Level.ok, "flash wear", text)
