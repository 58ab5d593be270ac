import asyncio
import base64
import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli.streams import (
    Choice,
    Printer,
    Wish,
    _read,
    app,
    iso_time,
    json_line,
    size_text,
)
from gateway.clock import ManualClock, SystemClock
from gateway.errors import OffsetOutOfRange, StoreUnavailable, UnknownStream
from gateway.events import Origin, Run
from gateway.store import Place, StoreOptions, StreamSpec, open_store

BASE_MS = 1_700_000_000_000
TELEMETRY = (StreamSpec("telemetry", 2),)
PENSTOCK = [sys.executable, "-c", "from gateway.cli import main; main()"]


def a_run(payloads, *, partition=0, arrival_ms=BASE_MS, device="pump-7", stream="telemetry"):
    origin = Origin(f"plant/{device}/t", device)
    count = len(payloads)
    return Run(stream, partition, "c", arrival_ms, [origin] * count, payloads, b"\0" * count)


def fill(data_dir, *runs, specs=TELEMETRY):
    """Make a log of these runs, one commit each, and stop."""

    async def work():
        store = await open_store(StoreOptions(data_dir), ManualClock())
        for spec in specs:
            await store.ensure(spec)
        for run in runs:
            await store.append([run])
        await store.close()

    asyncio.run(work())


def run_command(data_dir, *arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--data", str(data_dir)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def read_json(data_dir, *arguments):
    result = run_command(data_dir, "read", "telemetry", *arguments, "--json")
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def log(tmp_path):
    """Three commits, at 0, 10 and 20 s, in partitions 0, 1 and 0, of two records each."""
    fill(
        tmp_path,
        a_run([b"1", b"2"]),
        a_run([b"3", b"4"], partition=1, arrival_ms=BASE_MS + 10_000, device="pump-8"),
        a_run([b"5", b"6"], arrival_ms=BASE_MS + 20_000),
    )
    return tmp_path


def test_a_record_is_one_json_object_a_line(log):
    assert read_json(log, "--limit", 1) == [
        {
            "stream": "telemetry",
            "partition": 0,
            "offset": 0,
            "time": "2023-11-14T22:13:20.000Z",
            "topic": "plant/pump-7/t",
            "device": "pump-7",
            "payload": 1,
        }
    ]


def test_partitions_are_read_in_the_order_of_commits(log):
    assert [record["payload"] for record in read_json(log)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("arguments", "payloads"),
    [
        (["--partition", 1], [3, 4]),
        (["--from", "@1"], [2, 4, 5, 6]),
        (["--from", "@3", "--partition", 0], [6]),
        (["--to", "@1"], [1, 3]),
        (["--from", "2023-11-14T22:13:30Z"], [3, 4, 5, 6]),
        (["--to", "2023-11-14T22:13:30Z"], [1, 2]),
        (["--from", "latest"], []),
        (["--from", "-1h"], []),
        (["--to", "-1h"], [1, 2, 3, 4, 5, 6]),
        (["--topic", "plant/+/t", "--limit", 3], [1, 2, 3]),
        (["--topic", "plant/pump-8/#"], [3, 4]),
        (["--device", "pump-7"], [1, 2, 5, 6]),
        (["--device", "pump-7", "--topic", "plant/pump-8/#"], []),
    ],
)
def test_a_stretch_and_a_choice(log, arguments, payloads):
    assert [record["payload"] for record in read_json(log, *arguments)] == payloads


def test_a_payload_is_json_as_it_was_sent_or_base64(tmp_path):
    texts = [b'{"t":1.0}', b"12345678901234567890123", b"21.50", b'{\n "a": 1}', b"null"]
    others = [b"", b"hello", b"\xff\x00", b"NaN"]
    fill(tmp_path, a_run(texts + others))
    result = run_command(tmp_path, "read", "telemetry", "--json")
    lines = result.stdout.splitlines()
    for line, text in zip(lines, texts[:3], strict=False):
        assert line.endswith(f'"payload":{text.decode()}}}')
    records = [json.loads(line) for line in lines]
    assert [record["payload"] for record in records[3:5]] == [{"a": 1}, None]
    assert [base64.b64decode(record["payload_base64"]) for record in records[5:]] == others
    assert all("payload" not in record for record in records[5:])


def test_for_people_a_record_is_one_line_that_moves_no_cursor(tmp_path):
    fill(tmp_path, a_run([b'{"t":1}', b"\x1b[2J\n", b"\xff"]))
    lines = run_command(tmp_path, "read", "telemetry").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["2023-11-14T22:13:20.000Z", f"0@{offset}", "plant/pump-7/t"] for offset in range(3)
    ]
    assert [line.split()[3] for line in lines] == ['{"t":1}', "\\x1b[2J\\n", "base64:/w=="]


def test_streams_are_listed_with_what_they_hold(log):
    fill(log, specs=[StreamSpec("alerts", 1, retention_count=5)])
    lines = run_command(log, "list").stdout.splitlines()
    assert lines[0].split() == ["STREAM", "PARTITIONS", "RECORDS", "SIZE", "OLDEST", "NEWEST"]
    assert lines[1].split() == ["alerts", "1", "0", "0", "B", "-", "-"]
    assert lines[2].split()[:3] == ["telemetry", "2", "6"]
    assert lines[2].split()[-2:] == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:40.000Z"]
    alerts, telemetry = map(json.loads, run_command(log, "list", "--json").stdout.splitlines())
    assert (alerts["stream"], alerts["retention_count"], alerts["first_time"]) == (
        "alerts",
        5,
        None,
    )
    assert (telemetry["records"], telemetry["partitions"]) == (6, 2)
    assert [own["log_end_offset"] for own in telemetry["extents"]] == [4, 2]


