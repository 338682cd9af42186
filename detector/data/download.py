"""One file over HTTP, resumed where it broke off."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from detector.errors import DetectorError

CHUNK = 2**18
TIMEOUT_S = 30.0  # without a byte
WAITS_S = (
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
)  # before each further try; bytes that came start them anew
_FINAL = (400, 401, 403, 404, 405, 410, 451)  # no later try will change the answer

Tell = Callable[[int, int | None], None]


class Network(NamedTuple):
    """How patient to be. timeout_s: without a byte. waits_s: before each further try."""

    timeout_s: float = TIMEOUT_S
    waits_s: tuple[float, ...] = WAITS_S
    sleep: Callable[[float], None] = time.sleep


PATIENT = Network()


class Unreachable(DetectorError):
    """No connection, or none that lasts: what was loaded stays for the next try."""


def file_name(url: str, called: str | None = None) -> str:
    """What a file is called as loaded: `called`, or the last part of its URL's path.

    Raises DetectorError for what no file can be called, and for any URL but http(s).
    """
    parts = urlsplit(url)
    name = unquote(parts.path.rpartition("/")[2]) if called is None else called
    plain = re.fullmatch(r"[^/\\:\0.][^/\\:\0]*", name)
    if called is not None and not plain:
        raise DetectorError(f"{url}: file '{called}' is no name of a file; leave out folders")
    if parts.scheme not in ("http", "https") or not plain:
        raise DetectorError(
            f"{url}: expected http:// or https:// with a file's name at its end, or file: NAME"
        )
    return name


def download(
    url: str,
    path: Path,
    size: int | None = None,
    digest: str | None = None,
    tell: Tell = lambda done, total: None,
    network: Network = PATIENT,
) -> None:
    """Load `url` into `path`, whole and checked or not at all; a next try resumes `path.part`.

    size: bytes expected; digest: sha256 or md5 in hex digits; None where unknown. tell(bytes done,
    in all or None). Raises Unreachable when the network fails for good or the server sends no file,
    DetectorError when it says no, sends another size or another content (what was loaded is then
    deleted).
    """
    part = path.with_name(f"{path.name}.part")
    answered = False
    waits = list(network.waits_s[:2])  # who is offline should hear so soon
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _load(url, part, size, tell, network.timeout_s)
            break
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in _FINAL:
                message = f"the server says {error.code} {error.reason}; check the url in the card"
                raise DetectorError(f"{url}: {message}") from None
            if _is_local(error):
                raise DetectorError(f"{part}: cannot be written ({error}); make room") from None
            first_word = isinstance(error, urllib.error.HTTPError) and not answered
            answered = answered or first_word
            if first_word or (part.exists() and part.stat().st_size > before):
                waits = list(network.waits_s)
            if not waits:
                raise Unreachable(f"{url}: {_reason(error)}") from None
            network.sleep(waits.pop(0))
    if not part.stat().st_size:
        part.unlink()
        raise Unreachable(f"{url}: the server sends nothing")
    verify(part, url, size, digest)
    part.replace(path)


def _load(url: str, part: Path, size: int | None, tell: Tell, timeout_s: float) -> None:
    """One try: append what is missing to `part`. Raises OSError or HTTPException when it breaks."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    headers = {"User-Agent": "mobilenet-ssd", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = _opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing beyond what we have: whole, or not that file
            total = _total(error.headers.get("Content-Range"))
            if total == have:
                return
            part.unlink()
        raise
    with response:
        have = _begin(response, url, part, have)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        if size is not None and total is not None and total != size:
            _refuse_size(url, part, size, total)
        _copy(response, part, have, total or size, tell)
        if total is not None and part.stat().st_size < total:
            raise http.client.HTTPException("the connection broke off")


def _begin(response: Any, url: str, part: Path, have: int) -> int:
    """At which byte what comes begins: at `have`, as asked, or at the start."""
    if response.status == 206:
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
        if start is None or int(start[1]) != have:
            part.unlink(missing_ok=True)
            raise http.client.HTTPException("the server sent another part than asked for")
        return have
    if response.status != 200:  # 202 asks for a browser
        raise Unreachable(f"{url}: the server answers {response.status} instead of the file")
    return 0  # it does not know ranges


def _copy(response: Any, part: Path, have: int, total: int | None, tell: Tell) -> None:
    """Write what comes; never more than was announced."""
    with part.open("r+b" if have else "wb") as sink:
        sink.seek(have)
        tell(have, total)
        while block := response.read1(CHUNK):
            if total is not None:
                block = block[: total - have]
            sink.write(block)
            have += len(block)
            tell(have, total)
            if have == total:
                break


def verify(path: Path, name: str, size: int | None, digest: str | None) -> None:
    """Delete `path` and raise DetectorError unless it has the size and the checksum."""
    found = path.stat().st_size
    if size is not None and found != size:
        _refuse_size(name, path, size, found)
    if digest is None:
        return
    kind = "sha256" if len(digest) == 64 else "md5"
    computed = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            computed.update(block)
    if computed.hexdigest() != digest:
        path.unlink()
        raise DetectorError(
            f"{name}: {kind} is {computed.hexdigest()}, expected {digest}; deleted: try again, and "
            "if it stays so the file is not the one the card means"
        )


def _refuse_size(name: str, path: Path, size: int, found: int) -> None:
    path.unlink(missing_ok=True)
    raise DetectorError(
        f"{name}: has {found:,} bytes, expected {size:,} (size in the card); deleted: try again, "
        "and if it stays so the file is not the one the card means"
    )


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS only: a redirect must not lead to a file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _total(content_range: str | None) -> int | None:
    found = re.match(r"bytes [^/]*/(\d+)", content_range or "")
    return int(found[1]) if found else None


def _is_local(error: Exception) -> bool:
    """Whether it was our disk, not the network: those errors name a file or tell it is full."""
    network = isinstance(error, (urllib.error.URLError, TimeoutError, ConnectionError))
    number = getattr(error, "errno", None)
    return not network and number in (13, 28, 30, 122)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {error.reason}"
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(error).__name__
