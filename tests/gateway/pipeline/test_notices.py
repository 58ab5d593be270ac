import orjson

from gateway.pipeline.notices import notice


def test_a_notice_is_an_alert_that_names_its_rule():
    run = notice("retention", "rules/telemetry", "warning", "too slow", 77)
    assert (run.stream, run.partition, run.arrival_ms) == ("alerts", 0, 77)
    assert run.origins[0].topic == "alerts/gateway/retention"
    payload = orjson.loads(run.payloads[0])
    assert payload["rule"] == "gateway/retention"
    assert payload["key"] == "rules/telemetry"
    assert (payload["severity"], payload["message"], payload["time"]) == ("warning", "too slow", 77)
