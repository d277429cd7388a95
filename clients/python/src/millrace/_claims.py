"""Values that are too large for their records: in a shared folder or a bucket, named by headers.

A claim names a path within the store, a length and a SHA-256; what is not exactly that is refused. No
path and no link leads out of the store. `docs/large-tensors.md` says what the line does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from millrace._exceptions import BadAnswer, ConnectionFailed, InputError, MillraceError

CLAIM, LENGTH, SHA256 = "mr-claim", "mr-claim-length", "mr-claim-sha256"
_MARKER = "millrace-claims"
_MARKER_TEXT = b"Values of Millrace records. Without this file, no object counts as missing.\n"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,19}")
_MOST_PATH, _MOST_NAMES = 255, 8
# How long an object is looked for that a working store lacks, and a store that does not work.
_MISSING_S, _PATIENCE_S = 5.0, 30.0

_T = TypeVar("_T")


class Claim(NamedTuple):
    """Where a value is, how long it is and what it hashes to."""

    path: str
    length: int
    sha256: str

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers to write, beside an empty value."""
        return (CLAIM, self.path), (LENGTH, str(self.length)), (SHA256, self.sha256)


def read_claim(headers: Mapping[str, bytes | None]) -> Claim | None:
    """The claim in the headers of a record that has no value; None if there is none.

    Raises:
        BadAnswer: A header is missing or has a value that it cannot have.
    """
    found = {name: headers[name] for name in (CLAIM, LENGTH, SHA256) if name in headers}
    if not found:
        return None
    texts = {name: (value or b"").decode("latin-1") for name, value in found.items()}
    path, length, sha256 = (texts.get(name, "") for name in (CLAIM, LENGTH, SHA256))
    names = path.split("/")
    good_path = len(path) <= _MOST_PATH and len(names) <= _MOST_NAMES
    if not good_path or not all(_NAME.fullmatch(name) for name in names):
        raise BadAnswer(f"header {CLAIM} must be a path within the store, got {path[:64]!r}")
    if not _NUMBER.fullmatch(length) or not int(length):
        raise BadAnswer(f"header {LENGTH} must be a number of bytes, got {length[:64]!r}")
    if not _DIGEST.fullmatch(sha256):
        raise BadAnswer(f"header {SHA256} must be 64 hexadecimal digits, got {sha256[:64]!r}")
    return Claim(path, int(length), sha256)


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """Which store the line has.

    Attributes:
        url: A folder, or `s3://bucket/prefix`, `gs://bucket/prefix`; empty for none.
        threshold: Values of more bytes go into the store.
        max_bytes: The largest value in the store.
        options: Of a bucket of S3: `aws_region`, `aws_endpoint`, `aws_access_key_id`,
            `aws_secret_access_key`.
    """

    url: str = ""
    threshold: int = 768 << 10
    max_bytes: int = 64 << 20
    options: Mapping[str, str] = field(default_factory=dict)


class _Down(Exception):
    """The store cannot be used at the moment."""


class _Missing(Exception):
    """The store works, and has no such object, or another one."""


class _Shelf(Protocol):
    def mark(self) -> None: ...

    def put(self, path: str, value: bytes) -> None: ...

    def get(self, claim: Claim) -> bytes: ...


class Store:
    """The store of one line.

    Raises:
        InputError: It cannot be what the settings say.
    """

    def __init__(self, settings: ClaimSettings) -> None:
        self.settings = settings
        self._shelf = _shelf(settings)
        self._is_marked = False

    def put(self, value: bytes, timeout: float) -> Claim:
        """Makes a value durable; the same value becomes the same object all day.

        Raises:
            InputError: It is too large.
            ConnectionFailed: The store did not take it in time.
        """
        length, most = len(value), self.settings.max_bytes
        if length > most:
            raise InputError(f"the record has {length} bytes, more than the store's {most}")
        digest = hashlib.sha256(value).hexdigest()
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        claim = Claim(f"values/{day}/{digest}", length, digest)

        def attempt() -> Claim:
            if not self._is_marked:
                self._shelf.mark()
                self._is_marked = True
            self._shelf.put(claim.path, value)
            return claim

        return _insist(attempt, timeout)

    def get(self, claim: Claim) -> bytes:
        """The value that is meant, and no other.

        Raises:
            BadAnswer: It is missing or another one.
            ConnectionFailed: The store does not work.
        """
        if claim.length > self.settings.max_bytes:
            raise BadAnswer(f"the answer has {claim.length} bytes, more than claims.max_bytes")

        def attempt() -> bytes:
            value = self._shelf.get(claim)
            if hashlib.sha256(value).hexdigest() != claim.sha256:
                raise _Missing(f"object {claim.path} is not what the record says")
            return value

        return _insist(attempt, _PATIENCE_S)


