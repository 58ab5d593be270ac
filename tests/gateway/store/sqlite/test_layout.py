from gateway.store import StreamSpec
from gateway.store.sqlite.catalog import Catalog, PartitionState
from gateway.store.sqlite.layout import Layout, decode_layout, encode_layout, layout_statement

LAYOUT = Layout([StreamSpec("telemetry", 2, retention_age_ms=None)], [(1, "telemetry", 0)])


def test_a_layout_comes_back():
    assert decode_layout(encode_layout(LAYOUT)) == LAYOUT


def test_any_changed_byte_is_noticed():
    encoded = encode_layout(LAYOUT)
    for at in range(len(encoded)):
        assert decode_layout(encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]) is None


def test_what_is_no_layout_is_none():
    assert decode_layout(None) is None
    assert decode_layout("text") is None


def test_the_statement_holds_what_the_catalog_does():
    catalog = Catalog(specs={"telemetry": LAYOUT.streams[0]})
    catalog.partitions["telemetry", 0] = PartitionState(1, "telemetry", 0, is_synced=True)
    _, [(_, encoded)] = layout_statement(catalog)
    assert decode_layout(encoded) == LAYOUT
