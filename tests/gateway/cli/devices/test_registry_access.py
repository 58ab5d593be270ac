from __future__ import annotations

import orjson
import pytest

from gateway.cli.devices import registry_access
from gateway.cli.devices.registry_access import (
    CHUNK,
    DATA_DIR,
    RegistryDesk,
    change_of,
    in_chunks,
    log_dir_of,
    read_registry,
    stamped,
)
from gateway.devices import Device
from gateway.errors import ChangeRefused, StoreUnavailable
from gateway.store import open_reader


def test_the_data_directory_is_the_option_or_the_configurations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert log_dir_of(None, None) == DATA_DIR
    config = tmp_path / "gateway.yaml"
    config.write_text("data: here\n")
    assert log_dir_of(None, config) == tmp_path / "here"
    assert log_dir_of(tmp_path, config) == tmp_path


async def test_a_change_that_comes_too_late_is_refused(tmp_path):
    desk = RegistryDesk(tmp_path)
    with pytest.raises(StoreUnavailable):
        await read_registry(tmp_path)
    registry = await desk.read()
    change = change_of(registry, stamped(Device("p"), None))
    await desk.change([change])
    with pytest.raises(ChangeRefused):
        await desk.change([change])
    after = await desk.edit("p", lambda one: one)
    assert after.generation == 2
    assert after.created_ms <= after.changed_ms


def test_many_changes_are_made_some_at_a_time():
    assert [len(chunk) for chunk in in_chunks([None] * (CHUNK + 1))] == [CHUNK, 1]


async def test_the_audit_tells_who_changed_what_on_a_stopped_gateway(tmp_path):
    desk = RegistryDesk(tmp_path)
    registry = await desk.read()
    await desk.change([change_of(registry, stamped(Device("p"), None))])
    reader = await open_reader(tmp_path)
    chunk = await reader.fetch("audit", 0, 0)
    await reader.close()
    (record,) = [record for batch in chunk.batches for record in batch.records()]
    assert record.topic == "audit/device-added/p"
    assert orjson.loads(record.payload)["by"].endswith("the command line")


def test_who_has_no_name_is_the_command_line(monkeypatch):
    def refuse():
        raise KeyError

    monkeypatch.setattr(registry_access.getpass, "getuser", refuse)
    assert registry_access.by_whom() == "the command line"
