import asyncio

from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.clock import ManualClock
from gateway.store import StoreOptions, StreamSpec, open_store
from tests.gateway.store.building import BASE_MS, STREAM
from tests.gateway.store.compaction_contract import LATEST, LATEST_SPEC, readings


def write(data_dir):
    async def fill():
        store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
        await store.ensure(LATEST_SPEC)
        await store.ensure(StreamSpec(STREAM, 1))
        for turn in range(20):
            await store.append([readings(("pump-1", b"%d" % turn))])
        await store.close()

    asyncio.run(fill())


def run(*arguments):
    return CliRunner().invoke(app, ["streams", *map(str, arguments)])


def test_a_stream_is_compacted_when_somebody_asks(tmp_path):
    write(tmp_path)
    done = run("compact", LATEST, "--data", tmp_path)
    assert (done.exit_code, done.stdout.split(": ")[0]) == (0, LATEST)
    read = run("read", LATEST, "--data", tmp_path, "--json")
    assert len(read.stdout.splitlines()) == 1
    again = run("compact", LATEST, "--data", tmp_path, "--json")
    assert '"batches":0' in again.stdout


def test_a_stream_that_keeps_everything_is_refused(tmp_path):
    write(tmp_path)
    assert "keeps every record" in str(run("compact", STREAM, "--data", tmp_path).exception)
