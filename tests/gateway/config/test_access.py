from __future__ import annotations

import pytest

from gateway.config import load_config
from gateway.devices import ROLES, Role
from gateway.errors import DocumentInvalid
from gateway.server import AccessOptions


@pytest.fixture
def access(tmp_path):
    """The access options of a configuration text."""

    def read(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return load_config(path).server.access

    return read


def test_nothing_written_is_the_default(access):
    assert access("version: 1\n") == AccessOptions()


def test_every_setting_reaches_its_option(access):
    found = access(
        """
access:
  credentials: required
  anonymous: never
  certificate_name: san
  denied_publish: close
  connections_per_device: 3
  guessing: {failures: 3, within: 2m, delay: 1s}
  roles:
    sensor: {write: ["plant/{site}/{device}/#"], devices: topic}
    reader: {subscribe: ["#"]}
"""
    )
    sensor = Role(write=("plant/{site}/{device}/#",), devices="topic")
    reader = Role(read=ROLES["reader"].read, subscribe=("#",))
    assert found == AccessOptions(
        "required",
        "never",
        "san",
        "close",
        {**ROLES, "sensor": sensor, "reader": reader},
        3,
        120_000,
        1_000,
        connections_per_device_max=3,
    )


def test_enrolment_has_limits_and_tokens_may_need_the_time(access):
    found = access(
        "access: {enrolment: {per_minute: 5, applicants: 7}, tokens_in_doubt: refuse,\n"
        "         roles: {device: {write: ['{topics}']}}}\n"
    )
    assert (found.enrolments_per_minute_max, found.applicants_max) == (5, 7)
    assert found.doubtful_clock == "refuse"
    assert found.roles["device"].write == ("{topics}",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("anonymous: yes", "1:21: 'yes' is not one of auto, loopback, never"),
        ("roles: {Pump: {}}", "1:18: 'Pump' is not a role (small letters, digits, - _)"),
        ("roles: {pump: {write: ['a/#/b']}}", "1:33: 'a/#/b': # must be the last level"),
        (
            "roles: {pump: {read: ['a/{Site}']}}",
            "1:32: 'a/{Site}': a name in braces is {device} or {site}",
        ),
        (
            "roles: {pump: {read: ['$share/g/a']}}",
            "1:32: '$share/g/a': write the filter alone; it counts for those",
        ),
        (
            "roles: {pump: {read: ['a/{topics}']}}",
            "1:32: 'a/{topics}': {topics} is a whole pattern by itself",
        ),
        ("tokens_in_doubt: perhaps", "1:27: 'perhaps' is not one of accept, refuse"),
        ("enrolment: {per_minut: 1}", "unknown key 'per_minut', did you mean 'per_minute'?"),
    ],
)
def test_an_error_says_where_it_is_and_what_would_be_right(access, text, complaint):
    with pytest.raises(DocumentInvalid) as caught:
        access(f"access: {{{text}}}\n")
    (found,) = caught.value.complaints
    assert str(found).endswith(complaint)
