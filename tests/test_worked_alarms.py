"""Worked rules of the language about alarms, with a day on which they matter."""

from __future__ import annotations

from tests.harness.rule_runs import Tape, engine_of

# Rules 5, 13 and 15 of the worked examples, and the `suppress` of 3, as they stand there.
WORKED = """
defaults:
  key: device
  time:
    {by: event, field: payload.ts, out_of_order: 5s, late: 2m, early: 5m, idle: 30s, watermark: key}
  on_unknown: hold
  state: {ttl: 7d, max_keys: 5000}
zones:
  yard: {circle: {lat: 50.45, lon: 30.52, radius_m: 250}}
schedules:
  office_hours:
    {days: [mon, tue, wed, thu, fri], from: "08:00", to: "18:00", timezone: Europe/Kyiv}
rules:
  - id: device-silent
    from: telemetry/#
    absent: {for: 5m, clock: arrival}
    alarm: {severity: minor, message: "{device} has sent nothing for 5 minutes"}
    suppress: {while_active: [gateway-offline]}
  - id: login-failures
    from: telemetry/+/auth
    where: payload.event == "fail"
    key: [device, payload.user]
    window: {sliding: 1m}
    aggregate: {n: count(), hosts: distinct(payload.ip)}
    when: n >= 5 && hosts >= 2
    alarm: {severity: warning, message: "{n} failures from {hosts} hosts"}
    suppress: {cooldown: 15m, limit: 20/h}
  - id: vehicle-in-yard
    from: telemetry/+/gps
    active: "!office_hours"
    when: inside(payload.lat, payload.lon, "yard")
    for: 20s
    clear: "!inside(payload.lat, payload.lon, \\"yard\\")"
    clear_for: 30s
    alarm: {severity: info, message: "{device} is in the yard"}
  - id: gateway-offline
    from: $sys/link
    key: []
    when: payload.state == "down"
    for: 30s
    clear: payload.state == "up"
    alarm: {severity: critical, message: "uplink is down"}
"""
DAY_MS = 86_400_000
THURSDAY_MS = 20_454 * DAY_MS  # 2026-01-01, two in the morning in Kyiv
MINUTE_MS = 60_000


class Site:
    """The worked rules, and what they say about one rule."""

    def __init__(self):
        self.engine, self.tape = engine_of(WORKED), Tape()

    def event(self, after_ms, topic, **fields):
        now_ms = THURSDAY_MS + after_ms
        return self.engine.feed(
            self.tape.event(
                {"ts": now_ms, **fields}, topic=topic, device=topic.split("/")[1], arrival=now_ms
            )
        )

    def tick(self, after_ms):
        return self.engine.feed(self.tape.tick(THURSDAY_MS + after_ms))


def said(outputs, rule):
    return [(o.event, o.time_ms - THURSDAY_MS, o.suppressed) for o in outputs if o.rule == rule]


def test_login_failures_are_told_once_in_a_quarter_of_an_hour():
    site, found = Site(), []
    for start in (0, 10 * MINUTE_MS, 16 * MINUTE_MS):
        for number in range(5):
            found += site.event(
                start + number * 1_000,
                "telemetry/d1/auth",
                event="fail",
                user="anna",
                ip=f"10.0.0.{number % 2}",
            )
        found += site.tick(start + 5 * MINUTE_MS)
    raised = [step for step in said(found, "login-failures") if step[0] == "raised"]
    assert [quiet for _, _, quiet in raised] == ["", "cooldown", ""]
    assert found[0].key == "d1/anna"


def test_a_vehicle_in_the_yard_is_an_alarm_outside_of_office_hours_only():
    site, found = Site(), []
    hour = 60 * MINUTE_MS
    for minute in range(15 * 60, 17 * 60, 10):  # Kyiv: 17:00 to 19:00
        found += site.event(minute * MINUTE_MS, "telemetry/t1/gps", lat=50.45, lon=30.52)
        found += site.event(minute * MINUTE_MS + 15_000, "telemetry/t1/gps", lat=50.45, lon=30.52)
        found += site.event(minute * MINUTE_MS + 30_000, "telemetry/t1/gps", lat=50.45, lon=30.52)
    assert said(found, "vehicle-in-yard") == [("raised", 16 * hour, "")]
    for second in (0, 31, 70):
        found += site.event(17 * hour + second * 1_000, "telemetry/t1/gps", lat=51.0, lon=30.52)
    assert said(found, "vehicle-in-yard")[1:] == [("cleared", 17 * hour + 30_000, "")]


def test_silence_is_not_told_while_the_uplink_is_down():
    site, found = Site(), []
    found += site.event(0, "telemetry/d1/state")
    found += site.event(0, "$sys/link", state="down")
    found += site.tick(6 * MINUTE_MS)
    assert said(found, "gateway-offline") == [("raised", 30_000, "")]
    assert said(found, "device-silent") == [("raised", 5 * MINUTE_MS, "while_active")]
    found = site.event(7 * MINUTE_MS, "$sys/link", state="up")
    found += site.tick(10 * MINUTE_MS)
    assert [step[0] for step in said(found, "gateway-offline")] == ["cleared"]
    assert [(step[0], step[2]) for step in said(found, "device-silent")] == [("reminded", "")]
