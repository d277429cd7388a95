"""Which models are served, by whom, with which signature: the models topic, remembered."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable

from millrace._avro import Descriptor, decode_descriptor
from millrace._exceptions import MillraceError, ModelNotFound, ModelUnavailable
from millrace._signature import Model

_MOST_LISTED = 8
# As ingest does: a replica this long past its lease is forgotten.
_FORGET_AFTER_MS = 60 * 60 * 1000
# How long replicas may take to find the broker again and to renew their leases.
_GRACE_S = 30.0
# What answers requests that name neither version nor label.
_STABLE = "stable"
# The nearer to answering, the later.
_NEARER = ("END", "FAILED", "UNLOADING", "LOADING", "AVAILABLE")


class Catalog:
    """Descriptors by model, version and replica; leases run out by themselves.

    One thread applies records, any thread asks.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._replicas: dict[tuple[str, int, str], Descriptor] = {}
        # Since when nothing can be heard, and until when what was known then is believed.
        self._deaf_since: float | None = None
        self._believed_until = 0.0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Takes in one record of the models topic; no value is a tombstone.

        Raises:
            ValueError: A record that is no descriptor; nothing is changed.
        """
        model, version, replica = (key or b"").decode().split("/", 2)
        place = (model, int(version), replica)
        descriptor = decode_descriptor(value) if value else None
        if descriptor and (descriptor.model, descriptor.version, descriptor.replica) != place:
            raise ValueError("key and descriptor do not agree")
        with self._lock:
            self._replicas.pop(place, None)
            if descriptor:
                self._replicas[place] = descriptor
            self._forget()

    def set_hearing(self, hears: bool) -> None:
        """Says whether the topic can be read now.

        Who cannot be heard may well be alive: leases that run out meanwhile, and until replicas
        have had the time to renew them, count as if they had not.
        """
        now = self._clock()
        if not hears:
            self._deaf_since = now if self._deaf_since is None else self._deaf_since
            self._believed_until = math.inf
        elif self._believed_until == math.inf:
            self._believed_until = now + _GRACE_S
        elif now > self._believed_until:
            self._deaf_since = None

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Model:
        """The version with this label, or number; by default `stable`, or else the newest served.

        Where replicas disagree, as during a swap, it is the one that most of them serve.

        Raises:
            ModelNotFound: Nobody published such a model, version or label, or serves it any more.
            ModelUnavailable: Nobody alive serves it at the moment.
        """
        with self._lock:
            known = [it for it in self._replicas.values() if it.model == name]
        if not known:
            raise ModelNotFound(f"unknown model {name!r}; models served: {_list(self.names())}")
        wanted = [it for it in known if version in (None, it.version)]
        if not wanted:
            raise self._no_version(name, version, known)
        if label is not None:
            wanted = [it for it in wanted if label in it.labels and self._is_live(it)]
            if not wanted:
                labels = sorted({label for it in known for label in it.labels})
                sentence = f"model {name!r} has no label {label!r}; its labels: {_list(labels)}"
                raise ModelNotFound(sentence)
            # Who has not followed the label yet may serve its version all the same.
            chosen = {it.version for it in wanted}
            wanted = [it for it in known if it.version in chosen]
        elif version is None:
            stable = {it.version for it in known if _STABLE in it.labels and self._is_live(it)}
            wanted = [it for it in known if not stable or it.version in stable]
        serving = [it for it in wanted if self._serves(it)]
        if not serving:
            raise self._unserved(wanted, known, version)
        count = Counter(it.version for it in serving)
        return _model(max(serving, key=lambda it: (count[it.version], it.version)))

    def check_lane(self, name: str, lane: str) -> None:
        """Makes sure that somebody reads a lane of a model.

        Raises:
            ModelUnavailable: Nobody does.
        """
        with self._lock:
            known = [it for it in self._replicas.values() if it.model == name]
        if lane == "interactive" or any(lane in it.lanes for it in known if self._serves(it)):
            return
        raise ModelUnavailable(
            f"nobody reads the {lane} lane of model {name!r}: set enabled = true under [{lane}] in "
            "its model.toml, or in infer's settings"
        )

    def _no_version(self, name: str, version: int | None, known: list[Descriptor]) -> ModelNotFound:
        served = sorted({it.version for it in known if self._serves(it)})
        versions = _list([str(it) for it in served])
        return ModelNotFound(f"model {name!r} has no version {version}; its versions: {versions}")

    def _unserved(
        self, wanted: list[Descriptor], known: list[Descriptor], version: int | None
    ) -> MillraceError:
        """Why nobody serves what is wanted: that passes, or it is gone."""
        live = [it for it in wanted if self._is_live(it)]
        best = max(live, key=lambda it: (_NEARER.index(it.state), it.version), default=None)
        others_serve = any(self._serves(it) for it in known)
        name = known[0].model
        if best is None:
            gone = any(self._is_live(it) for it in known)
        else:
            gone = best.state == "END" or (best.state == "UNLOADING" and others_serve)
        if gone and version is not None:
            return self._no_version(name, version, known)
        if gone:
            reason = (best.reason if best else "") or "it is unloaded"
            return ModelNotFound(f"model {name!r} is not served: {reason}")
        return _unavailable(best or wanted[0], best is not None)

    def only(self) -> str:
        """The model that is meant where none is named.

        Raises:
            ModelUnavailable: None is served.
            MillraceError: Several are.
        """
        names = self.names()
        if not names:
            raise ModelUnavailable("no model is served: start infer with a model")
        if len(names) > 1:
            sentence = f"several models are served, name one of them with model=: {_list(names)}"
            raise MillraceError(sentence, code="INVALID_ARGUMENT")
        return names[0]

    def names(self) -> list[str]:
        """The models that somebody alive serves."""
        return sorted({model.name for model in self.models()})

    def models(self) -> list[Model]:
        """Every version that somebody alive serves, by name and version."""
        with self._lock:
            serving = [it for it in self._replicas.values() if self._serves(it)]
        found = {(it.model, it.version): _model(it) for it in serving}
        return [found[place] for place in sorted(found)]

    def _serves(self, replica: Descriptor) -> bool:
        return replica.state == "AVAILABLE" and self._is_live(replica)

    def _is_live(self, replica: Descriptor) -> bool:
        now, lease_until = self._clock(), replica.lease_until_unix_ms / 1000
        if lease_until > now:
            return True
        deaf_since = self._deaf_since
        return deaf_since is not None and deaf_since <= lease_until and now < self._believed_until

    def _forget(self) -> None:
        oldest = self._clock() * 1000 - _FORGET_AFTER_MS
        for place in [at for at, it in self._replicas.items() if it.lease_until_unix_ms < oldest]:
            del self._replicas[place]


def _model(it: Descriptor) -> Model:
    return Model(it.model, it.version, it.inputs, it.outputs, it.labels, it.weights_sha256)


def _unavailable(newest: Descriptor, is_live: bool) -> ModelUnavailable:
    why = {
        "LOADING": "it is being loaded",
        "FAILED": f"it failed to load: {newest.reason}",
    }.get(newest.state, "it is being unloaded")
    if not is_live:
        why = "no infer process that serves it is alive"
    return ModelUnavailable(f"model {newest.model!r} is not served at the moment: {why}")


def _list(names: list[str]) -> str:
    listed = ", ".join(names[:_MOST_LISTED]) or "none"
    more = len(names) - _MOST_LISTED
    return f"{listed} and {more} more" if more > 0 else listed
