from __future__ import annotations

import asyncio
import json
import os
import sqlite3

import pytest

from gateway.clock import ManualClock
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.lookup_files import LOOKUPS_SPEC, LookupFiles, read_version
from gateway.rules import Lookup, load_rules
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore
from tests.gateway.pipeline.test_evaluate import OPTIONS, alerts, event, reader, records, route
from tests.harness.waiting import until

RULES = """
version: 1
lookups:
  assets: {file: assets.csv, key: device, reload: 1s}
rules:
  - id: over
    from: plant/+
    key: device
    enrich: {asset: "assets[device]"}
    when: payload.x > asset.limit
    alarm: {message: "{payload.x} {asset.limit}"}
"""


def write(path, text):
    """Write a file so that its time differs from that of any before."""
    path.write_text(text)
    write.count += 1
    os.utime(path, ns=(write.count, write.count))


write.count = 0


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    write(tmp_path / "assets.csv", "device,limit\nm1,5\n")
    return tmp_path


async def open_store():
    store = MemoryStore()
    for name, partitions in (("telemetry", 2), ("alerts", 1), ("ticks", 1)):
        await store.ensure(StreamSpec(name, partitions=partitions))
    return store


def evaluation(store, folder):
    rules = load_rules([folder / "rules.yaml"])
    return RuleEvaluation(store, rules, ["telemetry"], route, ManualClock(1_000), OPTIONS)


async def run_over(store, folder, run):
    """Start the rules, let them see one more event, and stop them."""
    running = evaluation(store, folder)
    task = asyncio.create_task(running.run())
    await until(lambda: running._lookups._stamps, "the file to be read")
    await store.append([run])
    slot = (run.stream, run.partition)
    end = store._logs[slot].end_offset
    await until(lambda: running._offsets.get(slot) == end, "the loop to get there")
    await running.stop()
    await task


async def versions(store):
    return [json.loads(one.payload)["rows"] for one in await records(store, "lookups")]


async def test_a_changed_file_is_a_new_version_in_the_log_and_an_equal_one_is_none(folder):
    store = await open_store()
    await store.ensure(LOOKUPS_SPEC)
    lookup = Lookup("assets", str(folder / "assets.csv"), "device", 1_000)
    files = LookupFiles(store, ManualClock(1_000), {"assets": lookup})
    await files.load()
    await files.load()
    write(folder / "assets.csv", "device,limit\r\nm1,5\r\n")
    await files.look("assets")
    write(folder / "assets.csv", "device,limit\nm1,7\n")
    await files.look("assets")
    assert [rows["m1"]["limit"] for rows in await versions(store)] == [5, 7]
    await LookupFiles(store, ManualClock(1_000), {"assets": lookup}).load()
    assert len(await versions(store)) == 2


@pytest.mark.parametrize("bad", ["limit\n5\n", "device,limit\nm1\n", None])
async def test_a_bad_file_changes_nothing_and_is_told(folder, bad, caplog):
    store = await open_store()
    await store.ensure(LOOKUPS_SPEC)
    lookup = Lookup("assets", str(folder / "assets.csv"), "device", 1_000)
    files = LookupFiles(store, ManualClock(1_000), {"assets": lookup})
    await files.load()
    if bad is None:
        (folder / "assets.csv").unlink()
    else:
        write(folder / "assets.csv", bad)
    await files.look("assets")
    assert len(await versions(store)) == 1
    assert "look-up 'assets' stays as it was" in caplog.text
    assert "assets.csv" in files.faults["assets"]
    write(folder / "assets.csv", "device,limit\nm1,9\n")
    await files.look("assets")
    assert files.faults == {}
    assert len(await versions(store)) == 2


async def test_rules_see_the_version_that_holds_and_go_on_with_the_next(folder):
    store = await open_store()
    for limit, x in ((5, 6), (20, 9), (8, 9)):
        write(folder / "assets.csv", f"device,limit\nm1,{limit}\n")
        await run_over(store, folder, event(x))
    assert [(one["event"], one["message"]) for one in await alerts(store)] == [
        ("raised", "6 5"),
        ("cleared", "9 20"),
        ("raised", "9 8"),
    ]


