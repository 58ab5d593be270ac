import asyncio

from gateway.store.sqlite import precedence as precedence_module
from gateway.store.sqlite.precedence import Precedence


async def test_whoever_reads_the_past_waits_for_the_commit_under_way(monkeypatch):
    monkeypatch.setattr(precedence_module, "PASS_S_MAX", 60)
    precedence = Precedence()
    await precedence.let_pass()
    precedence.begin()
    readers = [asyncio.create_task(precedence.let_pass()) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)
    readers[0].cancel()
    precedence.end()
    await asyncio.wait_for(asyncio.gather(*readers[1:]), 10)
    await precedence.let_pass()


async def test_nobody_waits_long_for_a_disk_that_hangs(monkeypatch):
    monkeypatch.setattr(precedence_module, "PASS_S_MAX", 0.001)
    precedence = Precedence()
    precedence.begin()
    await asyncio.wait_for(precedence.let_pass(), 10)
