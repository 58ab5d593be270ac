from __future__ import annotations

from gateway.devices import ProfileBook
from gateway.devices.profiles.loader import parse_profile

BOOK = parse_profile(
    "version: 1\nprofile: pump\n"
    'topics: ["plant/{site}/{device}/telemetry", "old/{device}"]\npayload: {format: number}\n'
)


def test_a_topic_has_the_profile_whose_template_it_fits():
    assert BOOK.profile_of("plant/a/b/telemetry").name == "pump"
    assert BOOK.profile_of("old/x").name == "pump"
    assert BOOK.profile_of("plant/a/b") is None
    assert BOOK.decoder_of("plant/a/b") is None


def test_captures_are_levels_of_the_topic():
    assert BOOK.captures_of("plant/north/p7/telemetry") == {"site": "north", "device": "p7"}
    assert BOOK.captures_of("elsewhere") == {}


def test_a_profile_can_be_had_by_name():
    assert BOOK.named("pump").name == "pump"
    assert BOOK.named("x") is None
    assert BOOK.decoder_named("pump")(b"5") == 5


def test_templates_come_in_order():
    assert BOOK.templates == ("plant/{site}/{device}/telemetry", "old/{device}")
    assert len(ProfileBook()) == 0


def test_a_book_builds_what_it_is_not_given():
    again = ProfileBook(BOOK.profiles)
    assert again.decoder_of("old/x")(b"7") == 7


def test_what_a_book_holds_can_be_replaced_and_who_remembers_hears_of_it():
    text = 'version: 1\nprofile: pump\ntopics: ["plant/{device}"]\n'
    book, heard = parse_profile(text), []
    book.watch(lambda: heard.append(book.templates))
    other = parse_profile(text.replace("plant", "hall"))
    book.replace(other)
    assert book.templates == other.templates
    assert heard == [other.templates]
    assert book.decoder_named("pump") is other.decoder_named("pump")
