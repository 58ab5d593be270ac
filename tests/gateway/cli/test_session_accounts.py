import msgspec
import orjson
import pytest
from typer.testing import CliRunner

from gateway.cli.audit import app
from gateway.cli.session_accounts import account_for_sessions, account_for_shares
from gateway.clock import ManualClock
from gateway.server import SHARES_TABLE, SavedGroup, ShareTally
from gateway.session import Grant, Position, SessionState, encode_state
from gateway.store import Put, StoreOptions, StreamSpec, open_reader, open_store
from tests.gateway.store.building import BASE_MS, STREAM, a_run
from tests.harness.gateway_process import GatewayProcess
from tests.harness.raw_client import PUBACK, RawClient, connected, encode_packet

PUBLISHES = 6
SHARE = "$share/g/plant/#"


def a_state(client_id="reader", **settings):
    state = SessionState(client_id, None)
    state.grants_by_filter["plant/#"] = Grant("plant/#", 1)
    for name, value in settings.items():
        setattr(state, name, value)
    return state


async def accounts_of(data_dir, encoded, client_id="reader"):
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
    # The flags of the four: QoS 0, 0 and retained, 1, 1 and retained.
    await store.append([a_run(b"1", b"2", b"3", b"4")], [Put("sessions", client_id, encoded)])
    await store.close()
    reader = await open_reader(data_dir)
    try:
        return await account_for_sessions(reader)
    finally:
        await reader.close()


async def test_what_a_session_has_still_to_get_is_counted_in_the_log(tmp_path):
    state = a_state()
    state.tally.owed = state.tally.delivered = 5
    ((account,), breaks) = await accounts_of(tmp_path, encode_state(state, {(STREAM, 0): 3}))
    assert (account["owed"], account["delivered"], account["pending"]) == (5, 5, 1)
    assert not breaks


async def test_a_counter_that_was_edited_is_named(tmp_path):
    state = a_state()
    state.tally.owed = 5
    state.tally.delivered = 3
    state.in_flight[b"\0\1"] = Position(STREAM, 0, 1, 1)
    (_, breaks) = await accounts_of(tmp_path, encode_state(state, {(STREAM, 0): 2}))
    assert breaks == ["the session of 'reader' can't explain 1"]


async def test_a_position_behind_the_end_is_named(tmp_path):
    (_, breaks) = await accounts_of(tmp_path, encode_state(a_state(), {(STREAM, 0): 9}))
    assert breaks == [f"the session of 'reader' stands at 9 in {STREAM}/0, which ends at 4"]


async def test_a_session_that_can_not_be_read_is_named(tmp_path):
    (accounts, breaks) = await accounts_of(tmp_path, b"rubbish")
    assert accounts == []
    assert "the session of 'reader' can't be read" in breaks[0]


async def shares_of(data_dir, encoded):
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
    await store.append([a_run(b"1", b"2", b"3", b"4")], [Put(SHARES_TABLE, SHARE, encoded)])
    await store.close()
    reader = await open_reader(data_dir)
    try:
        return await account_for_shares(reader)
    finally:
        await reader.close()


async def test_a_shared_group_is_accounted_for(tmp_path):
    saved = SavedGroup([(STREAM, 0, 1)], [Position(STREAM, 0, 0, 1)], ShareTally(4, 2, 1, 7))
    ((account,), breaks) = await shares_of(tmp_path, msgspec.msgpack.encode(saved))
    assert not breaks
    assert account == {
        "share": SHARE,
        "matched": 4,
        "given": 2,
        "expired": 1,
        "in_flight": 1,
        "lost_offsets": 7,
        "pending": 3,
        "unaccounted": 0,
    }


@pytest.mark.parametrize(
    ("saved", "complaint"),
    [
        (SavedGroup([], [], ShareTally(4, 2)), f"the shared group '{SHARE}' can't explain 2"),
        (SavedGroup([(STREAM, 0, 9)], []), "stands at 9 in telemetry/0, which ends at 4"),
        ("rubbish", f"the shared group '{SHARE}' can't be read"),
    ],
)
async def test_what_breaks_the_account_of_a_shared_group_is_named(tmp_path, saved, complaint):
    (_, breaks) = await shares_of(tmp_path, msgspec.msgpack.encode(saved))
    assert len(breaks) == 1
    assert complaint in breaks[0]


def packet_id_of(packet):
    """The identifier of a PUBLISH at QoS 1, behind its topic."""
    topic_bytes = int.from_bytes(packet.body[:2], "big")
    return packet.body[2 + topic_bytes : 4 + topic_bytes]


def test_a_session_is_accounted_for_over_a_kill(tmp_path):
    """Six are owed: two are acknowledged, four are in flight, and two more come later."""
    with GatewayProcess(tmp_path / "log") as gateway:
        with RawClient(gateway.port, "reader") as reader:
            reader.connect(clean=False)
            reader.subscribe(("plant/#", 1))
            publish(gateway, PUBLISHES)
            got = [reader.read_packet() for _ in range(PUBLISHES)]
            for packet in got[:2]:
                reader.send(encode_packet(PUBACK, 0, packet_id_of(packet)))
            reader.ping()
            reader.disconnect()
        publish(gateway, 2)
    found = CliRunner().invoke(app, ["--data", str(tmp_path / "log"), "--json"])
    assert found.exit_code == 0, found.output
    (account,) = orjson.loads(found.output)["sessions"]
    assert (account["owed"], account["delivered"], account["in_flight"]) == (6, 2, 4)
    assert (account["pending"], account["unaccounted"]) == (2, 0)


def publish(gateway, count):
    with connected(gateway.port, "writer") as writer:
        for number in range(1, count + 1):
            writer.publish("plant/pump/state", b"%d" % number, packet_id=number)
        writer.read_acks(count)
