from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "conformance.md"
STATEMENT = re.compile(r"MQTT(?:5|311)-\d+\.\d+(?:\.\d+)?-\d+")
HEADINGS = {"MQTT5": "## MQTT 5.0", "MQTT311": "## MQTT 3.1.1"}


class Row(NamedTuple):
    statement: str
    asks: str
    owner: str
    status: str
    proof: str
    heading: str


def read_rows() -> list[Row]:
    rows = []
    heading = ""
    for line in PAGE.read_text().splitlines():
        heading = line if line.startswith("## ") else heading
        if STATEMENT.match(line[2:]):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 5, line
            rows.append(Row(*cells, heading))
    return rows


ROWS = read_rows()
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.statement)


def statements_in(path: Path) -> set[str]:
    return set(STATEMENT.findall(path.read_text()))


def test_each_statement_has_one_row_in_the_table_of_its_version():
    assert len(ROWS) > 120
    assert [
        name for name, count in Counter(row.statement for row in ROWS).items() if count > 1
    ] == []
    for row in ROWS:
        assert STATEMENT.fullmatch(row.statement)
        assert row.heading == HEADINGS[row.statement.partition("-")[0]]


def test_rows_stand_in_the_order_of_the_specification():
    for version in HEADINGS:
        numbers = [
            [int(number) for number in re.findall(r"\d+", row.statement.partition("-")[2])]
            for row in ROWS
            if row.statement.startswith(f"{version}-")
        ]
        assert numbers == sorted(numbers)


@EACH
def test_the_owner_of_a_statement_cites_it(row):
    owner = ROOT / "gateway" / f"{row.owner}.py"
    assert row.statement in statements_in(owner)


@EACH
def test_a_statement_that_we_conform_to_is_named_by_its_proof(row):
    assert row.status == "conform" or row.status.startswith("deviate: ")
    if row.status == "conform":
        assert row.statement in statements_in(ROOT / "tests" / row.proof)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "gateway" / "mqtt").glob("*.py")), ids=lambda path: path.stem
)
def test_what_the_codec_cites_has_a_row(path):
    assert statements_in(path) <= {row.statement for row in ROWS}


def test_what_the_wire_vectors_prove_has_a_row():
    for path in (ROOT / "tests" / "wire").glob("*.yaml"):
        assert statements_in(path) <= {row.statement for row in ROWS}
