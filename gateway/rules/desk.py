"""The life of every alarm, from its raise until nobody has to think of it (RULES L7, L8, L11, L12).

Theory of operation. Conditions say when an alarm rises, changes and clears; what becomes of that is
decided here, one alarm for each rule and key:

    idle ──raised──▶ raised ──ack──▶ acked ──cleared──▶ idle
                       │ cleared
                       ├──────────▶ idle
                       └─latched──▶ cleared-unacked ──ack──▶ idle          (with `latch`)

Any of them can be shelved for a while. Every step is a transition in the log; what isn't to be told
carries the reason. Whoever was told of a raise is told of its end; a raise that was held back
because of a shelf, a parent alarm or too many alarms is told when that is over and it still stands.
Acknowledging and shelving are events of the log, and time is the arrival clock of the engine, so a
replay repeats all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from gateway.rules.alarms import (
    FLOOD,
    LOOKUP_INVALID,
    RULE_ERROR,
    RULES_INVALID,
    Notice,
    Outbox,
    Told,
)
from gateway.rules.commands import Command
from gateway.rules.conditions import Change
from gateway.rules.groups import GROUP, Groups, told_together
from gateway.rules.instants import NEVER
from gateway.rules.outputs import AlarmEvent
from gateway.rules.reasons import spell_duration
from gateway.rules.spec import AlarmSpec, RuleSpec
from gateway.rules.standing import SHELVED_MAX, Alarm, RuleAlarms, is_same_sort

# Alarms that no condition counts, because they are about rules.
OWN_RULES = (RULE_ERROR, FLOOD, RULES_INVALID, LOOKUP_INVALID)
OWN_ALARMS_MAX = 10_000


class Desk:
    """Every alarm of a rule set."""

    def __init__(self, specs: Iterable[RuleSpec], outbox: Outbox) -> None:
        self.outbox = outbox
        self.rules = {spec.id: RuleAlarms(spec) for spec in specs if spec.enabled}
        for name in OWN_RULES:
            own = RuleSpec(name, (), (), alarm=AlarmSpec("major"))
            self.rules[name] = RuleAlarms(own)
            self.rules[name].keys_max = OWN_ALARMS_MAX
        for rule in self.rules.values():
            for parent_id in rule.spec.suppress.while_active:
                parent = self.rules.get(parent_id)
                if parent is not None:
                    rule.parents.append((parent, is_same_sort(rule.spec, parent.spec)))
                    parent.children.append(rule)
        self.groups = Groups(self.rules)
        self.timers: list[tuple[int, str, str]] = []
        self.dirty: dict[tuple[str, str], None] = {}
        self.orphans: list[tuple[str, str, Alarm, str]] = []
        """Alarms that nothing will clear, because what they are about is gone: with the reason."""
        self.refused_commands = 0

    # What conditions say.

    def take(self, rule_id: str, key: str, change: Change, notice: Notice) -> None:
        """Take in what a condition says."""
        rule = self.rules[rule_id]
        alarm = rule.alarms.get(key)
        if change.event == "raised":
            self._raise(rule, key, alarm or self._open(rule, key), change, notice)
            return
        if alarm is None or not alarm.is_up:
            # It rose before alarms had a life here.
            alarm = alarm or self._open(rule, key)
            self._stand(rule, alarm)
            alarm.is_told = True
        alarm.n, alarm.since_ms, alarm.severity = change.n, change.since_ms, change.severity
        alarm.message = notice.message
        alarm.names = rule.kept_names(notice.names)
        if change.event == "changed":
            self._tell(rule, key, alarm, "changed", Told(change.time_ms, notice.reason))
        else:
            self._clear(rule, key, alarm, change, notice.reason)
        self._note(rule, key)

    def _open(self, rule: RuleAlarms, key: str) -> Alarm:
        """A place for an alarm; where there is no room, the oldest that only waits must go."""
        if len(rule.alarms) >= rule.keys_max + SHELVED_MAX:
            waiting = [(a.time_ms, k) for k, a in rule.alarms.items() if a.is_latched]
            if waiting:
                oldest = min(waiting)[1]
                self._close(rule, oldest, self.outbox.clock_ms, "no room for more that wait")
        alarm = rule.alarms[key] = Alarm(rule.severity)
        rule.idle_count += 1
        return alarm

    def _stand(self, rule: RuleAlarms, alarm: Alarm) -> None:
        """Count an alarm as up."""
        if not alarm.is_standing:
            rule.idle_count -= 1
            rule.shown_count += 1
        alarm.is_up, alarm.is_latched = True, False
        rule.up_count += 1

    def _raise(
        self, rule: RuleAlarms, key: str, alarm: Alarm, change: Change, notice: Notice
    ) -> None:
        is_new = not alarm.is_standing
        self._stand(rule, alarm)
        if is_new and rule.shown_count > rule.active_max:
            rule.shown_count -= 1
            rule.surplus.add(key)
            alarm.is_surplus = True
        alarm.is_acked = alarm.is_told = False
        alarm.n, alarm.severity = change.n, change.severity
        alarm.time_ms, alarm.since_ms = change.time_ms, change.since_ms
        alarm.message = notice.message
        alarm.names = rule.kept_names(notice.names)
        alarm.token = rule.token_of(key, notice.names)
        alarm.quiet = self._quiet(rule, key, alarm, alarm.token)
        alarm.is_told = not alarm.quiet
        self._emit(rule, key, alarm, "raised", Told(change.time_ms, notice.reason, alarm.quiet))
        if alarm.is_told:
            self.groups.begin(rule, self.outbox.clock_ms)
        if rule.spec.suppress.remind_ms is not None:
            alarm.remind_ms = self.outbox.clock_ms + rule.spec.suppress.remind_ms
        self._note(rule, key)
        if alarm.is_surplus and len(rule.surplus) == 1:
            self._raise_flood(rule)

    def _clear(self, rule: RuleAlarms, key: str, alarm: Alarm, change: Change, reason: str) -> None:
        alarm.is_up = False
        rule.up_count -= 1
        if rule.latch and not alarm.is_acked and change.cause != "max_keys":
            alarm.is_latched = True
            quiet = "" if alarm.is_told else alarm.quiet
            self._emit(rule, key, alarm, "latched", Told(change.time_ms, reason, quiet))
        else:
            self._close(rule, key, change.time_ms, reason)
        for child in rule.children:
            self._let_children_speak(rule, child, key)

    def _close(self, rule: RuleAlarms, key: str, time_ms: int, reason: str) -> None:
        """End an alarm; the entry stays as long as its key is shelved."""
        alarm = rule.alarms[key]
        was_surplus = alarm.is_surplus
        alarm.is_up = alarm.is_latched = alarm.is_surplus = False
        alarm.remind_ms = NEVER
        quiet = "" if alarm.is_told else alarm.quiet
        self._emit(rule, key, alarm, "cleared", Told(time_ms, reason, quiet))
        rule.idle_count += 1
        self._note(rule, key)
        if not alarm.is_shelved:
            self._forget(rule, key)
        if was_surplus:
            rule.surplus.discard(key)
        else:
            rule.shown_count -= 1
            self._promote(rule)
        if was_surplus and not rule.surplus:
            self._clear_flood(rule)

    def _forget(self, rule: RuleAlarms, key: str) -> None:
        del rule.alarms[key]
        rule.idle_count -= 1

    # Telling, and not telling.

    def _quiet(self, rule: RuleAlarms, key: str, alarm: Alarm, token: str | None) -> str:
        """What holds a notification back; if nothing does, it counts as told."""
        hold = rule.hold_on(key, alarm)
        if hold:
            return hold
        if token is not None and rule.group_until_ms:
            return GROUP
        return rule.throttle.admit(token, self.outbox.clock_ms)

    def _end_group(self, rule: RuleAlarms) -> None:
        """Tell together of what was held back for that, and go on so if there was anything."""
        held = [key for key, alarm in rule.alarms.items() if alarm.quiet == GROUP]
        self.dirty |= dict.fromkeys((rule.spec.id, key) for key in ("", *held))
        now_ms = self.outbox.clock_ms
        for key, message, reason, quiet in (told := told_together(rule, now_ms)):
            alarm = rule.alarms[key]
            own, alarm.message = alarm.message, message
            self._emit(rule, key, alarm, "reminded", Told(now_ms, reason, quiet))
            alarm.message = own
        if told:
            self.groups.begin(rule, now_ms)

    def _tell(
        self, rule: RuleAlarms, key: str, alarm: Alarm, event: AlarmEvent, told: Told
    ) -> None:
        """Tell more of an alarm that was told of before; another stays unsaid."""
        quiet = self._quiet(rule, key, alarm, None) if alarm.is_told else alarm.quiet
        self._emit(rule, key, alarm, event, told._replace(quiet=quiet))

    def _tell_at_last(self, rule: RuleAlarms, key: str, alarm: Alarm, reason: str) -> None:
        """Tell of a raise that was held back, as its alarm still stands."""
        if not alarm.is_up or alarm.is_told or alarm.is_acked:
            return
        alarm.quiet = self._quiet(rule, key, alarm, alarm.token)
        alarm.is_told = not alarm.quiet
        self._note(rule, key)
        told = Told(self.outbox.clock_ms, reason, alarm.quiet)
        self._emit(rule, key, alarm, "reminded", told)

    def _emit(
        self, rule: RuleAlarms, key: str, alarm: Alarm, event: AlarmEvent, told: Told
    ) -> None:
        rule.raised += event == "raised"
        rule.suppressed += bool(told.quiet)
        self.outbox.tell(rule.spec, key, alarm, event, told)

    def _let_children_speak(self, parent: RuleAlarms, child: RuleAlarms, key: str) -> None:
        """Tell of what was held back by an alarm of the parent that has just cleared."""
        is_same_key = any(one is parent and same for one, same in child.parents)
        keys = [key] if is_same_key else sorted(child.alarms)
        if not is_same_key and parent.up_count:
            return
        for one in keys:
            alarm = child.alarms.get(one)
            if alarm is not None and alarm.quiet == "while_active" and not child.is_held_back(one):
                self._tell_at_last(child, one, alarm, f"{parent.spec.id} has cleared")

    def _promote(self, rule: RuleAlarms) -> None:
        """Show the oldest of the surplus, where there is room again."""
        if rule.shown_count >= rule.active_max:
            return
        key = rule.first_surplus()
        if key is None:
            return
        rule.surplus.discard(key)
        rule.shown_count += 1
        alarm = rule.alarms[key]
        alarm.is_surplus = False
        self._note(rule, key)
        if alarm.is_up and not alarm.is_acked:
            self._tell_at_last(rule, key, alarm, "one of the alarms before it has cleared")
        else:
            told = Told(
                self.outbox.clock_ms, "one of the alarms before it has cleared", alarm.quiet
            )
            self._emit(rule, key, alarm, "reminded", told)
        if not rule.surplus:
            self._clear_flood(rule)

    # Alarms about rules.

    def report_error(self, spec: RuleSpec, error: Exception, what: str) -> None:
        """Raise the alarm that a rule has failed inside the engine and was stopped."""
        message = f"rule {spec.id} was stopped: {type(error).__name__}: {error}"
        where = f"{spec.path}:{spec.line}" if spec.path else spec.id
        reason = f"{what}; the rule is at {where}"
        self._raise_own(RULE_ERROR, spec.id, Notice(message, reason, {}))

    def _raise_flood(self, rule: RuleAlarms) -> None:
        message = f"rule {rule.spec.id} has more than {rule.active_max} alarms"
        reason = "those beyond are in the log, and told when there is room"
        self._raise_own(FLOOD, rule.spec.id, Notice(message, reason, {}))

    def _clear_flood(self, rule: RuleAlarms) -> None:
        self._clear_own(FLOOD, rule.spec.id, f"no more than {rule.active_max} alarms")

    def is_up(self, name: str, key: str) -> bool:
        """Whether an alarm is up."""
        rule = self.rules.get(name)
        alarm = rule.alarms.get(key) if rule is not None else None
        return alarm is not None and alarm.is_up

    def report_fault(self, name: str, message: str, key: str = "") -> None:
        """Raise an alarm about the gateway itself, anew if it says something else."""
        if name not in OWN_RULES:
            return
        if self.is_up(name, key):
            if self.rules[name].alarms[key].message == message:
                return
            self._clear_own(name, key, "something else is wrong")
        self._raise_own(name, key, Notice(message, "what was there before goes on", {}))

    def mend_fault(self, name: str, key: str = "") -> None:
        """Clear such an alarm."""
        if name in OWN_RULES:
            self._clear_own(name, key, "it is right again")

    def _clear_own(self, name: str, key: str, reason: str) -> None:
        own = self.rules[name]
        alarm = own.alarms.get(key)
        if alarm is not None and alarm.is_up:
            now_ms = self.outbox.clock_ms
            change = Change("cleared", now_ms, alarm.since_ms, alarm.severity, alarm.n, "clear")
            self._clear(own, key, alarm, change, reason)
            self._note(own, key)

    def _raise_own(self, name: str, key: str, notice: Notice) -> None:
        own = self.rules[name]
        n = own.numbers[key] = own.numbers.get(key, 0) + 1
        now_ms = self.outbox.clock_ms
        alarm = own.alarms.get(key) or self._open(own, key)
        change = Change("raised", now_ms, now_ms, own.severity, n, "when")
        self._raise(own, key, alarm, change, notice)

    # What people do.

    def obey(self, command: Command) -> None:
        """Do what somebody has asked for; what can't be done is counted, no more."""
        rule = self.rules.get(command.rule)
        if rule is None or not self._obey(rule, command):
            self.refused_commands += 1
            return
        self._note(rule, command.key)

    def _obey(self, rule: RuleAlarms, command: Command) -> bool:
        alarm = rule.alarms.get(command.key)
        if command.n is not None and (alarm is None or alarm.n != command.n):
            return False
        match command.verb:
            case "ack":
                return alarm is not None and self._acknowledge(rule, alarm, command)
            case "shelve":
                return self._shelve(rule, alarm, command)
            case _:
                if alarm is None or not alarm.is_shelved:
                    return False
                self._unshelve(rule, command.key, self.outbox.clock_ms, command.reason)
                return True

    def _acknowledge(self, rule: RuleAlarms, alarm: Alarm, command: Command) -> bool:
        if not alarm.is_standing or alarm.is_acked:
            return False
        now_ms = self.outbox.clock_ms
        was_latched = alarm.is_latched
        alarm.is_acked = True
        alarm.remind_ms = NEVER
        self._emit(rule, command.key, alarm, "acked", Told(now_ms, command.reason))
        if was_latched:
            self._close(rule, command.key, now_ms, command.reason)
        return True

    def _shelve(self, rule: RuleAlarms, alarm: Alarm | None, command: Command) -> bool:
        if alarm is None:
            if rule.idle_count >= SHELVED_MAX or rule.spec.id in OWN_RULES:
                return False
            alarm = self._open(rule, command.key)
        alarm.shelved_until_ms = self.outbox.clock_ms + command.for_ms
        reason = f"{command.reason} for {spell_duration(command.for_ms)}"
        self._emit(rule, command.key, alarm, "shelved", Told(self.outbox.clock_ms, reason))
        return True

    def _unshelve(self, rule: RuleAlarms, key: str, time_ms: int, reason: str) -> None:
        alarm = rule.alarms[key]
        alarm.shelved_until_ms = 0
        self._note(rule, key)
        self._emit(rule, key, alarm, "unshelved", Told(time_ms, reason))
        if not alarm.is_standing:
            self._forget(rule, key)
        elif alarm.quiet == "shelved":
            self._tell_at_last(rule, key, alarm, "it was shelved until now")

    # What time does.

    def next_ms(self) -> int:
        """The arrival time at which something happens by itself; NEVER if nothing does."""
        return min(self._next_timer_ms(), self.groups.next_ms())

    def _next_timer_ms(self) -> int:
        timers = self.timers
        while timers:
            due_ms, rule_id, key = timers[0]
            alarm = self.rules[rule_id].alarms.get(key)
            if alarm is not None and alarm.due_ms == due_ms:
                return due_ms
            heappop(timers)
        return NEVER

    def fire(self, now_ms: int) -> None:
        """Do what is due by `now_ms`, in the order of time, rule and key."""
        while (due_ms := self.next_ms()) <= now_ms:
            if self._next_timer_ms() > due_ms:
                self._end_group(self.groups.pop())
                continue
            _, rule_id, key = heappop(self.timers)
            rule = self.rules[rule_id]
            alarm = rule.alarms[key]
            if alarm.shelved_until_ms == due_ms:
                self._unshelve(rule, key, due_ms, "the time is over")
            else:
                self._remind(rule, key, alarm, now_ms)
            self._note(rule, key)

    def _remind(self, rule: RuleAlarms, key: str, alarm: Alarm, now_ms: int) -> None:
        # However long nobody could be reminded: once is enough.
        alarm.remind_ms = now_ms + (rule.spec.suppress.remind_ms or NEVER)
        quiet = self._quiet(rule, key, alarm, None)
        if not quiet:
            alarm.is_told = True
        reason = f"still up after {spell_duration(now_ms - alarm.since_ms)}"
        self._emit(rule, key, alarm, "reminded", Told(now_ms, reason, quiet))

    def disown(self, rule_id: str, key: str, alarm: Alarm) -> None:
        """Have an alarm cleared that was told of, and whose rule is gone with all its state."""
        if rule_id in self.rules or any((rule_id, key) == one[:2] for one in self.orphans):
            return
        alarm.is_up = alarm.is_told = True
        self.orphans.append((rule_id, key, alarm, "the rule is gone"))

    def dismiss_orphans(self) -> None:
        """Clear the alarms that nothing else will."""
        orphans, self.orphans = self.orphans, []
        for rule_id, key, alarm, reason in orphans:
            self.dirty[rule_id, key] = None
            alarm.is_up = alarm.is_latched = False
            alarm.shelved_until_ms = 0
            rule = self.rules.get(rule_id)
            spec = rule.spec if rule is not None else RuleSpec(rule_id, (), ())
            quiet = "" if alarm.is_told else alarm.quiet
            self.outbox.tell(spec, key, alarm, "cleared", Told(self.outbox.clock_ms, reason, quiet))

    def _note(self, rule: RuleAlarms, key: str) -> None:
        """Remember that an alarm has changed, and when it will by itself."""
        self.dirty[rule.spec.id, key] = None
        alarm = rule.alarms.get(key)
        if alarm is not None and alarm.due_ms < NEVER:
            heappush(self.timers, (alarm.due_ms, rule.spec.id, key))

    def settle(self) -> None:
        """Count and queue everything that was taken over."""
        for rule in self.rules.values():
            rule.recount()
        self.groups.settle()
        self.timers = [
            (alarm.due_ms, rule.spec.id, key)
            for rule in self.rules.values()
            for key, alarm in rule.alarms.items()
            if alarm.due_ms < NEVER
        ]
        heapify(self.timers)

    def changes(self) -> Iterator[tuple[str, str, Alarm | None]]:
        """What has changed since the last call: rule, key, and the alarm if there still is one."""
        dirty, self.dirty = self.dirty, {}
        for rule_id, key in dirty:
            rule = self.rules.get(rule_id)
            yield rule_id, key, rule.alarms.get(key) if rule is not None else None
