"""The app: routes, errors, documents."""

import structlog
from fastapi import FastAPI

from viabtc import __version__
from viabtc.rest.context import PREFIX, Desk
from viabtc.rest.errors import add_handlers, document_own
from viabtc.rest.pages import PageSettings, add_page
from viabtc.rest.requestid import RequestId
from viabtc.rest.routes import account, admin, changes, market, orders, udf, users
from viabtc.rest.sites import add_sites
from viabtc.rest.sizes import SizeLimits
from viabtc.rest.times import Times
from viabtc.service.auditlog import AuditLog
from viabtc.service.tokens import Tokens


def build_app(desk: Desk, tokens: Tokens, audit: AuditLog, page: PageSettings) -> FastAPI:
    """Builds the app in front of an exchange; `state.times` has those of its requests."""
    app = FastAPI(
        title="viabtc",
        version=__version__,
        description="Amounts and prices are decimal texts, times are microseconds. "
        "Errors carry a stable `code`.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # The framework's would load its program from elsewhere.
        redoc_url=None,
        # Nobody exports any; each request would look several times whether somebody does.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.tokens = tokens
    app.state.audit = audit
    app.state.desk = desk
    app.state.times = Times(PREFIX)
    add_handlers(app)
    document_own(app)
    app.add_middleware(SizeLimits)
    app.add_middleware(RequestId, log=structlog.get_logger(), prefix=PREFIX, times=app.state.times)
    # Before all others, the busiest first: a request is compared with one route after the other. As
    # the app's own, because routes of an included router are looked for twice.
    parts = (orders, market, account, udf, admin, changes, users)
    routers = (orders.placing, *(part.router for part in parts))
    app.router.routes[:0] = [route for router in routers for route in router.routes]
    add_sites(app, tokens)
    add_page(app, page)
    return app
