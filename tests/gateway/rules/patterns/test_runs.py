from gateway.rules.patterns.runs import Run


def test_a_run_is_the_same_after_it_was_stored():
    run = Run()
    for number, name in enumerate(Run.__slots__):
        setattr(run, name, number)
    run.has_passed, run.is_closed, run.is_matched = True, False, True
    run.names, run.last = {"a": {"ts": 1}}, {"payload": {}}
    again = Run.unpack(run.pack())
    assert [getattr(again, name) for name in Run.__slots__] == [
        getattr(run, name) for name in Run.__slots__
    ]
