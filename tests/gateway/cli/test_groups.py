import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from gateway.cli.streams import app
from gateway.clock import SystemClock
from gateway.errors import GroupRefused, OffsetOutOfRange, StoreUnavailable, UnknownStream
from gateway.events import Origin, Run
from gateway.store import DeskHost, GroupDesk, StoreOptions, StreamSpec, open_in_turn, open_store
from tests.harness.waiting import until, wait_for

PENSTOCK = [sys.executable, "-c", "from gateway.cli import main; main()"]
TELEMETRY = StreamSpec("telemetry", 4, retention_age_ms=3_600_000)
CLOCK = SystemClock()


def a_run(first, count, partition):
    origin = Origin(f"plant/pump-{partition}/t", f"pump-{partition}")
    payloads = [b"%d" % number for number in range(first, first + count)]
    arrival_ms = CLOCK.now_ms()
    return Run("telemetry", partition, "c", arrival_ms, [origin] * count, payloads, bytes(count))


@contextlib.asynccontextmanager
async def gateway(data_dir):
    """A log that is written, and its desk."""
    store = await open_in_turn(StoreOptions(data_dir), CLOCK)
    await store.ensure(TELEMETRY)
    host = DeskHost(store, CLOCK, GroupDesk(store, CLOCK), data_dir)
    host.is_lasting = True
    await host.start()
    try:
        yield store
    finally:
        await host.stop()
        await store.close()


@pytest.fixture
def log(tmp_path):
    """Five records in each of four partitions, on a stopped gateway."""

    async def fill():
        store = await open_store(StoreOptions(tmp_path), CLOCK)
        await store.ensure(TELEMETRY)
        for partition in range(4):
            await store.append([a_run(100 * partition, 5, partition)])
        await store.close()

    asyncio.run(fill())
    return tmp_path


