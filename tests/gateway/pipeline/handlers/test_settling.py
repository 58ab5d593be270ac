import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreUnavailable
from gateway.pipeline import no_puts
from gateway.pipeline.handlers.settling import Settler
from gateway.store import GroupDesk, WorkWish
from tests.gateway.pipeline.handlers.conftest import records, run_of


@pytest.fixture
def desk(store, monkeypatch):
    monkeypatch.setattr("gateway.pipeline.handlers.settling.RETRY_S", 0.0)
    return GroupDesk(store, SystemClock())


async def leased_of(store, desk, count):
    await store.append([run_of("t1", *[b"1"] * count)])
    return (await desk.work.lease(WorkWish("g", "telemetry", "w", count))).leased


async def test_what_is_done_meanwhile_shares_a_commit(store, desk, monkeypatch):
    leased = await leased_of(store, desk, 5)
    settler = Settler(store, desk, "g", "w", no_puts)
    commits, commit = [], store.commit_group

    def counted(*arguments, **rest):
        commits.append(rest)
        return commit(*arguments, **rest)

    monkeypatch.setattr(store, "commit_group", counted)
    out = [run_of("out", b"2")]
    assert all(await asyncio.gather(*(settler.settle(one, out) for one in leased)))
    await settler.drain()
    assert len(commits) == 1
    assert len(commits[0]["outputs"]) == 5
    assert desk.offsets("g")["telemetry", 0] == 10 - 5


@pytest.mark.parametrize("has_landed", [False, True])
async def test_what_was_refused_is_written_once(store, desk, monkeypatch, has_landed):
    (leased,) = await leased_of(store, desk, 1)
    commit, refusals = store.commit_group, [StoreUnavailable("no")]

    async def moody(*arguments, **rest):
        if refusals and not has_landed:
            raise refusals.pop()
        await commit(*arguments, **rest)
        if refusals:
            raise refusals.pop()

    monkeypatch.setattr(store, "commit_group", moody)
    settler = Settler(store, desk, "g", "w", no_puts)
    assert await settler.settle(leased, [run_of("out", b"2", partition=1)])
    assert len([one for one in await records(store) if one.partition == 1]) == 1


async def test_a_lease_that_has_expired_keeps_nothing(store, desk):
    (leased,) = await leased_of(store, desk, 1)
    settler = Settler(store, desk, "g", "another", no_puts)
    assert not await settler.settle(leased, [run_of("out", b"2")])
    assert len(await records(store)) == 1
