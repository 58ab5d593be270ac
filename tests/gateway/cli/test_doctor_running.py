import socket
import threading

import pytest

from gateway.cli.doctor_running import ask, check_groups, check_listeners, is_locked
from gateway.clock import ManualClock
from gateway.server import ListenerOptions
from gateway.store import StoreOptions, StreamSpec, open_reader, open_store
from gateway.store.sqlite.lock_file import DirectoryLock
from tests.gateway.store.building import BASE_MS, STREAM, numbered
from tests.harness.gateway_process import GatewayProcess, free_port

HOUR_MS = 3_600_000


def test_a_gateway_that_runs_answers(tmp_path):
    with GatewayProcess(tmp_path / "log") as gateway:
        listener = ListenerOptions(port=gateway.port)
        (finding,) = check_listeners(tmp_path / "log", (listener,))
        assert (finding.level, finding.text) == ("ok", f"answers on 127.0.0.1:{gateway.port}")


def test_one_that_holds_its_directory_and_does_not_answer_fails(tmp_path):
    listener = ListenerOptions(port=free_port())
    (finding,) = check_listeners(tmp_path, (listener,))
    assert finding.level == "ok"
    assert "doesn't run here" in finding.text
    lock = DirectoryLock.take(tmp_path)
    assert is_locked(tmp_path)
    (finding,) = check_listeners(tmp_path, (listener,))
    assert finding.level == "fail"
    lock.release()
    assert not is_locked(tmp_path)


def test_another_server_on_the_port_is_told_from_ours():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            connection, _ = server.accept()
            connection.sendall(b"220 mail\r\n")
            connection.close()

        greeter = threading.Thread(target=greet)
        greeter.start()
        port = server.getsockname()[1]
        assert "no MQTT server" in ask(ListenerOptions(host="", port=port))
        greeter.join()


@pytest.mark.parametrize(("passed_ms", "level"), [(0, "ok"), (23 * HOUR_MS + 1, "warn")])
async def test_a_group_that_loses_records_soon_is_pointed_out(tmp_path, passed_ms, level):
    store = await open_store(StoreOptions(tmp_path), ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=24 * HOUR_MS))
    await store.append([numbered(0, 20)])
    await store.commit_group("g", 0, offsets={(STREAM, 0): 5})
    await store.close()
    reader = await open_reader(tmp_path)
    (finding,) = await check_groups(reader, BASE_MS + passed_ms)
    await reader.close()
    assert finding.level == level
    assert "'g' is 15 records behind; it loses the first in" in finding.text
