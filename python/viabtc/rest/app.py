"""The app: routes, errors, documents."""

from fastapi import APIRouter, FastAPI

from viabtc import __version__
from viabtc.rest.context import Fees
from viabtc.rest.errors import add_handlers
from viabtc.rest.exchange import Exchange
from viabtc.rest.limits import BodyLimit
from viabtc.rest.pages import PageSettings, add_page
from viabtc.rest.routes import account, admin, changes, market, orders, udf
from viabtc.service.tokens import Tokens

PREFIX = "/api/v1"


def build_app(exchange: Exchange, tokens: Tokens, fees: Fees, page: PageSettings) -> FastAPI:
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
    app.state.exchange = exchange
    app.state.tokens = tokens
    app.state.fees = fees
    add_handlers(app)
    app.add_middleware(BodyLimit)
    api = APIRouter(prefix=PREFIX)
    for routes in (market, orders, account, admin, changes, udf):
        api.include_router(routes.router)
    app.include_router(api)
    add_page(app, page)
    return app
