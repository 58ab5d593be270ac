from gateway.rules.outputs import Cause, Publication, SideEvent
from gateway.rules.trials.outcomes import Happening, spell_offset

CAUSE = Cause(1, "telemetry", 0, 7)


def test_a_publication_happens_when_it_is_said():
    happening = Happening.of(Publication("id", CAUSE, "t", b"{}", 0, retain=False), 1_500, 0)
    assert happening.shown == "1s500ms  publish t {}"


def test_an_event_put_aside_is_a_record_of_its_stream():
    happening = Happening.of(SideEvent(CAUSE, "hot", "a/b", "b", b"\xff"), 0, 0)
    assert happening.fields["stream"] == "late-hot"
    assert happening.fields["key"] == "b"
    assert happening.shown == '0s  stream late-hot "�"'


def test_a_time_before_the_start_has_a_minus():
    assert (spell_offset(-90_000), spell_offset(0)) == ("-1m30s", "0s")
