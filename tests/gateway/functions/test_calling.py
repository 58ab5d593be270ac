import asyncio
import sys

import pytest

from gateway.functions import FunctionNotFound, Publish, load_function
from gateway.functions.calling import call_function, event_of, rows_of, trace_of

CONTENT = {
    "topic": "plant/t1/level",
    "device": "t1",
    "raw": b'{"cm": 250}',
    "stream": "telemetry",
    "partition": 1,
    "offset": 7,
    "time_ms": 1_000,
    "key": "telemetry/1/7/levels",
    "headers": {"unit": "cm"},
    "attempt": 2,
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))

    def load(source, call="f"):
        name = f"own_{abs(hash((str(tmp_path), source)))}"
        (tmp_path / f"{name}.py").write_text(source)
        return load_function(f"{name}:{call}", tmp_path)

    return load


def test_a_function_is_called_with_the_event(load):
    loaded = load("def f(event):\n    return 'x/' + event.device, event.payload['cm'] / 100\n")
    with asyncio.Runner() as runner:
        assert call_function(loaded, event_of(CONTENT), runner.run) == [("x/t1", b"2.5", False, 1)]


def test_an_async_function_runs_to_its_end(load):
    source = (
        "import asyncio\nasync def f(event):\n    await asyncio.sleep(0)\n    return 'x', b'1'\n"
    )
    loaded = load(source)
    with asyncio.Runner() as runner:
        for _ in range(2):
            assert call_function(loaded, event_of(CONTENT), runner.run) == [("x", b"1", False, 1)]


def test_a_payload_that_is_no_json_is_none():
    event = event_of(CONTENT | {"raw": b"\xff"})
    assert event.payload is None
    assert event.raw == b"\xff"
    assert event.attempt == 2


@pytest.mark.parametrize(
    ("result", "rows"),
    [
        (None, []),
        ([], []),
        (Publish("a", "text", retain=True, qos=0), [("a", b"text", True, 0)]),
        (("a", {"x": 1}), [("a", b'{"x":1}', False, 1)]),
        ([("a", 1), Publish("b", b"\x00")], [("a", b"1", False, 1), ("b", b"\x00", False, 1)]),
        ((("a", None), ("b", [1])), [("a", b"null", False, 1), ("b", b"[1]", False, 1)]),
        ((one for one in [("a", "x")]), [("a", b"x", False, 1)]),
    ],
)
def test_what_may_be_returned(result, rows):
    assert rows_of(result) == rows


@pytest.mark.parametrize(
    "result", ["text", b"bytes", {"a": 1}, 7, ["a"], [("a",)], Publish(7, "x"), Publish("a", set())]
)
def test_what_may_not_be_returned_says_what_may(result):
    with pytest.raises(TypeError):
        rows_of(result)


def test_a_function_returns_no_more_than_so_many():
    with pytest.raises(ValueError, match="at most 1000"):
        rows_of(("a", n) for n in range(1_001))
    with pytest.raises(ValueError, match="qos"):
        rows_of(Publish("a", 1, qos=3))


def test_the_version_is_what_the_module_says_and_a_digest(load):
    assert load("__version__ = '1.2'\ndef f(event): ...\n").version.startswith("1.2+")
    assert len(load("def f(event): ...\n").version) == 12


@pytest.mark.parametrize(
    ("source", "call", "said"),
    [
        ("def g(event): ...\n", "f", "no function 'f'; it has: g"),
        ("x = 1\n", "x", "it has: none"),
        ("import nowhere_at_all\n", "f", "No module named 'nowhere_at_all'"),
        ("def f(:\n", "f", "SyntaxError"),
        ("raise SystemExit(3)\n", "f", "SystemExit: 3"),
    ],
)
def test_what_cannot_be_loaded_says_why(load, source, call, said):
    with pytest.raises(FunctionNotFound, match=said):
        load(source, call)


def test_a_traceback_shows_only_what_is_the_persons_own(load):
    loaded = load("def f(event):\n    return event.payload['nothing']\n")
    with asyncio.Runner() as runner, pytest.raises(KeyError) as caught:
        call_function(loaded, event_of(CONTENT), runner.run)
    trace = trace_of(caught.value)
    assert "in f" in trace
    assert trace.endswith("KeyError: 'nothing'")
    assert "gateway/functions/calling.py" not in trace


def test_a_traceback_is_not_longer_than_it_may_be():
    assert len(trace_of(ValueError("x" * 20_000))) < 8_100
