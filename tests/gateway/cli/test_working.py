import asyncio

import pytest

from gateway.cli.working import Workshop, run_command
from gateway.clock import ManualClock
from gateway.events import Origin, Record, Run
from gateway.store import GroupDesk, StreamSpec, WorkWish
from gateway.store.memory import MemoryStore

RECORD = Record("telemetry", 2, 41, 1000, "a/b", "b", "c", b"21.5")


@pytest.fixture
async def log():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", 1))
    origin = Origin("a/b", "b")
    await store.append([Run("telemetry", 0, "c", 1000, [origin] * 3, [b"1", b"2", b"3"], bytes(3))])
    yield store
    await store.close()


def a_workshop(script, **settings):
    wish = WorkWish("w", "telemetry", "me", 1, settings.pop("lease_ms", 30_000))
    wanted = {"jobs": 1, "backoff_s": 0.0, "limit": None, "is_drained": True, **settings}
    return Workshop(wish, ["sh", "-c", script], **wanted)


async def test_a_command_gets_the_payload_and_where_it_is_from(tmp_path):
    script = f"cat > {tmp_path}/x; env | grep PENSTOCK_ | sort >> {tmp_path}/x; exit 3"
    assert await run_command(["sh", "-c", script], RECORD, 2) == 3
    assert (tmp_path / "x").read_text().split("\n")[:-1] == [
        "21.5PENSTOCK_DELIVERY=2",
        "PENSTOCK_DEVICE=b",
        "PENSTOCK_OFFSET=41",
        "PENSTOCK_PARTITION=2",
        "PENSTOCK_STREAM=telemetry",
        "PENSTOCK_TIME_MS=1000",
        "PENSTOCK_TOPIC=a/b",
    ]


async def test_a_command_that_reads_nothing_does_as_well():
    assert await run_command(["true"], RECORD._replace(payload=b"x" * 1_000_000), 1) == 0


async def test_a_command_is_killed_when_its_work_is_given_up():
    running = asyncio.create_task(run_command(["sleep", "60"], RECORD, 1))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_limit_counts_runs(log):
    desk = GroupDesk(log, ManualClock()).work
    assert await a_workshop("true", limit=2).run(desk, asyncio.Event())
    (group,) = await log.groups()
    assert group.offsets["telemetry", 0] == 2


async def test_a_desk_that_makes_way_ends_the_work(log):
    yielding = asyncio.Event()
    yielding.set()
    desk = GroupDesk(log, ManualClock()).work
    assert not await a_workshop("true").run(desk, yielding)


async def test_an_outcome_after_the_lease_does_not_count_and_says_so(log, capsys):
    clock = ManualClock()
    desk = GroupDesk(log, clock).work
    extend = desk.extend

    async def refuse(*arguments):
        clock.advance(10_000)
        return await extend(*arguments)

    desk.extend = refuse
    assert await a_workshop("sleep 0.3", lease_ms=300, limit=1).run(desk, asyncio.Event())
    assert "its lease had expired, so the outcome doesn't count" in capsys.readouterr().err
