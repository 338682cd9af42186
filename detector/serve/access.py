"""Who may talk to the server: the token, other sites' pages, and what our page itself may do."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from detector.serve.limits import Limits, Refusal, drain
from detector.web_server import SAFE_HEADERS

COOKIE = "detector-token"
_YEAR_S = 365 * 24 * 3600  # an installed page opens again without the address that has the token
HEADERS = {
    **SAFE_HEADERS,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    # These two make the page "cross-origin isolated": only then WebAssembly gets threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        "connect-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def guarded(app: ASGIApp, token: str | None, limits: Limits) -> ASGIApp:
    """`app`, for those who know the token (None: for all) and are no other site's page.

    The token comes as `Authorization: Bearer TOKEN`, as the cookie that the page sets, or once as
    `/?token=TOKEN`, which sets the cookie and leads to `/`, so that it stays in no history.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if token is not None and _matches(request.query_params.get("token", ""), token):
            await _enter(token, request)(scope, receive, send)
            return
        refusal = _refusal(request, token)
        if refusal is None:
            await app(scope, receive, send)
            return
        await drain(request, limits)
        await refusal.answer()(scope, receive, send)

    return wrapped


def from_elsewhere(request: Request) -> bool:
    """Whether a browser says that a page of another site sent this; programs say nothing."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site in ("cross-site", "same-site"):
        return True
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _refusal(request: Request, token: str | None) -> Refusal | None:
    # A link to the page is followed from anywhere; what changes nothing else is taken from us only.
    opens_page = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    if from_elsewhere(request) and not opens_page:
        return Refusal(403, "this was sent by a page of another site")
    if token is None:
        return None
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    bearer = given if scheme.lower() == "bearer" else ""
    if _matches(bearer, token) or _matches(request.cookies.get(COOKIE, ""), token):
        return None
    return Refusal(
        401, "send the token that the server printed: Authorization: Bearer TOKEN, or /?token=TOKEN"
    )


def _matches(given: str, token: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode(), token.encode())


def _enter(token: str, request: Request) -> RedirectResponse:
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, token, _YEAR_S, httponly=True, samesite="lax", secure=secure, path="/"
    )
    return answer
