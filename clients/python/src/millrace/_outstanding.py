"""Requests that are not answered or whose answers nobody has taken yet: bounded, and timed.

`Future` and `Outstanding` know each other; one lock for all of them keeps a future small, since
tens of thousands are made per second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from millrace._exceptions import Closed, Overloaded, TimedOut, Undelivered
from millrace._prediction import Prediction

_lock = threading.Lock()
# Reads what arrived: a raw answer, and whether it is of a single instance.
Read = Callable[[Any, bool], Prediction]


class Future:
    """A prediction that is on its way.

    It is done when the answer is here, the request has failed, or its time is over; whichever
    comes first. It may also be awaited.

    Attributes:
        id: The request's id, `mr-id` in Kafka.
    """

    __slots__ = (
        "_callbacks",
        "_deadline",
        "_owner",
        "_raw",
        "_result",
        "_single",
        "_size",
        "_taken",
        "_timeout",
        "_waiters",
        "id",
    )

    def __init__(
        self, owner: Outstanding, id: str, timeout: float, deadline: float, single: bool
    ) -> None:
        self.id = id
        self._owner = owner
        self._timeout = timeout
        self._deadline = deadline
        self._single = single
        self._taken = False
        self._raw: Any = None
        self._result: Prediction | Exception | None = None
        self._size: int  # of the answer, once that is here
        self._waiters: list[threading.Lock] | None = None
        self._callbacks: list[Callable[[Future], object]] | None = None

    def done(self) -> bool:
        """Whether `result` would return or raise at once."""
        return self._raw is not None

    def result(self, timeout: float | None = None) -> Prediction:
        """The prediction; waits for it.

        Args:
            timeout: Seconds to wait at most; by default until the request's own time is over.

        Raises:
            TimedOut: Nothing came in `timeout` (the request goes on) or in the request's time.
            MillraceError: The request failed.
        """
        outcome = self._outcome(timeout)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Why there is no prediction; None if there is one. Waits like `result`.

        Raises:
            TimedOut: Nothing came in `timeout`; the request goes on.
        """
        outcome = self._outcome(timeout)
        return outcome if isinstance(outcome, Exception) else None

    def add_done_callback(self, callback: Callable[[Future], object]) -> None:
        """Calls `callback(self)` when done, on a thread of the client's, or at once."""
        self._take()
        with _lock:
            if self._raw is None:
                self._callbacks = [*(self._callbacks or ()), callback]
                return
        callback(self)

    def __await__(self) -> Generator[Any, None, Prediction]:
        """The prediction, for `await`."""
        if not self.done():
            import asyncio  # who awaits has it; others need not wait for it

            loop = asyncio.get_running_loop()
            arrived: asyncio.Future[None] = loop.create_future()

            def arrive() -> None:
                if not arrived.done():
                    arrived.set_result(None)

            def wake(_: Future) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(arrive)

            def expire() -> None:
                self._owner.expire_one(self)

            self.add_done_callback(wake)
            # Whoever looks after all deadlines does so a few times a second only.
            timer = loop.call_later(self._deadline - time.monotonic(), expire)
            try:
                yield from arrived.__await__()
            finally:
                timer.cancel()
        return self.result()

    def __repr__(self) -> str:
        return f"<millrace.Future {self.id} {'done' if self.done() else 'pending'}>"

    def report(self, error: Any, message: Any) -> None:
        """Told by the producer what became of the record; nothing for anybody else to call."""
        if error is not None:
            self._owner.undelivered(self.id, message.topic(), error.str())

    def _expire_if_due(self) -> None:
        if self._raw is None and self._deadline <= time.monotonic():
            self._owner.expire_one(self)

    def _take(self) -> None:
        """From here on somebody looks after the answer, so that it holds no place."""
        if not self._taken:
            self._taken = True
            self._owner._untaken(self)

    def _outcome(self, timeout: float | None) -> Prediction | Exception:
        self._take()
        if self._raw is None:
            self._wait(timeout)
        raw = self._raw  # before the result, which another thread may be about to set
        result = self._result
        if result is None:
            result = self._result = self._read(raw)
            self._raw = True  # the message is not needed any more
        return result

    def _read(self, raw: Any) -> Prediction | Exception:
        if isinstance(raw, Exception):
            return raw
        try:
            return self._owner.read(raw, self._single)
        except Exception as error:
            return error

    def _wait(self, timeout: float | None) -> None:
        waiter = threading.Lock()
        waiter.acquire()
        with _lock:
            if self._raw is not None:
                return
            self._waiters = [*(self._waiters or ()), waiter]
        left = max(0.0, self._deadline - time.monotonic())
        ours = timeout is not None and timeout < left
        if waiter.acquire(timeout=min(timeout if timeout is not None and ours else left, 1e6)):
            return
        if ours:
            if self._raw is None:
                raise TimedOut(f"request {self.id} was not answered within {timeout:g} s so far")
            return
        self._owner.expire_one(self)

    def _finish(self, raw: Any, size: int) -> bool:
        """Makes it done, once."""
        with _lock:
            if self._raw is not None:
                return False
            self._size = size
            self._raw = raw
            waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            waiter.release()
        return True

    def _call_back(self) -> None:
        with _lock:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(self)


