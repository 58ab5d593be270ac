from __future__ import annotations

import pytest

from gateway.devices.decoders.schemas import SchemaInvalid, schema_check

SCHEMA = {
    "type": "object",
    "required": ["t"],
    "properties": {"t": {"type": "number", "maximum": 100}},
}


def test_what_fits_has_no_complaint():
    assert schema_check(SCHEMA)({"t": 5}) == ""


def test_what_does_not_fit_is_named():
    assert "payload" in schema_check(SCHEMA)({})
    assert "100" in schema_check(SCHEMA)({"t": 101})


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, [], "x", {"pattern": "("}, {"$ref": "#/nowhere"}, {"type": 5}]
)
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(SchemaInvalid):
        schema_check(schema)


@pytest.mark.parametrize("uri", ["http://example.com/a.json", "file:///etc/passwd"])
def test_a_schema_reads_no_other_document(uri):
    with pytest.raises(SchemaInvalid, match="stands for itself"):
        schema_check({"$ref": uri})


def test_a_schema_may_refer_to_itself():
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert schema_check(tree)({"next": {"next": {}}}) == ""
    assert schema_check(tree)({"next": {"next": 5}})
