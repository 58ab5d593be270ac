from gateway.pipeline.pieces import cut
from tests.harness.rule_runs import story


def test_pieces_hold_every_record_once_and_in_order():
    batches = story(4, 60)
    for size in (1, 3, 1_000):
        pieces = list(cut(batches, size))
        assert all(sum(batch.count for batch in piece) <= size for piece in pieces)
        found = [record for piece in pieces for batch in piece for record in batch.records()]
        assert found == [record for batch in batches for record in batch.records()]