class Outstanding:
    """All futures of a client that wait, and those that are done and not taken.

    Args:
        read: Reads what arrives.
        max_in_flight: The most futures that wait.
        max_bytes: The most bytes of answers that are here or may come.
    """

    def __init__(self, read: Read, max_in_flight: int, max_bytes: int) -> None:
        self.read = read
        self.closed: Closed | None = None
        # How many requests may enter before room is looked for again. Threads may count wrong
        # here, by a few: looking is what costs.
        self.credit = 0
        # What to add to the sentence of a time-out.
        self.trouble: Callable[[], str] = str
        # Of each time-out, the futures in the order of their deadlines.
        self.lanes: dict[float, dict[str, Future]] = {}
        self._done: dict[str, Future] = {}
        self._done_bytes = 0
        self._largest = 1024
        self._max_in_flight, self._max_bytes = max_in_flight, max_bytes
        self._changed = threading.Condition()
        self._sleepers = 0

    def lane(self, timeout: float) -> dict[str, Future]:
        """Where futures of a time-out wait, by id; what is in it must be completed or expires."""
        lane = self.lanes.get(timeout)
        if lane is None:
            with self._changed:
                lane = self.lanes.setdefault(timeout, {})
        return lane

    def leave(self, future: Future) -> None:
        """Forgets a future that was never sent."""
        self.lane(future._timeout).pop(future.id, None)
        self._wake()

    def waiting(self) -> int:
        """How many futures wait for their answers."""
        return sum(map(len, tuple(self.lanes.values())))

    def is_full(self) -> bool:
        """Whether a new request has to wait."""
        return self._room() <= 0

    def _room(self) -> int:
        """How many more requests may wait now."""
        waiting = self.waiting()
        bytes_left = self._max_bytes - self._done_bytes - waiting * self._largest
        return min(self._max_in_flight - waiting, bytes_left // self._largest)

    def wait_for_room(self, deadline: float, timeout: float) -> None:
        """Waits until a request may be sent.

        Raises:
            Overloaded: There was no room before `deadline`.
            Closed: The client was closed.
        """
        with self._sleeping():
            while (room := self._room()) <= 0 or self.closed:
                if self.closed:
                    raise self.closed
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(min(left, 60.0)):
                    if time.monotonic() < deadline:
                        continue
                    raise Overloaded(self._why_full(timeout))
            self.credit = room // 16

    def complete(self, id: str, raw: Any, size: int) -> None:
        """Hands an answer of `size` bytes, or an exception, to its future; others' ids are skipped."""
        for lane in tuple(self.lanes.values()):
            future = lane.pop(id, None)
            if future is not None:
                if size > self._largest:
                    self._largest = size
                self._finish(future, raw, size)
                return

    def expire(self) -> None:
        """Ends the futures whose time is over."""
        now = time.monotonic()
        for timeout, lane in list(self.lanes.items()):
            while lane:
                try:
                    future = next(iter(lane.values()))
                except (StopIteration, RuntimeError):
                    break  # another thread was faster
                if future._deadline > now:
                    break
                self.expire_one(future)
            if not lane and len(self.lanes) > 8:
                with self._changed:
                    if not lane:
                        self.lanes.pop(timeout, None)

    def expire_one(self, future: Future) -> None:
        """Ends a future whose time is over."""
        lane = self.lanes.get(future._timeout, {})
        if lane.pop(future.id, None) is None and future.done():
            return
        sentence = f"request {future.id} was not answered within {future._timeout:g} s"
        trouble = self.trouble()
        more = f": {trouble}" if trouble else "; its result may still reach the results topic"
        self._finish(future, TimedOut(sentence + more), 0)

    def undelivered(self, id: str, topic: str, why: str) -> None:
        """A request's record did not reach the broker, however often that was tried."""
        trouble = self.trouble()
        more = f" ({trouble})" if trouble else ""
        sentence = f"request {id} did not reach topic {topic}: {why}{more}"
        self.complete(id, Undelivered(sentence, ids=(id,), count=1), 0)
        self._wake()

    def fail_all(self, error: Exception) -> None:
        """Ends every future that waits."""
        for lane in list(self.lanes.values()):
            for id in list(lane):
                self.complete(id, error, 0)

    def wake(self) -> None:
        """Wakes who waits for room or for answers; called once for many answers."""
        self._wake()

    def wait_until_answered(self, deadline: float) -> bool:
        """Waits until no future waits; False if `deadline` passed first."""
        with self._sleeping():
            while self.waiting():
                self.expire()
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.1))
        return True

    def take_done(self) -> Iterator[Future]:
        """Every future that nobody has taken, as they get done, until none is left."""
        while True:
            with self._sleeping():
                while not self._done and self.waiting():
                    self.expire()
                    self._changed.wait(0.1)
                if not self._done:
                    return
                future = next(iter(self._done.values()))
            future._take()
            yield future

    def _finish(self, future: Future, raw: Any, size: int) -> None:
        if not future._finish(raw, size):
            return
        if not future._taken:
            with self._changed:
                if not future._taken:
                    self._done[future.id] = future
                    self._done_bytes += size
        if future._callbacks:
            future._call_back()

    def _untaken(self, future: Future) -> None:
        """Somebody takes a future."""
        with self._changed:
            if self._done.pop(future.id, None) is not None:
                self._done_bytes -= future._size
                if self._sleepers:
                    self._changed.notify_all()

    def _wake(self) -> None:
        if self._sleepers:
            with self._changed:
                self._changed.notify_all()

    def _sleeping(self) -> _Sleeping:
        return _Sleeping(self)

    def _why_full(self, timeout: float) -> str:
        waiting, done = self.waiting(), len(self._done)
        sentence = f"no room within {timeout:g} s: {waiting} requests wait for answers"
        if not done:
            return sentence
        return f"{sentence}, {done} answers wait to be taken by result() or results()"


class _Sleeping:
    """Holds the condition of an `Outstanding` and says that somebody may sleep on it."""

    def __init__(self, outstanding: Outstanding) -> None:
        self._of = outstanding

    def __enter__(self) -> None:
        self._of._changed.acquire()
        self._of._sleepers += 1

    def __exit__(self, *_: object) -> None:
        self._of._sleepers -= 1
        self._of._changed.release()
