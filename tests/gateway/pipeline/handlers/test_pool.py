import asyncio

import pytest

from gateway.pipeline.handlers.pool import Pool
from gateway.pipeline.handlers.workers import FunctionBroken, FunctionFailed
from tests.gateway.functions.test_calling import CONTENT


@pytest.fixture
async def pool_of(spec_of):
    pools = []

    def pool_of(function, **settings):
        pools.append(Pool(spec_of(function, **settings)))
        return pools[-1]

    yield pool_of
    for pool in pools:
        await pool.close()


async def test_workers_are_started_when_needed_and_kept(pool_of):
    pool = pool_of("slow", concurrency=2)
    await pool.renew()
    for _ in range(3):
        await pool.call(CONTENT)
    assert pool.started_count == 1
    await asyncio.gather(*(pool.call(CONTENT) for _ in range(6)))
    assert pool.started_count == 2


async def test_a_worker_that_has_ended_is_replaced(pool_of):
    pool = pool_of("note")
    with pytest.raises(FunctionFailed, match="exit code 7"):
        await pool.call(CONTENT | {"raw": b'"exit"'})
    assert (await pool.call(CONTENT)).rows
    assert pool.started_count == 2


async def test_who_is_at_work_finishes_with_the_old_function(pool_of, folder):
    pool = pool_of("slow")
    await pool.renew()
    old = pool.version
    working = asyncio.create_task(pool.call(CONTENT))
    await asyncio.sleep(0)
    module = folder / "functions_for_handlers.py"
    module.write_text("def slow(event):\n    return 'new', 1\n")
    await pool.renew()
    assert (await working).version == old
    answer = await pool.call(CONTENT)
    assert answer.rows == [("new", b"1", False, 1)]
    assert answer.version == pool.version != old


async def test_a_function_that_cannot_be_loaded_leaves_the_old_one(pool_of, folder):
    pool = pool_of("echo")
    await pool.renew()
    (folder / "functions_for_handlers.py").write_text("1 / 0\n")
    with pytest.raises(FunctionBroken):
        await pool.renew()
    assert (await pool.call(CONTENT)).rows
