import subprocess
import sys

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.store import StoreOptions, StreamSpec, open_reader, open_store
from tests.gateway.store.building import STREAM


async def test_a_log_that_was_opened_to_write_can_be_opened_to_read(tmp_path):
    store = await open_store(StoreOptions(tmp_path / "new" / "deep"), ManualClock())
    await store.ensure(StreamSpec(STREAM))
    reader = await open_reader(tmp_path / "new" / "deep")
    assert [spec.name for spec in await reader.streams()] == [STREAM]
    await reader.close()
    await store.close()


async def test_reading_where_there_is_no_log_says_so_and_makes_none(tmp_path):
    with pytest.raises(StoreUnavailable, match="no log in"):
        await open_reader(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_imports_no_engine():
    code = "import sys, gateway.store; print([m for m in sys.modules if 'sqlite' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


LOADED = """
import sys
from gateway.store import load_engine
assert "gateway.store.sqlite.store" not in sys.modules
load_engine()
assert "gateway.store.sqlite.store" in sys.modules
"""


def test_the_engine_can_be_imported_ahead_of_its_use():
    subprocess.run([sys.executable, "-c", LOADED], check=True)