async def test_events_older_than_the_first_version_see_the_first(folder):
    store = await open_store()
    await store.append([event(6)])
    running = evaluation(store, folder)
    task = asyncio.create_task(running.run())
    await until(reader(store, 1), "the alert")
    await running.stop()
    await task


async def test_after_a_crash_the_same_events_see_the_same_versions(folder):
    """The file has changed meanwhile; what is read again is decided as it was."""
    store = await open_store()
    running = evaluation(store, folder)
    task = asyncio.create_task(running.run())
    await store.append([event(6)])
    await until(reader(store, 1), "the alert")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    write(folder / "assets.csv", "device,limit\nm1,20\n")
    running = evaluation(store, folder)
    task = asyncio.create_task(running.run())
    await until(lambda: running._lookups._stamps, "the file to be read")
    await store.append([event(7)])
    await until(reader(store, 2), "the alert's end")
    await running.stop()
    await task
    assert [one["event"] for one in await alerts(store)] == ["raised", "cleared"]


async def test_a_file_is_looked_at_as_often_as_it_says(folder, monkeypatch):
    store, clock = await open_store(), ManualClock(1_000)
    await store.ensure(LOOKUPS_SPEC)
    lookup = Lookup("assets", str(folder / "assets.csv"), "device", 1)
    never = Lookup("fixed", str(folder / "assets.csv"), "device")
    files = LookupFiles(store, clock, {"assets": lookup, "fixed": never})
    looks = []
    seen = asyncio.Event()

    async def look(name):
        looks.append(name)
        clock.advance(1)
        if len(looks) == 3:
            seen.set()

    monkeypatch.setattr(files, "look", look)
    task = asyncio.create_task(files.watch())
    await asyncio.wait_for(seen.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(looks) == {"assets"}


def test_a_table_of_sqlite_has_the_name_of_its_look_up(tmp_path):
    path = tmp_path / "plant.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE assets (device TEXT, lim REAL)")
        connection.execute("INSERT INTO assets VALUES ('m1', 5)")
    connection.close()
    version = read_version(Lookup("assets", str(path), "device"))
    assert version.rows == {"m1": {"device": "m1", "lim": 5.0}}


async def test_a_bad_file_is_an_alarm_once_until_it_is_right_again(folder):
    store = await open_store()
    running = evaluation(store, folder)
    task = asyncio.create_task(running.run())
    await until(lambda: running._lookups._stamps, "the file to be read")
    for text in ("limit\n5\n", "limit\n5\n", "device,limit\nm1,7\n"):
        write(folder / "assets.csv", text)
        await running._lookups.look("assets")
    await until(reader(store, 2), "the alarm's end")
    await running.stop()
    await task
    raised, cleared = await alerts(store)
    assert (raised["rule"], raised["key"]) == ("gateway/lookup-invalid", "assets")
    assert raised["message"].startswith("look-up 'assets' stays as it was: ")
    assert [raised["event"], cleared["event"]] == ["raised", "cleared"]


async def test_the_alarm_of_a_look_up_that_no_rule_reads_any_more_is_cleared(folder):
    store = await open_store()
    await store.ensure(LOOKUPS_SPEC)
    (folder / "assets.csv").unlink()
    lookup = Lookup("assets", str(folder / "assets.csv"), "device")
    await LookupFiles(store, ManualClock(1_000), {"assets": lookup}).load()
    await LookupFiles(store, ManualClock(1_000), {}).load()
    ticks = [json.loads(one.payload) for one in await records(store, "ticks")]
    assert [next(iter(tick.keys() - {"now_ms"})) for tick in ticks] == ["fault", "mended"]
    assert ticks[1]["mended"] == ["gateway/lookup-invalid", "assets"]
