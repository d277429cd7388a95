"""Which models are served, by whom, with which signature: the models topic, remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from millrace._avro import Descriptor, decode_descriptor
from millrace._exceptions import MillraceError, ModelNotFound, ModelUnavailable
from millrace._signature import Model

_MOST_LISTED = 8
# As ingest does: a replica this long past its lease is forgotten.
_FORGET_AFTER_MS = 60 * 60 * 1000


class Catalog:
    """Descriptors by model, version and replica; leases run out by themselves.

    One thread applies records, any thread asks.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._replicas: dict[tuple[str, int, str], Descriptor] = {}
        # Grows with every change of what is served, so that what was looked up can be kept.
        self.generation = 0

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
            before = self._replicas.pop(place, None)
            if descriptor:
                self._replicas[place] = descriptor
            if _essence(before) != _essence(descriptor):
                self.generation += 1
            self._forget()

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Model:
        """The newest version that somebody alive serves.

        Raises:
            ModelNotFound: Nobody published such a model, version or label.
            ModelUnavailable: Nobody alive serves it.
        """
        with self._lock:
            known = [it for it in self._replicas.values() if it.model == name]
        if not known:
            raise ModelNotFound(f"unknown model {name!r}; models served: {_list(self.names())}")
        wanted = [it for it in known if version in (None, it.version)]
        if not wanted:
            versions = sorted({str(it.version) for it in known})
            sentence = f"model {name!r} has no version {version}; its versions: {_list(versions)}"
            raise ModelNotFound(sentence)
        if label is not None:
            wanted = [it for it in wanted if label in it.labels]
            if not wanted:
                labels = sorted({label for it in known for label in it.labels})
                sentence = f"model {name!r} has no label {label!r}; its labels: {_list(labels)}"
                raise ModelNotFound(sentence)
        serving = [it for it in wanted if self._serves(it)]
        if not serving:
            newest = max(wanted, key=lambda it: it.version)
            raise _unavailable(newest, self._is_live(newest))
        return _model(max(serving, key=lambda it: it.version))

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
        return replica.lease_until_unix_ms > self._clock() * 1000

    def _forget(self) -> None:
        oldest = self._clock() * 1000 - _FORGET_AFTER_MS
        for place in [at for at, it in self._replicas.items() if it.lease_until_unix_ms < oldest]:
            del self._replicas[place]


def _essence(descriptor: Descriptor | None) -> object:
    """What a request depends on: leases are renewed every few seconds and change nothing else."""
    return descriptor and (descriptor.state, descriptor.labels, _model(descriptor))


def _model(it: Descriptor) -> Model:
    return Model(it.model, it.version, it.inputs, it.outputs, it.labels)


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
