"""The disk trace: it notes what was done, and leaves what a crash may leave."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.harness.disk_trace import (
    NO_COMPILER,
    Crash,
    Kind,
    Step,
    built_tracer,
    crash_at,
    read_trace,
    tracing,
)

PROGRAM = """
import os, sys
directory = sys.argv[1]
fd = os.open(directory + "/file", os.O_RDWR | os.O_CREAT)
os.write(fd, b"abcd")
os.pwrite(fd, b"xy", 1)
os.fsync(fd)
os.ftruncate(fd, 3)
os.rename(directory + "/file", directory + "/other")
folder = os.open(directory, os.O_RDONLY)
os.fsync(folder)
os.unlink(directory + "/other")
"""


@pytest.mark.skipif(built_tracer() is None, reason=NO_COMPILER)
def test_every_call_is_noted_in_order(tmp_path):
    watched = tmp_path / "watched"
    watched.mkdir()
    environment = {**os.environ, **tracing(watched, tmp_path / "trace")}
    command = [sys.executable, "-c", PROGRAM, str(watched)]
    subprocess.run(command, check=True, env=environment)
    assert [own[:4] for own in read_trace(tmp_path / "trace")] == [
        (Kind.write, "file", 0, b"abcd"),
        (Kind.write, "file", 1, b"xy"),
        (Kind.sync, "file", 0, b""),
        (Kind.truncate, "file", 3, b""),
        (Kind.rename, "file", 0, b"other"),
        (Kind.directory_sync, "", 0, b""),
        (Kind.unlink, "other", 0, b""),
    ]


def steps_of(*own):
    return [Step(kind, name, offset, content, b"") for kind, name, offset, content in own]


STEPS = steps_of(
    (Kind.write, "a", 0, b"one"),
    (Kind.sync, "a", 0, b""),
    (Kind.directory_sync, "", 0, b""),
    (Kind.write, "a", 3, b"two"),
    (Kind.write, "a", 6, b"three"),
    (Kind.write, "b", 0, b"new"),
    (Kind.sync, "b", 0, b""),
)


def left(point, crash):
    return [crash_at(STEPS, point, crash, random.Random(seed)) for seed in range(200)]


def test_a_kill_leaves_everything_that_was_written():
    assert left(5, Crash.kill)[0] == {"a": b"onetwothree"}


def test_a_strict_cut_leaves_what_was_synced():
    assert all(files["a"] == b"one" for files in left(5, Crash.cut_strict))


def test_a_cut_leaves_any_of_the_rest_in_any_order():
    assert {files["a"] for files in left(5, Crash.cut_some)} == {
        b"one",
        b"onetwo",
        b"one\0\0\0three",
        b"onetwothree",
    }


def test_a_new_name_is_lost_until_its_directory_is_synced():
    assert {"b" in files for files in left(6, Crash.cut_strict)} == {True, False}


def test_a_torn_write_ends_at_a_sector():
    steps = [*steps_of((Kind.write, "a", 100, bytes([1]) * 2000)), *STEPS[2:3]]
    sizes = {
        len(crash_at(steps, 1, Crash.cut_torn, random.Random(seed)).get("a", b""))
        for seed in range(300)
    }
    assert sizes == {0, 100, 512, 1024, 1536, 2048, 2100}
