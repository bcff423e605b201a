"""The page at `/`, what it needs to know, and the documentation at `/docs`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

FOLDER: Final = Path(__file__).parent / "page"

_POLICY: Final = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:;"
    " style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing from elsewhere; the libraries style their own elements."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the page is told."""

    websocket_port: int | None = None
    """Of accessws on the same host; without it the page polls."""
    market: str | None = None
    """Shown first; none for the first of the list."""
    identities: Sequence[tuple[str, str]] = ()
    """Names and tokens that any visitor may use: those of a demonstration, or none."""


def add_page(app: FastAPI, settings: PageSettings) -> None:
    """Serves the page and the documentation."""
    policy = {"Content-Security-Policy": _POLICY}

    @app.get("/", include_in_schema=False)
    async def index(_: Request) -> Response:
        return FileResponse(FOLDER / "index.html", headers=policy)

    @app.get("/docs", include_in_schema=False)
    async def documentation(_: Request) -> Response:
        return FileResponse(FOLDER / "docs.html", headers=policy)

    @app.get("/page.json", include_in_schema=False)
    async def page() -> dict[str, Any]:
        return {
            "websocket_port": settings.websocket_port,
            "market": settings.market,
            "identities": [{"name": name, "token": token} for name, token in settings.identities],
        }

    app.mount("/page", StaticFiles(directory=FOLDER), name="page")
