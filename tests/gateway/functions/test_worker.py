import resource
import signal
import socket
import threading

import pytest

from gateway.functions import encode_frame, worker
from gateway.functions.frames import receive_frame
from gateway.functions.worker import Loop, limit_memory, serve
from tests.gateway.functions.test_calling import CONTENT

OPENING = {"call": "own_worker_module:f", "memory_bytes_max": 0, "time_limit_ms": 60_000}


def play(folder, source, *frames):
    """Serve on a socket in this thread, with the gateway's side of it in another."""
    (folder / "own_worker_module.py").write_text(source)
    ours, theirs = socket.socketpair()
    answers = []

    def drive():
        with ours:
            answers.append(receive_frame(ours))
            for content in frames:
                ours.sendall(encode_frame(content))
                answers.append(receive_frame(ours))

    thread = threading.Thread(target=drive)
    thread.start()
    with theirs, Loop() as loop:
        serve(theirs, loop.run, OPENING | {"folder": str(folder)})
    thread.join()
    return answers


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.syspath_prepend("")
    yield
    worker.sys.modules.pop("own_worker_module", None)


def test_each_event_is_answered(tmp_path):
    source = "def f(event):\n    return 'x', event.payload['cm']\n"
    opened, first, second = play(tmp_path, source, CONTENT, CONTENT | {"raw": b"{}"})
    assert opened[0] is True
    assert first == [True, [["x", b"250", False, 1]]]
    assert second[0] is False
    assert second[1].endswith("KeyError: 'cm'")


def test_a_function_that_exits_has_failed_and_no_more(tmp_path):
    _, first, second = play(tmp_path, "def f(event):\n    raise SystemExit\n", CONTENT, CONTENT)
    assert first[0] is second[0] is False


def test_what_cannot_be_loaded_is_said_first(tmp_path):
    ((is_good, trace),) = play(tmp_path, "1 / 0\n")
    assert not is_good
    assert trace.endswith("ZeroDivisionError: division by zero")


def test_no_alarm_is_left_when_a_function_has_ended(tmp_path):
    play(tmp_path, "def f(event): ...\n", CONTENT)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_memory_is_limited_where_there_is_a_limit(monkeypatch):
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: limits.append(limit))
    limit_memory(0)
    limit_memory(1 << 30)
    assert limits == [(resource.RLIMIT_AS, (1 << 30, 1 << 30))]


async def one():
    return 1


def test_coroutines_share_a_loop_that_is_opened_for_the_first():
    with Loop() as loop:
        assert [loop.run(one()), loop.run(one())] == [1, 1]
