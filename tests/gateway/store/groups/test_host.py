import stat

from gateway.clock import ManualClock
from gateway.store.groups.desk import GroupDesk
from gateway.store.groups.host import DeskHost
from gateway.store.groups.remote import RemoteDesk
from gateway.store.memory import MemoryStore


async def test_the_socket_is_this_users_and_a_dead_ones_is_replaced(tmp_path):
    store = MemoryStore()
    path = tmp_path / "penstock.sock"
    path.write_bytes(b"")
    host = DeskHost(store, ManualClock(), GroupDesk(store, ManualClock()), tmp_path)
    await host.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    desk = await RemoteDesk.connect(tmp_path)
    assert await desk.ask_to_yield()
    assert host.yielding.is_set()
    await desk.close()
    await host.stop()
    assert not path.exists()
    assert await RemoteDesk.connect(tmp_path) is None
