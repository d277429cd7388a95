"""Where the line is and how to speak to it: arguments first, then the environment of the services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from millrace._claims import ClaimSettings, Store

# Which of a model's topics of requests is meant.
Lane = Literal["interactive", "bulk"]

DEFAULT_BROKERS = "127.0.0.1:9092"
DEFAULT_PREFIX = "millrace"
# Records that were not taken by the broker yet.
MOST_QUEUED = 100_000

# What a user cannot undo: without it an answer could be lost or given to somebody else.
_SAFETY = {"acks": "all", "enable.idempotence": True, "delivery.report.only.error": True}
_CONSUMER_SAFETY = {"enable.auto.commit": False, "enable.auto.offset.store": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a line over Kafka.

    Attributes:
        brokers: `host:port`, several with commas.
        prefix: What the names of the line's topics begin with.
        options: Any options of librdkafka, such as `security.protocol`.
        connect_timeout: Seconds to find the broker and the topics at the start.
        delivery_timeout: Seconds after which a record that the broker did not take is given up.
        max_in_flight: Requests that may wait for answers.
        max_bytes: Bytes of requests not sent yet, and of answers not taken yet.
        claims: Where values are that are too large for their records.
    """

    brokers: str
    prefix: str
    options: Mapping[str, Any] = field(default_factory=dict)
    connect_timeout: float = 10.0
    delivery_timeout: float = 120.0
    max_in_flight: int = 10_000
    max_bytes: int = 256 << 20
    claims: ClaimSettings = field(default_factory=ClaimSettings)

    def requests(self, model: str, lane: Lane = "interactive") -> str:
        """The topic that a model's requests go to."""
        end = ".bulk" if lane == "bulk" else ""
        return f"{self.prefix}.requests.{model}{end}"

    def results(self, model: str) -> str:
        """The topic that a model's results come to."""
        return f"{self.prefix}.results.{model}"

    def store(self) -> Store | None:
        """Where values are that are too large for their records."""
        return Store(self.claims) if self.claims.url else None

    @property
    def replies(self) -> str:
        """The topic of answers for who waits."""
        return f"{self.prefix}.replies"

    @property
    def models(self) -> str:
        """The topic that says what is served."""
        return f"{self.prefix}.models"

    def producer(self) -> dict[str, Any]:
        """The options of the producer; the user's first, those that guarantee something last."""
        ours = {
            "linger.ms": 1,
            "compression.type": "lz4",
            "message.max.bytes": 16 << 20,
            "queue.buffering.max.messages": MOST_QUEUED,
            "queue.buffering.max.kbytes": max(self.max_bytes >> 10, 1 << 14),
            "message.timeout.ms": int(self.delivery_timeout * 1000),
        }
        return {**self._common(), **ours, **self.options, **_SAFETY}

    def consumer(self) -> dict[str, Any]:
        """The options of a consumer that is assigned its partitions and never joins a group."""
        ours = {
            "group.id": "millrace-client",
            "auto.offset.reset": "latest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "fetch.message.max.bytes": 1 << 20,
            "queued.max.messages.kbytes": 1 << 15,
        }
        # Options of the producer would only be warned about.
        given = {key: it for key, it in self.options.items() if key not in _PRODUCER_ONLY}
        return {**self._common(), **ours, **given, **_CONSUMER_SAFETY}

    def _common(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.brokers,
            "client.id": "millrace-python",
            # What it would print stands in our exceptions.
            "log_level": 2,
            "reconnect.backoff.max.ms": 1000,
        }


_PRODUCER_ONLY = {"linger.ms", "compression.type", "batch.size", "message.timeout.ms", "retries"}


def is_url(target: str | None) -> bool:
    """Whether a target is ingest's HTTP and not a list of brokers."""
    return target is not None and urlsplit(target).scheme in ("http", "https")


def brokers_of(target: str | None) -> str:
    """The brokers that are meant: the argument, else the services' own variable, else this machine."""
    return target or os.environ.get("MILLRACE_KAFKA__BROKERS") or DEFAULT_BROKERS


def prefix_of(prefix: str | None) -> str:
    """The prefix that is meant, in the same order."""
    return prefix or os.environ.get("MILLRACE_TOPICS__PREFIX") or DEFAULT_PREFIX


def claims_of(url: str | None, options: Mapping[str, str] | None) -> ClaimSettings:
    """The store that is meant: the arguments, else the services' own variables, else none."""
    given = {
        name: int(text)
        for name in ("threshold", "max_bytes")
        if (text := os.environ.get(f"MILLRACE_CLAIMS__{name.upper()}"))
    }
    url = os.environ.get("MILLRACE_CLAIMS__URL", "") if url is None else url
    return ClaimSettings(url, options=options or {}, **given)
