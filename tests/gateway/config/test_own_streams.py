from __future__ import annotations

from gateway.config import GatewayConfig, all_specs, rule_streams, stream_routes
from gateway.mqtt import matches

CONFIG = GatewayConfig()


def test_every_stream_stands_there_once():
    names = [spec.name for spec in all_specs(CONFIG)]
    assert len(set(names)) == len(names)
    assert {"telemetry", "alerts", "audit", "presence", "ticks", "twins"} <= set(names)


def test_what_the_gateway_says_goes_before_what_clients_do():
    def stream_of(topic):
        routes = stream_routes(CONFIG)
        return next(
            one.stream for one in routes if any(matches(own, topic) for own in one.topic_filters)
        )

    topics = {"alerts/x": "alerts", "alarms/x": "alarms", "audit/x/y": "audit"}
    topics |= {"presence/p": "presence", "twin/p/desired": "twins", "plant/p/t": "telemetry"}
    assert {topic: stream_of(topic) for topic in topics} == topics


def test_rules_read_what_is_configured_and_what_the_gateway_says():
    assert rule_streams(CONFIG) == ["telemetry", "alarms", "presence", "twins", "commands"]
