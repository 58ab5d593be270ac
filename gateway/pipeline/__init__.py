"""The loops over the log: they feed the rules, and write down what comes of it."""

from gateway.pipeline.clock_watch import ClockWatch
from gateway.pipeline.compaction import Compaction
from gateway.pipeline.devices.desk import DeviceDesk
from gateway.pipeline.devices.loop import Around
from gateway.pipeline.devices.ota_desk import OtaDesk
from gateway.pipeline.devices.reports import ReportWatch
from gateway.pipeline.group_watch import GroupWatch
from gateway.pipeline.handlers.crew import HandlerCrew
from gateway.pipeline.handlers.loop import Surroundings
from gateway.pipeline.handlers.trying import Trial, try_function
from gateway.pipeline.inspecting import Inspection, InspectionOptions
from gateway.pipeline.ledger import Ledger
from gateway.pipeline.profile_files import ProfileFiles
from gateway.pipeline.puts import no_puts
from gateway.pipeline.retention import Retention, RetentionOptions
from gateway.pipeline.scrub import Scrub, ScrubOptions
from gateway.pipeline.sweeping import Sweeping, SweepingOptions
from gateway.pipeline.versions import facts_at, read_version
from gateway.pipeline.wear import WearWatch
from gateway.pipeline.workers.choosing import RulesAtWork, rules_at_work
from gateway.pipeline.workers.job import RouteRow, RulesJob

__all__ = [
    "Around",
    "ClockWatch",
    "Compaction",
    "DeviceDesk",
    "GroupWatch",
    "HandlerCrew",
    "Inspection",
    "InspectionOptions",
    "Ledger",
    "OtaDesk",
    "ProfileFiles",
    "ReportWatch",
    "Retention",
    "RetentionOptions",
    "RouteRow",
    "RulesAtWork",
    "RulesJob",
    "Scrub",
    "ScrubOptions",
    "Surroundings",
    "Sweeping",
    "SweepingOptions",
    "Trial",
    "WearWatch",
    "facts_at",
    "no_puts",
    "read_version",
    "rules_at_work",
    "try_function",
]
