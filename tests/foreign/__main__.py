"""`./run foreign [mosquitto|paho] [TEST...]`: other projects' tests of MQTT servers, on Penstock.

Their sources are fetched where apt and PyPI are at hand. Prints what did not pass, and why where
docs/conformance.md says so; exit code 1 when a test fails that it doesn't explain.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tests.foreign.sources import SourcesUnavailable, mosquitto_sources, paho_sources
from tests.foreign.stand_in import NOT_OURS
from tests.harness.gateway_process import REPOSITORY, GatewayProcess, environment_of

HERE = Path(__file__).parent
# Bridges and plugins are Mosquitto's own; the certificates of its TLS tests are expired.
LEFT_OUT = re.compile(r"06-bridge|08-|09-plugin|09-ext|14-dynsec|helper")
FIRST_PORT, PORTS_A_WORKER, WORKERS = 21_000, 10, 2
TEST_S_MAX = 300


class Outcome(NamedTuple):
    """How one test went; `why` is the last that it printed."""

    name: str
    exit_code: int
    why: str


def mosquitto(folder: Path, wanted: list[str]) -> Iterator[Outcome]:
    """Run Mosquitto's tests, two at a time."""
    tests = mosquitto_sources(folder) / "test/broker"
    names = sorted(path.name for path in tests.glob("[0-9][0-9]-*.py"))
    names = [name for name in names if not LEFT_OUT.match(name) and "helper" not in name]
    bases: SimpleQueue[int] = SimpleQueue()
    for number in range(WORKERS):
        bases.put(FIRST_PORT + number * PORTS_A_WORKER)

    def run(name: str) -> Outcome:
        base = bases.get()
        try:
            return run_one(tests, name, base)
        finally:
            bases.put(base)

    with ThreadPoolExecutor(WORKERS) as workers:
        yield from workers.map(run, [name for name in names if not wanted or name in wanted])


def run_one(tests: Path, name: str, base: int) -> Outcome:
    """Run one of Mosquitto's tests, with as many ports from `base` on as it asks for."""
    asked = re.search(r"get_port\((\d+)\)", (tests / name).read_text())
    ports = range(base, base + (int(asked[1]) if asked else 1))
    command = [sys.executable, "-m", "tests.foreign.stand_in", name, *map(str, ports)]
    try:
        done = subprocess.run(
            command, cwd=tests, env=environment_of(), capture_output=True, timeout=TEST_S_MAX
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, 124, f"not done after {TEST_S_MAX} s")
    said = done.stdout.decode(errors="replace").strip().splitlines()
    return Outcome(name, done.returncode, said[0] if said else "")


def paho(folder: Path, wanted: list[str]) -> Iterator[Outcome]:
    """Run Paho's tests of MQTT 5, which came with its Python client."""
    sources = paho_sources(folder)
    with (
        tempfile.TemporaryDirectory(prefix="penstock-foreign-") as place,
        GatewayProcess(Path(place) / "data") as gateway,
    ):
        pytest = [sys.executable, "-m", "pytest", "-q", "-rA", "-W", "ignore", "-o", "addopts="]
        path = os.pathsep.join([str(HERE / "paho_broker"), str(REPOSITORY)])
        done = subprocess.run(
            [*pytest, "-p", "no:cacheprovider", "tests/test_mqttv5.py"],
            cwd=sources,
            env={**environment_of(), "PYTHONPATH": path, "PENSTOCK_PORT": str(gateway.port)},
            capture_output=True,
            text=True,
        )
    for status, name, why in re.findall(
        r"^(PASSED|FAILED) \S+::(\w+)(?: - (.*))?$", done.stdout, re.MULTILINE
    ):
        if not wanted or name in wanted:
            yield Outcome(name, int(status == "FAILED"), why)


SUITES = {"mosquitto": mosquitto, "paho": paho}


def explanations() -> dict[str, str]:
    """What the last table of docs/conformance.md says, by the names of tests."""
    rows = (REPOSITORY / "docs/conformance.md").read_text().split("tests expect\n")[-1]
    return {
        name: f"expects {expected.strip()}; we: {ours.strip()}"
        for row in rows.splitlines()
        if row.startswith(("| Mosquitto ", "| Paho "))
        for names, expected, ours in [row.strip("| ").split("|")[:3]]
        for name in re.findall(r"`([^`]+)`", names)
    }


def report(suite: str, outcomes: Iterator[Outcome]) -> int:
    """Print what did not pass; returns how many failures nobody has explained."""
    explained = explanations()
    passed = own = unexplained = known = 0
    for outcome in outcomes:
        why = explained.get(outcome.name.removesuffix(".py"))
        if outcome.exit_code == NOT_OURS:
            own += 1
        elif outcome.exit_code == 0:
            passed += 1
            if why:
                print(f"{outcome.name} passes, though it is explained", flush=True)
        elif why:
            known += 1
            print(f"{outcome.name}: {why}", flush=True)
        else:
            unexplained += 1
            print(f"{outcome.name} FAILED: {outcome.why}", flush=True)
    print(
        f"{suite}: {passed} pass, {known} differ and are explained, {unexplained} fail,"
        f" {own} need what only {suite} has"
    )
    return unexplained


def main(arguments: list[str]) -> int:
    """Run the suites that are named first, or all, and of them the tests named behind."""
    suites = [name for name in arguments if name in SUITES] or list(SUITES)
    wanted = [name for name in arguments if name not in SUITES]
    folder = REPOSITORY / ".foreign"
    folder.mkdir(exist_ok=True)
    failures = 0
    for suite in suites:
        try:
            failures += report(suite, SUITES[suite](folder, wanted))
        except SourcesUnavailable as error:
            print(f"{suite}: not run: {error}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
