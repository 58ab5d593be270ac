"""Packets of every kind at random, each one that its version can write."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from gateway.mqtt import (
    NO_PROPERTIES,
    REASON_CODES_ALLOWED,
    Auth,
    Carrier,
    Connack,
    Connect,
    Disconnect,
    PacketType,
    Pingreq,
    Pingresp,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Sender,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from gateway.mqtt.properties import PROPERTY_ROWS
from gateway.mqtt.reason_codes import CONNACK_REFUSALS_V3_1_1

V3_1_1 = ProtocolVersion.V3_1_1
V5 = ProtocolVersion.V5

TWO_BYTES = st.integers(0, 0xFFFF)
FOUR_BYTES = st.integers(0, 0xFFFF_FFFF)
PACKET_IDS = st.integers(1, 0xFFFF)
QOS = st.integers(0, 2)
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=20)
LEVELS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="+#/"), max_size=5
)
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)
FILTER_LEVELS = st.one_of(LEVELS, st.just("+"))
FILTERS = (
    st.tuples(st.lists(FILTER_LEVELS, min_size=1, max_size=5), st.booleans())
    .map(lambda found: "/".join([*found[0], "#"] if found[1] else found[0]))
    .filter(lambda text: text and not text.startswith("$share/"))
)
SHARED_FILTERS = st.tuples(LEVELS.filter(bool), FILTERS).map(
    lambda found: f"$share/{found[0]}/{found[1]}"
)
USER_PROPERTIES = st.lists(st.tuples(STRINGS, STRINGS), max_size=3).map(tuple)

VALUES = {
    "payload_format_indicator": st.integers(0, 1),
    "message_expiry_interval_s": FOUR_BYTES,
    "content_type": STRINGS,
    "response_topic": TOPICS,
    "correlation_data": st.binary(max_size=20),
    "session_expiry_interval_s": FOUR_BYTES,
    "assigned_client_id": STRINGS,
    "server_keep_alive_s": TWO_BYTES,
    "authentication_method": STRINGS,
    "authentication_data": st.binary(max_size=20),
    "request_problem_information": st.integers(0, 1),
    "will_delay_interval_s": FOUR_BYTES,
    "request_response_information": st.integers(0, 1),
    "response_information": STRINGS,
    "server_reference": STRINGS,
    "reason_string": STRINGS,
    "receive_maximum": st.integers(1, 0xFFFF),
    "topic_alias_maximum": TWO_BYTES,
    "topic_alias": st.integers(1, 0xFFFF),
    "maximum_qos": st.integers(0, 1),
    "retain_available": st.integers(0, 1),
    "maximum_packet_size": st.integers(1, 0xFFFF_FFFF),
    "wildcard_subscription_available": st.integers(0, 1),
    "subscription_ids_available": st.integers(0, 1),
    "shared_subscription_available": st.integers(0, 1),
}


def properties(version: int, carrier: Carrier, **always) -> st.SearchStrategy[Properties]:
    if version != V5:
        return st.just(NO_PROPERTIES)
    names = {row.name for row in PROPERTY_ROWS if carrier in row.carriers}
    values = {
        name: st.none() | VALUES[name] if name in names else st.none() for name in sorted(VALUES)
    }
    values["user_properties"] = USER_PROPERTIES
    values["subscription_ids"] = st.just(())
    if carrier is Carrier.PUBLISH:
        ids = st.integers(1, 268_435_455)
        values["subscription_ids"] = st.lists(ids, max_size=3).map(tuple)
    elif carrier is Carrier.SUBSCRIBE:
        values["subscription_ids"] = st.lists(st.integers(1, 268_435_455), max_size=1).map(tuple)
    return st.builds(Properties, **{**values, **always})


def reason_codes(packet_type: PacketType, sender: Sender) -> st.SearchStrategy[ReasonCode]:
    return st.sampled_from(sorted(REASON_CODES_ALLOWED[packet_type, sender]))


def wills(version: int) -> st.SearchStrategy[Will]:
    return st.builds(
        Will,
        topic=TOPICS,
        payload=st.binary(max_size=50),
        qos=QOS,
        retain=st.booleans(),
        properties=properties(version, Carrier.WILL),
    )


def connects(version: ProtocolVersion) -> st.SearchStrategy[Connect]:
    def lawful(packet: Connect) -> Connect:
        if packet.properties.authentication_method is None:
            without = packet.properties._replace(authentication_data=None)
            packet = replace(packet, properties=without)
        if version is V3_1_1 and packet.username is None:
            packet = replace(packet, password=None)
        if version is V3_1_1 and not packet.client_id:
            packet = replace(packet, clean_start=True)
        return packet

    return st.builds(
        Connect,
        client_id=NAMES,
        version=st.just(version),
        clean_start=st.booleans(),
        keep_alive_s=TWO_BYTES,
        username=st.none() | NAMES,
        password=st.none() | st.binary(max_size=20),
        will=st.none() | wills(version),
        properties=properties(version, Carrier.CONNECT),
    ).map(lawful)


def publishes(version: int, sender: Sender) -> st.SearchStrategy[Publish]:
    def lawful(packet: Publish) -> Publish:
        if not packet.qos:
            packet = replace(packet, packet_id=0, dup=False)
        if sender is Sender.CLIENT:
            packet = replace(packet, properties=packet.properties._replace(subscription_ids=()))
        return packet

    return st.builds(
        Publish,
        topic=TOPICS,
        payload=st.binary(max_size=200),
        qos=QOS,
        packet_id=PACKET_IDS,
        retain=st.booleans(),
        dup=st.booleans(),
        properties=properties(version, Carrier.PUBLISH),
    ).map(lawful)


def acknowledgements(version: int) -> st.SearchStrategy:
    kinds = (Puback, Pubrec, Pubrel, Pubcomp)
    if version != V5:
        return st.one_of([st.builds(kind, PACKET_IDS) for kind in kinds])
    return st.one_of(
        [
            st.builds(
                kind,
                PACKET_IDS,
                reason_codes(PacketType[kind.__name__.upper()], Sender.CLIENT),
                properties(version, Carrier(kind.__name__.upper())),
            )
            for kind in kinds
        ]
    )


def subscriptions(version: int) -> st.SearchStrategy[Subscription]:
    if version != V5:
        return st.builds(Subscription, FILTERS | SHARED_FILTERS, QOS)
    flags = {"retain_as_published": st.booleans(), "retain_handling": st.integers(0, 2)}
    return st.builds(
        Subscription, topic_filter=FILTERS, maximum_qos=QOS, no_local=st.booleans(), **flags
    ) | st.builds(Subscription, topic_filter=SHARED_FILTERS, maximum_qos=QOS, **flags)


def subacks(version: int) -> st.SearchStrategy[Suback]:
    codes = (
        reason_codes(PacketType.SUBACK, Sender.SERVER)
        if version == V5
        else st.sampled_from([ReasonCode(number) for number in (0, 1, 2, 0x80)])
    )
    return st.builds(
        Suback,
        PACKET_IDS,
        st.lists(codes, min_size=1, max_size=5).map(tuple),
        properties(version, Carrier.SUBACK),
    )


def unsubacks(version: int) -> st.SearchStrategy[Unsuback]:
    if version != V5:
        return st.builds(Unsuback, PACKET_IDS)
    codes = reason_codes(PacketType.UNSUBACK, Sender.SERVER)
    return st.builds(
        Unsuback,
        PACKET_IDS,
        st.lists(codes, min_size=1, max_size=5).map(tuple),
        properties(version, Carrier.UNSUBACK),
    )


def connacks(version: int) -> st.SearchStrategy[Connack]:
    refusals = (
        reason_codes(PacketType.CONNACK, Sender.SERVER)
        if version == V5
        else st.sampled_from([ReasonCode.SUCCESS, *CONNACK_REFUSALS_V3_1_1])
    )
    own = properties(version, Carrier.CONNACK)
    return st.builds(Connack, st.just(False), refusals, own) | st.builds(
        Connack, st.booleans(), st.just(ReasonCode.SUCCESS), own
    )


def disconnects(version: int, sender: Sender) -> st.SearchStrategy[Disconnect]:
    if version != V5:
        return st.just(Disconnect())
    always = {"session_expiry_interval_s": st.none()} if sender is Sender.SERVER else {}
    return st.builds(
        Disconnect,
        reason_codes(PacketType.DISCONNECT, sender),
        properties(version, Carrier.DISCONNECT, **always),
    )


def auths(sender: Sender) -> st.SearchStrategy[Auth]:
    return st.builds(
        Auth,
        reason_codes(PacketType.AUTH, sender),
        properties(V5, Carrier.AUTH, authentication_method=STRINGS),
    )


def packets_from_client(version: int) -> st.SearchStrategy:
    found = [
        publishes(version, Sender.CLIENT),
        acknowledgements(version),
        st.builds(
            Subscribe,
            PACKET_IDS,
            st.lists(subscriptions(version), min_size=1, max_size=4).map(tuple),
            properties(version, Carrier.SUBSCRIBE),
        ),
        st.builds(
            Unsubscribe,
            PACKET_IDS,
            st.lists(FILTERS | SHARED_FILTERS, min_size=1, max_size=4).map(tuple),
            properties(version, Carrier.UNSUBSCRIBE),
        ),
        st.just(Pingreq()),
        disconnects(version, Sender.CLIENT),
    ]
    return st.one_of([*found, auths(Sender.CLIENT)] if version == V5 else found)


def packets_from_server(version: int) -> st.SearchStrategy:
    found = [
        connacks(version),
        publishes(version, Sender.SERVER),
        acknowledgements(version),
        subacks(version),
        unsubacks(version),
        st.just(Pingresp()),
    ]
    of_5 = [disconnects(version, Sender.SERVER), auths(Sender.SERVER) | st.just(Auth())]
    return st.one_of([*found, *of_5] if version == V5 else found)


def packets_from(sender: Sender, version: int) -> st.SearchStrategy:
    kinds = {Sender.CLIENT: packets_from_client, Sender.SERVER: packets_from_server}
    return kinds[sender](version)
