from gateway.documents import open_document
from gateway.rules.expression.checker import Environment
from gateway.rules.reading.reader import Reader, optional_ms


def reader_of(text, supported=frozenset()):
    document = open_document(text, "r.yaml")
    return Reader(document, text, supported), document


def places(document):
    return [f"{found.line}:{found.column}" for found in document.complaints]


def test_a_plain_scalar_is_pointed_into():
    reader, document = reader_of("when: device == nobody\n")
    reader.expression(document, "when", Environment())
    assert places(document) == ["1:17"]


def test_a_quoted_scalar_is_pointed_into_as_well():
    reader, document = reader_of("when: \"device == nobody\"\nclear: 'nobody'\n")
    reader.expression(document, "when", Environment())
    reader.expression(document, "clear", Environment())
    assert places(document) == ["1:18", "2:9"]


def test_text_that_the_file_spells_otherwise_is_pointed_at():
    reader, document = reader_of(
        'when: "device == \\"a\\" && nobody"\nclear:\n  device\n  == nobody\n'
    )
    reader.expression(document, "when", Environment())
    reader.expression(document, "clear", Environment())
    assert places(document) == ["1:7", "3:3"]


def test_a_wrong_expression_is_replaced_by_one_that_brings_no_more_errors():
    reader, document = reader_of("when: 1 +\n")
    assert reader.expression(document, "when", Environment(), "bool").kind == "any"
    assert reader.expression(document, "absent", Environment()) is None


def test_features_are_refused_where_they_are_used():
    text = "a: prev.payload.x > 1\nb: changed(payload.x)\nc: '{since(payload.x)}'\n"
    reader, document = reader_of(text, frozenset({"changed"}))
    for key in "ab":
        reader.expression(document, key, Environment())
    reader.template(document, document.get("c"), "c", Environment())
    found = [complaint.message.split()[0] for complaint in document.complaints]
    assert found == ["'prev'", "'since'"]


def test_an_optional_duration_may_be_missing():
    _, document = reader_of("a: 5s\nb: x\n")
    assert (optional_ms(document, "a"), optional_ms(document, "c")) == (5_000, None)
    optional_ms(document, "b", 7)
    assert places(document) == ["2:4"]
