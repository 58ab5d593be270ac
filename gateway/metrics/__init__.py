"""What a gateway counts about itself: the same figures for `$SYS` and for whoever scrapes them."""

from gateway.metrics.averages import MINUTES, LoadAverages
from gateway.metrics.counters import Counters
from gateway.metrics.reading import Reading
from gateway.metrics.recent import RecentMaximum

__all__ = ["MINUTES", "Counters", "LoadAverages", "Reading", "RecentMaximum"]
