import pytest

from gateway.rules.reading.inventories import read_keys
from gateway.rules.spec import Lookup


def test_the_keys_of_a_csv_file_come_once_and_in_order():
    text = "site,device\nnorth,b\nsouth,a\nnorth,b\neast,\n"
    assert read_keys(Lookup("assets", "assets.csv", "device"), text) == ("b", "a")


def test_the_keys_of_a_json_file_may_be_numbers():
    text = '[{"device": 7}, {"device": "x"}, {"other": 1}, {"device": null}]'
    assert read_keys(Lookup("assets", "assets.json", "device"), text) == ("7", "x")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.csv", "name\nx\n", "a.csv has no column 'device'; its columns are name"),
        ("a.csv", "", "its columns are none"),
        ("a.json", "{}", "must be a JSON list of objects"),
        ("a.json", "[1]", "must be a JSON list of objects"),
        ("a.json", "[", "unexpected"),
        ("a.sqlite", "", "an inventory is a .csv or .json file"),
    ],
)
def test_a_file_that_is_no_inventory_is_refused(file, text, message):
    with pytest.raises(ValueError, match=message.replace("(", "\\(")):
        read_keys(Lookup("assets", file, "device"), text)
