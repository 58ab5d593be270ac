from __future__ import annotations

from gateway.pipeline.puts import no_puts


def test_without_retained_messages_no_table_changes():
    assert list(no_puts([])) == []