def _insist(attempt: Callable[[], _T], patience: float) -> _T:
    began, pause, missing_since = time.monotonic(), 0.05, None
    while True:
        now = time.monotonic()
        try:
            return attempt()
        except _Missing as error:
            missing_since = missing_since or now
            if now - missing_since >= _MISSING_S:
                raise BadAnswer(f"the answer cannot be read: {error}") from error
        except _Down as error:
            missing_since = None
            if now - began >= patience:
                sentence = f"the store of large values cannot be used: {error}"
                raise ConnectionFailed(sentence) from error
        time.sleep(pause)
        pause = min(1.0, pause * 2)


def _shelf(settings: ClaimSettings) -> _Shelf:
    scheme, found, rest = settings.url.partition("://")
    if not found:
        return _Folder(settings.url)
    if scheme == "file":
        return _Folder(rest)
    try:
        return _Bucket(scheme, rest, settings.options)
    except MillraceError:
        raise
    except Exception as error:
        raise InputError(f"the store {settings.url} cannot be used: {error}") from error


class _Folder:
    def __init__(self, root: str) -> None:
        self._root = root

    def mark(self) -> None:
        marker = os.path.join(self._root, _MARKER)
        try:
            os.makedirs(self._root, exist_ok=True)
            if not os.path.lexists(marker):
                with open(marker, "wb") as file:
                    file.write(_MARKER_TEXT)
        except OSError as error:
            raise _Down(str(error)) from error

    def put(self, path: str, value: bytes) -> None:
        self._check_mark()
        target = os.path.join(self._root, path)
        folder = os.path.dirname(target)
        draft = os.path.join(folder, f".{uuid.uuid4().hex}")
        try:
            if not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
                for parent in (self._root, os.path.dirname(folder)):
                    _sync(parent)
            try:
                with open(draft, "xb") as file:
                    file.write(value)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(draft, target)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(draft)
                raise
            _sync(folder)
        except OSError as error:
            raise _Down(str(error)) from error

    def get(self, claim: Claim) -> bytes:
        *folders, name = claim.path.split("/")
        with contextlib.ExitStack() as opened:
            try:
                at = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                raise _Down(str(error)) from error
            opened.callback(os.close, at)
            try:
                for folder in folders:
                    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                    opened.callback(os.close, at)
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
            except FileNotFoundError:
                self._check_mark()
                raise _Missing(f"there is no object {claim.path}") from None
            except OSError as error:
                raise _Missing(f"object {claim.path} cannot be opened: {error.strerror}") from error
            opened.callback(os.close, descriptor)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size != claim.length:
                raise _Missing(f"object {claim.path} is not what the record says")
            try:
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read(claim.length)
            except OSError as error:
                raise _Down(str(error)) from error

    def _check_mark(self) -> None:
        if not os.path.lexists(os.path.join(self._root, _MARKER)):
            raise _Down(f"{self._root} holds no {_MARKER}: is it mounted?")


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Bucket:
    def __init__(self, scheme: str, place: str, options: Mapping[str, str]) -> None:
        from pyarrow import fs

        self._root = place.rstrip("/")
        self._files: Any
        if scheme in ("s3", "s3a"):
            given = {_S3[name.lower()]: value for name, value in options.items()}
            if "endpoint_override" in given:
                protocol, found, host = given["endpoint_override"].partition("://")
                if found:
                    given |= {"scheme": protocol, "endpoint_override": host}
            self._files = fs.S3FileSystem(**given)
        elif scheme == "gs":
            self._files = fs.GcsFileSystem()
        else:
            raise InputError(f"the store is at {scheme}://; give a folder, s3:// or gs://")

    def mark(self) -> None:
        self.put(_MARKER, _MARKER_TEXT)

    def put(self, path: str, value: bytes) -> None:
        try:
            with self._files.open_output_stream(f"{self._root}/{path}") as out:
                out.write(value)
        except Exception as error:
            raise _Down(str(error)) from error

    def get(self, claim: Claim) -> bytes:
        from pyarrow import fs

        path = f"{self._root}/{claim.path}"
        try:
            found, marker = self._files.get_file_info([path, f"{self._root}/{_MARKER}"])
            if found.type == fs.FileType.File and found.size == claim.length:
                with self._files.open_input_stream(path) as file:
                    return bytes(file.read(claim.length))
        except Exception as error:
            raise _Down(str(error)) from error
        if found.type == fs.FileType.NotFound and marker.type != fs.FileType.File:
            raise _Down(f"the bucket holds no {_MARKER}")
        raise _Missing(f"object {claim.path} is not there, or not what the record says")


# The services' names of options, and pyarrow's.
_S3 = {
    "aws_region": "region",
    "aws_endpoint": "endpoint_override",
    "aws_access_key_id": "access_key",
    "aws_secret_access_key": "secret_key",
    "aws_session_token": "session_token",
}
