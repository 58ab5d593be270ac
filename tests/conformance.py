"""The statements of the MQTT specifications, and which tests prove that the gateway obeys them.

`./run conformance` prints the count and lists what no test names; a statement that is asked of a
server and has no test makes it fail.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "conformance.md"
STATEMENT = re.compile(r"MQTT(?:5|311)-\d+\.\d+\.\d+-\d+")
VERSIONS = {"MQTT5": "MQTT 5.0", "MQTT311": "MQTT 3.1.1"}
NOBODY = "-"
CONFORM, CLIENT, UNUSED, DEVIATE = "conform", "client", "unused: ", "deviate: "


class Row(NamedTuple):
    """One statement of the page; what is asked of clients has neither owner nor proof."""

    statement: str
    asks: str
    owner: str
    status: str
    proof: str
    heading: str

    @property
    def is_ours(self) -> bool:
        """Whether a server of ours can obey it or break it."""
        return self.status == CONFORM or self.status.startswith(DEVIATE)

    @property
    def proofs(self) -> list[str]:
        return [] if self.proof == NOBODY else self.proof.split(", ")


def read_rows(page: str) -> list[Row]:
    """Every row of the tables of statements, in order."""
    rows = []
    heading = ""
    for line in page.splitlines():
        heading = line if line.startswith("## ") else heading
        if STATEMENT.match(line[2:]):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 5, line
            rows.append(Row(*cells, heading))
    return rows


def statements_in(path: Path) -> set[str]:
    """The statements that a file names."""
    return set(STATEMENT.findall(path.read_text()))


def tested_statements() -> set[str]:
    """The statements that any test or wire vector names."""
    folder = ROOT / "tests"
    paths = [*folder.rglob("test_*.py"), *folder.rglob("*.yaml")]
    return set().union(*map(statements_in, paths))


def report(rows: Iterable[Row], tested: set[str]) -> tuple[list[str], bool]:
    """What there is to say, line by line, and whether everything that is ours has a test."""
    lines: list[str] = []
    is_complete = True
    every = list(rows)
    for version, name in VERSIONS.items():
        own = [row for row in every if row.statement.startswith(f"{version}-")]
        ours = [row for row in own if row.is_ours]
        missing = [row for row in ours if row.statement not in tested]
        clients = sum(row.status == CLIENT for row in own)
        lines.append(
            f"{name}: {len(own)} statements; {len(ours)} are asked of us, "
            f"{len(ours) - len(missing)} of them have a test; {clients} are asked of clients, "
            f"{len(own) - len(ours) - clients} of what we don't use"
        )
        lines += [f"  {row.statement} has no test: {row.asks}" for row in missing]
        lines += [
            f"  {row.statement} is not obeyed: {row.status.removeprefix(DEVIATE)}"
            for row in ours
            if row.status.startswith(DEVIATE)
        ]
        is_complete &= not missing
    return lines, is_complete


def main() -> int:
    """Print the report; 1 when a statement that is asked of us has no test."""
    lines, is_complete = report(read_rows(PAGE.read_text()), tested_statements())
    print("\n".join(lines))
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
