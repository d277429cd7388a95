"""The same client for asyncio: nothing here blocks the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sized
from types import TracebackType
from typing import Any, Literal, Self

from millrace._client import Client, Wanted
from millrace._exceptions import MillraceError
from millrace._follow import Result, Start
from millrace._outstanding import Future
from millrace._prediction import Prediction
from millrace._progress import Progress
from millrace._settings import Lane
from millrace._signature import Model


class AsyncClient:
    """A connection to a line for asyncio; use it as `async with AsyncClient(…) as client`.

    Calls, arguments and errors are those of `Client`. Requests are sent by the event loop's own
    thread while there is room; whatever may wait is done on another thread.

    Args:
        target: As of `Client`.
        options: As of `Client`.
    """

    def __init__(self, target: str | None = None, **options: Any) -> None:
        self._target, self._options = target, options
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> Self:
        """Connects, if that was not done yet; every other call does it by itself.

        Raises:
            ConnectionFailed: No broker, or no topics of a line.
        """
        await self._connected()
        return self

    async def predict(
        self,
        model: str,
        inputs: object = None,
        /,
        *,
        timeout: float | None = None,
        version: int | None = None,
        label: str | None = None,
        **tensors: object,
    ) -> Prediction:
        """Asks a model and waits for its answer; see `Client.predict`."""
        how = (timeout, Wanted(version, label))
        return await (await self._submit(model, inputs, tensors, how, taken=True))

    async def submit(
        self,
        model: str,
        inputs: object = None,
        /,
        *,
        timeout: float | None = None,
        version: int | None = None,
        label: str | None = None,
        lane: Lane = "interactive",
        **tensors: object,
    ) -> Future:
        """Asks a model and returns a future that can be awaited; see `Client.submit`."""
        return await self._submit(model, inputs, tensors, (timeout, Wanted(version, label, lane)))

    async def results(self, futures: Iterable[Future] | None = None) -> AsyncIterator[Future]:
        """Futures as they get done; see `Client.results`."""
        client = await self._connected()
        done = iter(client.results(futures))
        while (future := await asyncio.to_thread(next, done, None)) is not None:
            yield future

    async def map(
        self,
        model: str,
        items: Iterable[object] | AsyncIterable[object],
        *,
        concurrency: int = 256,
        timeout: float | None = None,
        version: int | None = None,
        label: str | None = None,
        lane: Lane = "interactive",
        errors: Literal["raise", "return"] = "raise",
        progress: bool = False,
    ) -> AsyncIterator[Prediction | MillraceError]:
        """Asks a model about every item, in order; see `Client.map`. Items may be asynchronous."""
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, expected at least 1")
        how = (timeout, Wanted(version, label, lane))
        window: deque[Future | MillraceError] = deque()
        total = len(items) if isinstance(items, Sized) else None
        with Progress(model, total, shown=progress) as bar:
            async for item in _each(items):
                if len(window) >= concurrency:
                    yield await _settled(window.popleft(), errors)
                    bar.step()
                try:
                    window.append(await self._submit(model, item, {}, how, taken=True))
                except MillraceError as error:
                    window.append(error)
            while window:
                yield await _settled(window.popleft(), errors)
                bar.step()

    async def follow(
        self, model: str, *, start: Start = "end", idle: float | None = None
    ) -> AsyncIterator[Result]:
        """Every result of a model as it comes; see `Client.follow`."""
        client = await self._connected()
        results = await asyncio.to_thread(client.follow, model, start=start, idle=idle)
        try:
            while (result := await asyncio.to_thread(next, results, None)) is not None:
                yield result
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                await asyncio.to_thread(close)

    async def models(self) -> list[Model]:
        """Every model version that somebody alive serves; see `Client.models`."""
        return await asyncio.to_thread((await self._connected()).models)

    async def model(
        self, name: str, *, version: int | None = None, label: str | None = None
    ) -> Model:
        """The signature of a model; see `Client.model`."""
        client = await self._connected()
        return await asyncio.to_thread(client.model, name, version=version, label=label)

    async def flush(self, timeout: float | None = None) -> None:
        """Waits until the broker has everything that was sent; see `Client.flush`."""
        await asyncio.to_thread((await self._connected()).flush, timeout)

    async def close(self, timeout: float | None = None) -> None:
        """Sends, waits and ends; see `Client.close`."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close, timeout)

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _connected(self) -> Client:
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await asyncio.to_thread(Client, self._target, **self._options)
        return self._client

    async def _submit(
        self, model: str, inputs: object, tensors: dict[str, object], how: Any, taken: bool = False
    ) -> Future:
        client = await self._connected()
        if client._would_block(model, how[1]):
            return await asyncio.to_thread(client._submit, model, inputs, tensors, how, taken)
        return client._submit(model, inputs, tensors, how, taken)


async def _each(items: Iterable[object] | AsyncIterable[object]) -> AsyncIterator[object]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _settled(
    outcome: Future | MillraceError, errors: Literal["raise", "return"]
) -> Prediction | MillraceError:
    if isinstance(outcome, Future):
        try:
            return await outcome
        except MillraceError as error:
            outcome = error
    if errors == "raise":
        raise outcome
    return outcome