def run_command(data_dir, *arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--data", str(data_dir)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def read_group(data_dir, *arguments):
    result = run_command(data_dir, "read", "telemetry", "--group", "g", "--json", *arguments)
    assert result.exit_code == 0
    return [json.loads(line)["payload"] for line in result.stdout.splitlines()]


def groups_of(data_dir):
    lines = run_command(data_dir, "groups", "--json").stdout.splitlines()
    return {group["group"]: group for group in map(json.loads, lines)}


class Follower:
    """`penstock streams read --group g --follow` in a process of its own."""

    def __init__(self, data_dir, *arguments):
        command = ["streams", "read", "telemetry", "--group", "g", "--follow", "--json"]
        # A file, so that a reader is never held up and what it printed outlives it.
        self.path = data_dir / f"output-{time.monotonic_ns()}"
        with self.path.open("wb") as output:
            self.process = subprocess.Popen(
                [*PENSTOCK, *command, "--data", str(data_dir), *arguments], stdout=output
            )

    def payloads(self):
        lines = self.path.read_bytes().splitlines(keepends=True)
        return [json.loads(line)["payload"] for line in lines if line.endswith(b"\n")]

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(15)


def test_a_group_goes_on_where_it_was_on_a_stopped_gateway(log):
    assert read_group(log, "--limit", 3, "--commit-every", 2) == [0, 1, 2]
    assert len(read_group(log)) == 17
    assert read_group(log) == []
    group = groups_of(log)["g"]
    assert (group["kind"], group["records"], group["members"]) == ("reading", 0, [])


def test_lag_is_told_in_records_bytes_age_and_time_to_loss(log):
    read_group(log, "--limit", 5)
    group = groups_of(log)["g"]
    assert group["records"] == 15
    assert group["stored_bytes"] > 0
    assert 0 <= group["age_ms"] < 600_000
    assert 0 < group["time_to_loss_ms"] <= 3_600_000
    lag = group["partitions"][1]
    assert (lag["stream"], lag["partition"], lag["committed_offset"], lag["log_end_offset"]) == (
        "telemetry",
        1,
        0,
        5,
    )
    heading, line = run_command(log, "groups").stdout.splitlines()
    assert heading.split()[:5] == ["GROUP", "KIND", "MEMBERS", "STREAM", "BEHIND"]
    assert line.split()[:5] == ["g", "reading", "0", "telemetry", "15"]


def test_a_group_is_moved(log):
    read_group(log)
    run_command(log, "seek", "telemetry", "--group", "g", "--to", "@3", "--partition", 1)
    assert read_group(log) == [103, 104]
    run_command(log, "seek", "telemetry", "--group", "g", "--to", "-1h")
    assert len(read_group(log)) == 20
    assert (
        "telemetry/3 goes on at @5"
        in run_command(log, "seek", "telemetry", "--group", "g", "--to", "latest").stdout
    )
    with pytest.raises(OffsetOutOfRange, match="from @0 to @5, not from @6"):
        run_command(log, "seek", "telemetry", "--group", "g", "--to", "@6")
    with pytest.raises(UnknownStream, match="partition 9"):
        run_command(log, "seek", "telemetry", "--group", "g", "--to", "@1", "--partition", 9)
    with pytest.raises(GroupRefused, match="no group 'h'"):
        run_command(log, "seek", "telemetry", "--group", "h", "--to", "@1")
    assert run_command(log, "seek", "telemetry", "--group", "g", "--to", "noon").exit_code == 2


def test_a_group_is_forgotten(log):
    assert "no consumer group yet" in run_command(log, "groups").stdout
    read_group(log)
    assert run_command(log, "groups", "--delete", "g").stdout == "g: forgotten\n"
    assert groups_of(log) == {}
    assert len(read_group(log)) == 20


@pytest.mark.parametrize(
    "arguments", [["--to", "@1"], ["--partition", 1], ["--from", "@1"], ["--from", "-1h"]]
)
def test_a_group_has_its_own_place(log, arguments):
    assert run_command(log, "read", "telemetry", "--group", "g", *arguments).exit_code == 2


def test_where_there_is_no_log_none_is_made(tmp_path):
    data = ["--data", str(tmp_path)]
    for arguments in (
        ["read", "telemetry", "--group", "g", *data],
        ["work", "telemetry", "--group", "g", *data, "--", "true"],
        ["redrive", *data],
        ["groups", "--delete", "g", *data],
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, StoreUnavailable)
        assert "there is no log" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_what_retention_took_from_a_group_is_told(log, capfd):
    read_group(log, "--limit", 1)

    async def cut():
        store = await open_store(StoreOptions(log), CLOCK)
        for number in range(30):
            await store.append([a_run(number, 1, 0)])
        await store.ensure(StreamSpec("telemetry", 4, retention_count=4))
        while await store.retain_step():
            pass
        await store.close()

    asyncio.run(cut())
    result = run_command(log, "read", "telemetry", "--group", "g")
    assert "telemetry/0: offsets 1 to 30 are removed" in result.stderr


async def test_two_readers_share_and_a_killed_ones_partitions_move(log):
    """The acceptance test: real processes, SIGKILL, a running writer; nothing is lost."""
    async with gateway(log) as store:
        readers = [Follower(log), Follower(log)]
        try:

            async def are_both_members():
                (group,) = await asyncio.to_thread(lambda: list(groups_of(log).values()) or [{}])
                held = [len(own["partitions"]) for own in group.get("members") or []]
                return held == [2, 2]

            await until(are_both_members, "two members with two partitions each", seconds=60)
            for number in range(10):
                await store.append(
                    [a_run(1000 * (partition + 1) + number, 1, partition) for partition in range(4)]
                )
            readers[0].end()
            killed_s = time.monotonic()
            for number in range(10, 20):
                await store.append(
                    [a_run(1000 * (partition + 1) + number, 1, partition) for partition in range(4)]
                )
            wanted = {100 * partition + number for partition in range(4) for number in range(5)}
            wanted |= {1000 * part + number for part in range(1, 5) for number in range(20)}

            def have_all():
                return wanted <= {*readers[0].payloads(), *readers[1].payloads()}

            await until(have_all, "every record to be printed", seconds=60)
            moved_s = time.monotonic() - killed_s
            print(f"moved and caught up after {moved_s:.2f} s")
        finally:
            for reader in readers:
                reader.end()


def test_readers_on_a_stopped_gateway_share_and_make_way_for_one(log):
    readers = [Follower(log, "--member", "a"), Follower(log, "--member", "b")]
    try:

        def shares():
            members = groups_of(log).get("g", {}).get("members") or []
            return [len(own["partitions"]) for own in members] == [2, 2]

        wait_for(shares, "two members on a stopped gateway", seconds=60, poll_s=0.3)

        async def write():
            async with gateway(log) as store:
                await store.append([a_run(1000 * part, 1, part) for part in range(1, 4)])

                def have_all():
                    seen = {*readers[0].payloads(), *readers[1].payloads()}
                    return {1000, 2000, 3000} <= seen

                await until(have_all, "the readers to have found the gateway", seconds=60)

        asyncio.run(write())
    finally:
        for reader in readers:
            reader.end(signal.SIGINT)


def test_a_command_works_off_records_and_what_fails_becomes_a_dead_letter(log, tmp_path):
    output = tmp_path / "done"
    script = f'read x; [ "$x" != 102 ] && echo "$PENSTOCK_PARTITION $x" >> {output}'
    options = ["--backoff", "0", "--deliveries-max", "2", "--jobs", "2", "--drain"]
    work = ["work", "telemetry", "--group", "w", "--data", log, *options, "--", "sh", "-c", script]
    result = CliRunner().invoke(app, list(map(str, work)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    done = sorted(int(line.split()[1]) for line in output.read_text().splitlines())
    expected = sorted(100 * part + number for part in range(4) for number in range(5))
    assert done == [number for number in expected if number != 102]
    assert "telemetry/1@2: exit 1 at try 2; a dead letter now" in result.stderr
    letters = run_command(log, "read", "dead-letters", "--json").stdout.splitlines()
    (letter,) = [json.loads(line)["payload"] for line in letters]
    assert (letter["cause"], letter["deliveries"], letter["payload_text"]) == ("exit 1", 2, "102")
    assert groups_of(log)["w"]["kind"] == "working"
    assert run_command(log, "redrive").stdout == "put back 1 records\n"
    again = run_command(log, "redrive", "--stream", "telemetry").stdout.splitlines()
    assert again[0] == "put back 0 records"
    assert "--again" in again[1]
    with pytest.raises(GroupRefused, match="is used by 'penstock streams work'"):
        run_command(log, "read", "telemetry", "--group", "w")


@pytest.mark.parametrize(
    "arguments", [[], ["--", "no-such-command"], ["--from", "@1", "--", "true"]]
)
def test_work_needs_a_command_that_is_there(log, arguments):
    work = ["work", "telemetry", "--group", "w", "--data", str(log), *arguments]
    assert CliRunner().invoke(app, work).exit_code == 2


def test_a_reader_that_is_interrupted_leaves_its_group(log):
    reader = Follower(log)
    wait_for(lambda: len(reader.payloads()) == 20, "all records", seconds=60)
    wait_for(lambda: groups_of(log)["g"]["records"] == 0, "the commit", seconds=60, poll_s=0.2)
    reader.end(signal.SIGINT)
    assert reader.process.returncode == 0
    assert not (log / "penstock.sock").exists()
