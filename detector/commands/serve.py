"""`detector serve`: a page that detects in the visitor's browser, and an HTTP API."""

from __future__ import annotations

import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from detector.commands.options import ModelGroup, ModelOptions, shown, split_names
from detector.errors import DetectorError

if TYPE_CHECKING:
    from detector.predictor import Detector
    from detector.serve.limits import Limits

MaybePath = Annotated[Path | None, shown("FILE", "none")]
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,256}")


@dataclass(frozen=True)
class Serve:
    """Serve a page that detects in the visitor's browser (camera, pictures, videos), and an API.

    `curl -T photo.jpg -X POST http://127.0.0.1:8000/detect` answers with JSON. The page needs
    ONNX Runtime Web: `detector serve --build` fetches it once, with npm.
    """

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all, so that a phone can reach it."""
    port: int = 8000
    """Port; 0 takes any free one."""
    token: Annotated[str | None, shown("TEXT", "none on 127.0.0.1, else a new one")] = None
    """What visitors must know: at least 16 letters, digits or ._~-"""
    tls: bool = False
    """Serve https with a certificate of its own (needs the serve extra). Browsers warn of it once;
    away from 127.0.0.1 they give the camera to https pages only."""
    tls_cert: MaybePath = None
    """Serve https with this certificate (PEM) ..."""
    tls_key: MaybePath = None
    """... and its private key (PEM)."""
    max_mb: float = 20.0
    """API: largest picture file, in millions of bytes."""
    max_megapixels: float = 50.0
    """API: largest picture, in millions of pixels."""
    queue: int = 64
    """API: pictures under way at a time; more are told to try again (429)."""
    streams: int = 1
    """API: pictures in the network side by side: more finish in all, each takes longer."""
    build: bool = False
    """Fetch what the page needs with npm, and end."""
    options: ModelGroup = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Serves until Ctrl-C."""
        if self.build:
            from detector.serve import runtime

            print(f"detector: ready in {runtime.build()}; now run: detector serve")
            return 0
        return self._serve()

    def _serve(self) -> int:
        from detector.serve import runtime, server, site
        from detector.serve.api import Api
        from detector.web_server import bind, is_loopback

        limits, local = self._limits(), is_loopback(self.host)
        token = self._token(local)
        tls = self._tls()
        bound = bind(self.host, self.port, "serve")
        try:
            detector = self.options.load(streams=self.streams)
            api = Api(detector, limits)
            model = self._page_model(detector)
            wanted = split_names(self.options.classes or ())
            routes = [*api.routes(), *site.routes(detector, model, wanted)]
            app = server.application(routes, limits, token=token, local=local)
            running = server.make_server(app, tls)
            secure = tls is not None
            url = server.address(bound.getsockname(), self.host, secure=secure, token=token)
            print(f"detector: {url} (Ctrl-C ends)", flush=True)
            self._say(local, secure, runtime.find() is not None)
            try:
                running.run(sockets=[bound])
            finally:
                api.close()
        finally:
            bound.close()
        return 0

    def _limits(self) -> Limits:
        from detector.predictor import in_range
        from detector.serve.limits import Limits

        return Limits(
            max_bytes=_millions("--max-mb", self.max_mb, 1000),
            max_pixels=_millions("--max-megapixels", self.max_megapixels, 250),
            queue=in_range("--queue", self.queue, 1, 10_000),
        )

    def _token(self, local: bool) -> str | None:
        if self.token is None:
            return None if local else secrets.token_urlsafe(24)
        if not _TOKEN.fullmatch(self.token):
            raise DetectorError("--token: expected at least 16 letters, digits or ._~-")
        return self.token

    def _tls(self) -> tuple[Path, Path] | None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise DetectorError("--tls-cert and --tls-key go together; give both or neither")
        if self.tls_cert is not None and self.tls_key is not None:
            for path in (self.tls_cert, self.tls_key):
                if not path.is_file():
                    raise DetectorError(f"{path}: no such file; expected a PEM file")
            return self.tls_cert, self.tls_key
        if not self.tls:
            return None
        from detector.model_cache import cache_folder
        from detector.serve.tls import self_signed

        folder = cache_folder()
        if folder is None:
            raise DetectorError("--tls: there is no home folder to keep it in; set DETECTOR_CACHE")
        return self_signed(folder, self.host)

    def _page_model(self, detector: Detector) -> Path:
        """What the browser runs: of the embedded model float unless int8 was asked for by name."""
        from detector.predictor import choose_file

        precision = self.options.precision
        if self.options.model == "coco" and precision == "auto":
            return choose_file("coco", "float")
        return detector.path

    def _say(self, local: bool, secure: bool, has_page: bool) -> None:
        """What a newcomer would otherwise wonder about."""
        if not has_page:
            hint = "the page needs ONNX Runtime Web; fetch it once: detector serve --build"
            print(f"detector: {hint} (the API works without)", file=sys.stderr)
        if not local and not secure:
            hint = "browsers give the camera to https pages only, and the token can be read on"
            print(f"detector: {hint} the way; add --tls", file=sys.stderr)


def _millions(option: str, value: float, most: int) -> int:
    """`value` millions, as a whole number."""
    if not 0.001 <= value <= most:  # NaN is neither
        raise DetectorError(f"{option} is {value:g}; expected a number from 0.001 to {most}")
    return round(value * 1e6)
