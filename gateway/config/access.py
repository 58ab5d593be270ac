"""Reads the section `access:`: who gets in without credentials, and what each role may do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

from gateway.devices import ROLES, CertificateName, Devices, Role
from gateway.documents import Section
from gateway.errors import MqttError
from gateway.mqtt import check_topic_filter
from gateway.server import AccessOptions, Anonymous, Credentials, DeniedPublish, DoubtfulClock

ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
NAME = re.compile(r"\{[a-z][a-z0-9_]*\}")
TOPICS = "{topics}"
ENROLMENTS_PER_MINUTE_MAX = 60_000
APPLICANTS_MAX = 100_000
PREFIXES = ("$share/", "$replay/")


def read_access(top: Section, default: AccessOptions) -> AccessOptions:
    """Who has to show what, and what each role may do."""
    section = top.section("access")
    if section is None:
        return default
    anonymous = section.choice("anonymous", get_args(Anonymous), default.anonymous)
    credentials = section.choice("credentials", get_args(Credentials), default.credentials)
    name = section.choice("certificate_name", get_args(CertificateName), default.certificate_name)
    denied = section.choice("denied_publish", get_args(DeniedPublish), default.denied_publish)
    options = AccessOptions(
        credentials=credentials,  # type: ignore[arg-type] # it is one of get_args(Credentials)
        anonymous=anonymous,  # type: ignore[arg-type] # it is one of get_args(Anonymous)
        certificate_name=name,  # type: ignore[arg-type] # as above
        denied_publish=denied,  # type: ignore[arg-type] # as above
        connections_per_device_max=section.integer(
            "connections_per_device", default.connections_per_device_max, least=1
        ),
        roles={**default.roles, **_roles(section)},
    )
    options = _read_enrolment(section, _read_guessing(section, options))
    section.finish()
    return options


def _roles(section: Section) -> dict[str, Role]:
    roles = section.section("roles")
    found: dict[str, Role] = {}
    for key, node in [] if roles is None else list(roles.entries()):
        if not ROLE_NAME.fullmatch(key.source):
            section.complain_at(key, f"'{key.source}' is not a role (small letters, digits, - _)")
        role = section.as_section(node, key.source)
        if role is not None:
            found[key.source] = _role(role, ROLES.get(key.source, Role()))
    return found


def _role(section: Section, default: Role) -> Role:
    devices = section.choice("devices", get_args(Devices), default.devices)
    role = Role(
        write=_patterns(section, "write", default.write),
        read=_patterns(section, "read", default.read),
        subscribe=_patterns(section, "subscribe", default.subscribe),
        devices=devices,  # type: ignore[arg-type] # it is one of get_args(Devices)
    )
    section.finish()
    return role


def _patterns(section: Section, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    if key not in section:
        return default
    nodes = section.text_nodes(key)
    for node in nodes:
        pattern = NAME.sub("x", node.source)
        if any(sign in pattern for sign in "{}"):
            section.complain_at(node, f"{node.shown}: a name in braces is {{device}} or {{site}}")
        elif TOPICS in node.source and node.source != TOPICS:
            section.complain_at(node, f"{node.shown}: {TOPICS} is a whole pattern by itself")
        elif pattern.startswith(PREFIXES):
            section.complain_at(node, f"{node.shown}: write the filter alone; it counts for those")
        else:
            try:
                check_topic_filter(pattern)
            except MqttError as error:
                section.complain_at(node, str(error))
    return tuple(node.source for node in nodes)


def _read_guessing(section: Section, options: AccessOptions) -> AccessOptions:
    own = section.section("guessing")
    if own is None:
        return options
    options = replace(
        options,
        failures_max=own.integer("failures", options.failures_max, least=1, most=10_000),
        failures_within_ms=own.duration_ms("within", options.failures_within_ms, least=1_000),
        refusal_delay_ms=own.duration_ms("delay", options.refusal_delay_ms, most=60_000),
    )
    own.finish()
    return options


def _read_enrolment(section: Section, options: AccessOptions) -> AccessOptions:
    clock = section.choice("tokens_in_doubt", get_args(DoubtfulClock), options.doubtful_clock)
    options = replace(options, doubtful_clock=clock)  # type: ignore[arg-type] # it is one of get_args(DoubtfulClock)
    own = section.section("enrolment")
    if own is None:
        return options
    options = replace(
        options,
        enrolments_per_minute_max=own.integer(
            "per_minute",
            options.enrolments_per_minute_max,
            least=1,
            most=ENROLMENTS_PER_MINUTE_MAX,
        ),
        applicants_max=own.integer(
            "applicants", options.applicants_max, least=1, most=APPLICANTS_MAX
        ),
    )
    own.finish()
    return options
