"""The types of the messages of triggers, for users to import; the timer's is the model's, as timers send it, too."""

from __future__ import annotations

from ..model.timer_message import TimerEvent, timer_event

__all__ = ["TimerEvent", "timer_event"]
