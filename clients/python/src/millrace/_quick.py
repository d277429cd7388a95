"""The short way of `submit` over Kafka: one array that fits as it is, nothing else said.

It does what `Binder.record` and `KafkaLine.submit` do, in one function and with everything that stays
the same bound beforehand: at tens of thousands of requests per second, looking things up is what
costs. Whatever is out of the ordinary is left to them. Figures are in load/NOTES.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Protocol

import numpy as np

from millrace._inputs import Binder
from millrace._kafka import REPORTS_EVERY, Headers, KafkaLine, Place, deadline_header
from millrace._outstanding import Future

Quick = Callable[[Mapping[str, object]], Future | None]


class Bound(Protocol):
    """What a model's requests need, and until when that is known to be so."""

    binder: Binder
    place: Place
    fresh_until: float


def quick_submit(line: KafkaLine, bound: Bound, timeout: float) -> Quick | None:
    """Sends what it is given, or returns None; None itself for models that need the long way.

    Args:
        line: Where to send.
        bound: Of a model with one input of numbers, without headers of its own.
        timeout: Of every request.
    """
    binder, place = bound.binder, bound.place
    if binder.only is None or place.headers:
        return None
    (name, dtype), known = binder.only, binder.alone
    outstanding, lanes = line.outstanding, line.outstanding.lanes
    send, poll, count = line.producer.produce, line.producer.poll, line.count
    start, reply_to, topic = line.id_start, line.reply_to, place.topic
    until, deadline = 0.0, ("mr-deadline", "")
    most = line.largest_record

    def submit(tensors: Mapping[str, object]) -> Future | None:
        nonlocal until, deadline
        value = tensors.get(name)
        # numpy's own types are single objects, so `is` is a sufficient test.
        if type(value) is not np.ndarray or value.dtype is not dtype or len(tensors) != 1:
            return None
        if value.nbytes > most:
            return None
        around = known.get(value.shape)
        lane = lanes.get(timeout)
        if around is None or lane is None or outstanding.credit <= 0 or outstanding.closed:
            return None
        now = monotonic()
        if now >= bound.fresh_until:
            return None
        outstanding.credit -= 1
        line.sends = number = next(count)
        if not number % REPORTS_EVERY:
            poll(0)
        if now >= until:
            until, deadline = now + 0.001, deadline_header(timeout)
        head, tail, single = around
        id = f"{start}{number:08x}"
        lane[id] = future = Future(outstanding, id, timeout, now + timeout, single)
        headers: Headers = [("mr-id", id), reply_to, deadline]
        record = b"".join((head, value.tobytes(), tail))
        try:
            send(topic, record, headers=headers, on_delivery=future.report)
        except Exception:
            outstanding.leave(future)
            return None  # the long way waits for room, or says why not
        return future

    return submit
