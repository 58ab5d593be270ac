from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import RecordBatch
from gateway.store.groups.choosing import pick
from gateway.store.protocol import Chunk
from tests.gateway.store.building import a_run


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_picking_again_and_again_finds_what_one_look_does(verdicts, cut, records_max):
    records_max = max(records_max, 1)
    wanted = {offset for offset, verdict in enumerate(verdicts) if verdict}
    payloads = [b"%d" % n for n in range(len(verdicts))]
    found, offset = [], 0
    while offset < len(verdicts):
        runs = [
            a_run(*part) for part in (payloads[offset:cut], payloads[max(cut, offset) :]) if part
        ]
        batch = RecordBatch("s", 0, offset, 1, runs)
        chunk = Chunk("s", 0, [batch], len(verdicts))
        picked, offset = pick(chunk, lambda record: record.offset in wanted, records_max)
        assert len(picked) <= records_max
        found += [record.offset for record in picked]
    assert found == sorted(wanted)
