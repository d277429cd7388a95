"""One line on standard error: how far, how fast, how long still."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_EVERY_S = 0.2
_BAR = 24


class Progress:
    """Counts steps and shows them, at most a few times per second; on a terminal in one line.

    Args:
        what: What is counted.
        total: How many steps there will be, if that is known.
        shown: Whether anything is written.
    """

    def __init__(self, what: str, total: int | None, *, shown: bool) -> None:
        self._what, self._total, self._shown = what, total, shown
        self._done = 0
        self._began = self._last = time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._shown and time.monotonic() - self._last >= _EVERY_S:
            self._last = time.monotonic()
            if sys.stderr.isatty():
                sys.stderr.write("\r" + self.line().ljust(79))
                sys.stderr.flush()

    def line(self) -> str:
        """What is shown, at most 79 characters."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = self._done / seconds
        if not self._total:
            return f"{self._what[:20]} {self._done:,} {rate:,.0f}/s {_clock(seconds)}"[:79]
        part = min(self._done / self._total, 1.0)
        bar = ("#" * int(part * _BAR)).ljust(_BAR, ".")
        left = (self._total - self._done) / rate if rate else 0.0
        counts = f"{self._done:,}/{self._total:,}"
        return f"{self._what[:20]} {bar} {counts} {rate:,.0f}/s {_clock(left)} left"[:79]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            start = "\r" if sys.stderr.isatty() else ""
            sys.stderr.write(start + self.line().ljust(79).rstrip("\n") + "\n")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
