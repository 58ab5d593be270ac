"""`python -m firmware_sim.load.child KIND`: a load in a process of its own.

It reads the load as JSON from the first line of its standard input (a command line would show the
password to everybody), says `ready`, waits for a line, says `measuring` and `measured` (and waits
for a line again, so that the server's costs can be read before anything changes), and ends with its
result as JSON.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from firmware_sim.load import options
from firmware_sim.load.options import Load
from firmware_sim.load.protocol import MEASURED, MEASURING, READY, Watcher
from gateway.errors import PenstockError


class Run(Protocol):
    """A load that has its connections and waits to be let loose."""

    def measure(self, watcher: Watcher) -> Any: ...
    def close(self) -> None: ...


class Kind(NamedTuple):
    """Which module drives a load, and what describes it."""

    module: str
    driver: str
    load: type[Load]


KINDS = {
    "ingest": Kind("firmware_sim.load.ingest", "Ingest", options.IngestLoad),
    "fanout": Kind("firmware_sim.load.fanout", "Fanout", options.FanoutLoad),
    "connect": Kind("firmware_sim.load.connect", "Connects", options.ConnectLoad),
    "storm": Kind("firmware_sim.load.storm", "Storm", options.StormLoad),
    "steady": Kind("firmware_sim.load.steady", "Steady", options.StormLoad),
    "hold": Kind("firmware_sim.load.hold", "Hold", options.HoldLoad),
    "drain": Kind("firmware_sim.load.drain", "Drain", options.DrainLoad),
}


def prepare(kind: str, load: Load) -> Run:
    """Open what a load needs before its clock may start.

    Raises:
        ServerAbsent: nothing listens there.
        ServerRefused: it does not want us.
    """
    found = KINDS[kind]
    driver: Callable[[Load], Run] = getattr(importlib.import_module(found.module), found.driver)
    return driver(load)


class Pipe:
    """The watcher at the other end of the standard streams."""

    def measuring(self) -> None:
        self._say(MEASURING)

    def show(self, values: Mapping[str, float]) -> None:
        """Nobody looks."""

    def measured(self) -> None:
        self._say(MEASURED)
        sys.stdin.readline()

    @staticmethod
    def _say(word: str) -> None:
        sys.stdout.write(word + "\n")
        sys.stdout.flush()


def main() -> None:
    """Run the load that the command line names."""
    kind = sys.argv[1]
    try:
        run = prepare(kind, KINDS[kind].load(**json.loads(sys.stdin.readline())))
        sys.stdout.write(READY + "\n")
        sys.stdout.flush()
        sys.stdin.readline()
        measured = run.measure(Pipe())
        run.close()
    except PenstockError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(dataclasses.asdict(measured)) + "\n")


if __name__ == "__main__":
    main()
