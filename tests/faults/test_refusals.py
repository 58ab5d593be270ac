"""What the gateway refuses to start with: one clear line for each thing that is wrong."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.harness.gateway_process import GatewayProcess, free_port, run_penstock
from tests.harness.raw_client import connected

PLACE = re.compile(r"penstock: (?P<file>.+\.yaml):(?P<line>\d+):(?P<column>\d+): .+")


def refusal(*arguments: str | Path, port: int | None = None) -> tuple[int, list[str]]:
    """The exit code and the lines on stderr of a gateway that is told to start so."""
    place = ("--host", "127.0.0.1", "--port", str(port or free_port()))
    done = run_penstock("serve", *place, *arguments, seconds=20)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        exit_code, lines = refusal("--data", tmp_path / "log", port=port)
    assert exit_code == 1
    assert len(lines) == 1
    assert lines[0].startswith("penstock: ")
    assert str(port) in lines[0]


@pytest.mark.parametrize("name", ["file/log", "file"])
def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    exit_code, lines = refusal("--data", tmp_path / name)
    assert exit_code == 1
    assert len(lines) == 1
    assert str(tmp_path / name) in lines[0]


def test_a_data_directory_that_cannot_be_written_is_one_line():
    exit_code, lines = refusal("--data", "/proc/penstock")
    assert exit_code == 1
    assert len(lines) == 1
    assert "/proc/penstock" in lines[0]


def test_a_data_directory_in_use_is_one_line_and_its_gateway_goes_on(tmp_path):
    with GatewayProcess(tmp_path / "log") as first:
        exit_code, lines = refusal("--data", first.data)
        assert exit_code == 1
        assert len(lines) == 1
        assert str(first.data) in lines[0]
        with connected(first.port) as client:
            client.publish("a/b", b"1", packet_id=1)
            assert client.read_acks(1) == [1]


def test_a_bad_configuration_shows_every_error_with_its_place(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "version: 1\nstroe: {}\nstore: {linger: 5 parsecs}\nlog_level: [info]\nlog_level: info\n"
    )
    exit_code, lines = refusal("--config", config, "--data", tmp_path / "log")
    places = [PLACE.fullmatch(line) for line in lines]
    assert exit_code == 2
    assert all(places), lines
    assert [int(place["line"]) for place in places if place] == [2, 3, 4, 5]
    assert "did you mean 'store'" in lines[0]
    assert not (tmp_path / "log").exists()


def test_bad_rules_show_every_error_with_its_place_and_nothing_starts(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "version: 1\nrules:\n  - id: hot\n    from: plant/#\n    wehn: payload.value > 1\n"
        "  - id: hot\n    from: plant/#\n    when: payload.value >\n"
    )
    exit_code, lines = refusal("--rules", rules, "--data", tmp_path / "log")
    assert exit_code in (1, 2)
    assert len(lines) >= 3
    assert all(PLACE.fullmatch(line) for line in lines), lines


def test_missing_files_are_one_line(tmp_path):
    for flag in ("--config", "--rules"):
        exit_code, lines = refusal(flag, tmp_path / "absent.yaml", "--data", tmp_path / "log")
        assert exit_code in (1, 2)
        assert len(lines) == 1
        assert "absent.yaml" in lines[0]


def test_an_address_beyond_this_machine_is_refused(tmp_path):
    exit_code, lines = refusal("--data", tmp_path / "log", "--host", "0.0.0.0")  # noqa: S104 - refused
    assert exit_code == 1
    assert len(lines) == 1


def test_bad_usage_exits_2():
    assert run_penstock("serve", "--prot", "1").returncode == 2


def test_sigterm_ends_cleanly(tmp_path):
    with GatewayProcess(tmp_path / "log") as gateway, connected(gateway.port) as client:
        client.publish("a/b", b"1", packet_id=1)
        assert client.read_acks(1) == [1]
        assert gateway.terminate() == 0
        assert "Traceback" not in gateway.output
