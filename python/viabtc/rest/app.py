"""The app: routes, errors, documents."""

from fastapi import FastAPI

from viabtc import __version__
from viabtc.rest.context import Desk, Fees
from viabtc.rest.errors import add_handlers
from viabtc.rest.exchange import Exchange
from viabtc.rest.limits import BodyLimit, OrderPace, Pace
from viabtc.rest.pages import PageSettings, add_page
from viabtc.rest.routes import account, admin, changes, market, orders, udf
from viabtc.service.tokens import Tokens

PREFIX = "/api/v1"


def build_app(
    exchange: Exchange, tokens: Tokens, fees: Fees, pace: Pace, page: PageSettings
) -> FastAPI:
    """Builds the app over an exchange."""
    app = FastAPI(
        title="viabtc",
        version=__version__,
        description="Amounts and prices are decimal texts, times are microseconds. "
        "Errors carry a stable `code`.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.tokens = tokens
    app.state.desk = Desk(exchange, fees, OrderPace(pace))
    add_handlers(app)
    app.add_middleware(BodyLimit)
    # The busiest first: a request is compared with one route after the other.
    for routes in (orders, market, account, udf, admin, changes):
        app.include_router(routes.router, prefix=PREFIX)
    add_page(app, page)
    return app