def test_a_log_without_streams_says_so(tmp_path):
    fill(tmp_path, specs=())
    assert "holds no stream yet" in run_command(tmp_path, "list").stdout
    assert run_command(tmp_path, "list", "--json").stdout == ""


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")],
)
def test_a_size_has_the_unit_that_keeps_it_short(size_bytes, text):
    assert size_text(size_bytes) == text


def test_a_time_before_1970_is_a_time():
    assert iso_time(-1) == "1969-12-31T23:59:59.999Z"


def test_an_unknown_stream_brings_the_ones_that_exist(log):
    with pytest.raises(UnknownStream, match="did you mean 'telemetry'"):
        run_command(log, "read", "telemetri")
    with pytest.raises(UnknownStream, match="no stream 'x'; there are: telemetry"):
        run_command(log, "read", "x")
    with pytest.raises(UnknownStream, match="partitions 0 to 1, not 5"):
        run_command(log, "read", "telemetry", "--partition", 5)


def test_an_offset_that_no_partition_holds_is_refused(log):
    with pytest.raises(OffsetOutOfRange, match="partition 0 holds @0 to @3, partition 1 holds"):
        run_command(log, "read", "telemetry", "--from", "@9")
    fill(log, specs=[StreamSpec("alerts", 1)])
    with pytest.raises(OffsetOutOfRange, match="partition 0 holds nothing"):
        run_command(log, "read", "alerts", "--from", "@9")


@pytest.mark.parametrize("command", [["list"], ["read", "telemetry"]])
def test_a_directory_without_a_log_is_one_line(tmp_path, command):
    with pytest.raises(StoreUnavailable, match="there is no log in"):
        run_command(tmp_path / "nope", *command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "noon"], "--from 'noon' is no place in the log; use earliest"),
        (["--to", "@x"], "--to '@x' is no place"),
        (["--topic", "a/#/b"], "--topic: "),
        (["--follow", "--to", "latest"], "leave out --to"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(log, arguments, message):
    result = run_command(log, "read", "telemetry", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_is_damaged_is_said_on_stderr(log):
    async def damage():
        store = await open_store(StoreOptions(log), ManualClock())
        connection = store._committer._connection
        await connection.execute_fetchall(
            "UPDATE batches SET body = x'00' WHERE partition_number = 1 AND base_offset = 2"
        )
        await store.close()

    asyncio.run(damage())
    result = run_command(log, "read", "telemetry", "--json")
    assert [json.loads(line)["payload"] for line in result.stdout.splitlines()] == [1, 2, 3, 4]
    assert result.stderr == "penstock: telemetry/0: offsets 2 to 3 are damaged\n"


def test_following_goes_on_with_what_arrives_until_the_limit(log):
    """In another process, beside the writer; it ends by itself when it has seen enough."""

    async def publish(reading):
        store = await open_store(StoreOptions(log), SystemClock())
        # Begun by what is there already, so the reader is known to run.
        assert json.loads(await reading.stdout.readline())["payload"] == 1
        await store.append([a_run([b"7"], partition=1), a_run([b"8"])])
        rest = [
            json.loads(line)["payload"] for line in (await reading.communicate())[0].splitlines()
        ]
        await store.close()
        return rest

    async def main():
        options = ["--data", str(log), "--follow", "--partition", "0", "--limit", "5", "--json"]
        reading = await asyncio.create_subprocess_exec(
            *PENSTOCK, "streams", "read", "telemetry", *options, stdout=subprocess.PIPE
        )
        async with asyncio.timeout(20):
            return await publish(reading), await reading.wait()

    assert asyncio.run(main()) == ([2, 5, 6, 8], 0)


async def test_following_prints_what_was_asked_for_and_leaves_out_the_rest(log, capsysbinary):
    wish = Wish("telemetry", 1, Place("latest"), Place("latest"), is_followed=True)
    printer = Printer(Choice("", "", 2), json_line)
    store = await open_store(StoreOptions(log), ManualClock())
    following = asyncio.create_task(_read(log, wish, printer))
    number = 10
    while not following.done():
        # Whenever it begins: from some moment on it sees everything of its partition.
        await store.append([a_run([b"1"]), a_run([b"%d" % number], partition=1)])
        number += 1
    await following
    await store.close()
    first, second = (json.loads(line) for line in capsysbinary.readouterr().out.splitlines())
    assert (first["partition"], second["partition"]) == (1, 1)
    assert second["payload"] == first["payload"] + 1


def test_an_interrupt_is_how_following_ends(log, monkeypatch):
    def interrupt(work):
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupt)
    assert run_command(log, "read", "telemetry", "--follow").exit_code == 0


def test_ctrl_c_ends_following_without_complaint(log):
    options = ["--data", str(log), "--follow"]
    with subprocess.Popen(
        [*PENSTOCK, "streams", "read", "telemetry", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as reading:
        for _ in range(6):
            reading.stdout.readline()
        os.kill(reading.pid, signal.SIGINT)
        output, errors = reading.communicate(timeout=20)
    assert (output, errors, reading.returncode) == (b"", b"", 0)


def test_errors_reach_people_as_one_line(tmp_path):
    done = subprocess.run(
        [*PENSTOCK, "streams", "list", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("penstock: there is no log in")
    assert len(done.stderr.splitlines()) == 1
