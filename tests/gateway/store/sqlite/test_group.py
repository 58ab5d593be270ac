import pytest

from gateway.clock import ManualClock
from gateway.errors import MemberFenced, OffsetOutOfRange, UnknownStream
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from tests.gateway.store.building import STREAM, a_run, numbered, payloads_of


@pytest.fixture
async def log(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 1))
    await store.append([numbered(0, 6)])
    yield store
    await store.close()


async def generation_in_file(log, group="rules"):
    rows = await log._connection.fetchall("SELECT generation FROM groups WHERE name = ?", (group,))
    return rows[0][0] if rows else None


async def test_a_generation_is_in_the_file_once_a_member_reads(log):
    for generation in (1, 2, 3):
        await log.join("rules", [STREAM]).poll()
        assert await generation_in_file(log) == generation


async def test_a_commit_writes_its_generation_though_the_member_never_read(log):
    await log.join("rules", [STREAM]).commit(offsets={(STREAM, 0): 2})
    assert await generation_in_file(log) == 1


async def test_generations_and_offsets_outlast_the_gateway(log, tmp_path):
    member = log.join("rules", [STREAM])
    await member.poll()
    await member.commit(offsets={(STREAM, 0): 4})
    await log.close()
    again = await open_store(StoreOptions(tmp_path), ManualClock())
    member = again.join("rules", [STREAM])
    assert payloads_of(await member.poll()) == [b"4", b"5"]
    assert await generation_in_file(again) == 2
    await again.close()


async def test_what_was_queued_before_another_joined_still_counts(log):
    first = log.join("rules", [STREAM])
    commit = first.commit(state=[Put("t", "k", b"1")])
    log.join("rules", [STREAM])
    await commit
    assert await log.table("t").get("k") == b"1"


async def test_a_member_that_waits_is_fenced_when_it_would_read(log):
    first = log.join("rules", [STREAM], start="latest")
    log.join("rules", [STREAM])
    with pytest.raises(MemberFenced, match="'rules'"):
        await first.poll()


@pytest.mark.parametrize("offset", [-1, 7])
async def test_an_offset_that_is_nowhere_is_refused(log, offset):
    member = log.join("rules", [STREAM])
    with pytest.raises(OffsetOutOfRange, match="ends at 6"):
        member.commit(offsets={(STREAM, 0): offset})


async def test_a_commit_to_a_stream_that_is_not_there_is_refused(log):
    member = log.join("rules", [STREAM])
    with pytest.raises(UnknownStream):
        member.commit(outputs=[a_run(b"x", stream="nope")])
    with pytest.raises(UnknownStream):
        member.commit(offsets={("nope", 0): 0})


async def test_an_offset_may_go_back(log):
    member = log.join("rules", [STREAM])
    await member.commit(offsets={(STREAM, 0): 5})
    await member.commit(offsets={(STREAM, 0): 1})
    assert payloads_of(await log.join("rules", [STREAM]).poll()) == [b"1", b"2", b"3", b"4", b"5"]


async def test_outputs_alone_need_no_transaction(log):
    member = log.join("rules", [STREAM])
    assert (await member.commit(outputs=[a_run(b"x")])).base_offsets == [6]
    assert await generation_in_file(log) is None
