import pytest

from gateway.server.table_values import VALUE_CHECKS
from gateway.session import SessionState, encode_state


def test_what_the_server_writes_of_a_session_can_be_read():
    VALUE_CHECKS["sessions"]("c", encode_state(SessionState("c", None), {}))


@pytest.mark.parametrize("table", sorted(VALUE_CHECKS))
def test_what_is_none_of_ours_is_refused(table):
    with pytest.raises(Exception, match=r".") as caught:
        VALUE_CHECKS[table]("key", b"\xc1rubbish")
    assert not isinstance(caught.value, AttributeError)
