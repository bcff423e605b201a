"""The HTTP app of `viabtc run`: what is where, and the control app under /control."""

import html
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from viabtc import __version__
from viabtc.contract.methods import METHODS
from viabtc.contract.openrpc import openrpc
from viabtc.service.control import build_control

if TYPE_CHECKING:
    from viabtc.embedded.compose import ExchangePart

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>viabtc</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; }}
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; }}
th, td {{ padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd; }}
code {{ font: .9em ui-monospace, monospace; }}
</style>
</head>
<body>
<h1>viabtc {version}</h1>
<h2>Ports</h2>
<table>{ports}</table>
<h2>Control</h2>
<p><a href="/control/status">status</a> · <a href="/control/health">health</a> ·
<a href="/control/metrics">metrics</a> · <a href="/control/docs">control API</a> ·
<a href="/openrpc.json">methods as OpenRPC</a></p>
<h2>Methods</h2>
<table><tr><th>method</th><th>parameters</th><th></th></tr>{methods}</table>
</body>
</html>
"""


def build_app(part: "ExchangePart") -> FastAPI:
    """Builds the app over the running exchange."""
    app = FastAPI(
        title="viabtc", version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    page = _PAGE.format(
        version=__version__, ports=_rows(part.addresses().items()), methods=_rows(_methods())
    )

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        """What is where."""
        return page

    @app.get("/openrpc.json")
    def document() -> dict[str, Any]:
        """The methods of the JSON-RPC port."""
        return openrpc(__version__)

    app.mount("/control", build_control("run", part))
    return app


def _methods() -> list[tuple[str, str, str]]:
    return [
        (method.name, ", ".join(param.name for param in method.params), method.summary)
        for method in METHODS
    ]


def _rows(rows: Any) -> str:
    return "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
