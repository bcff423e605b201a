"""The first state of an exchange without a configuration: users with funds, small books."""

import json
from typing import Final

from viabtc import _core
from viabtc.contract.methods import BY_NAME
from viabtc.service.tokens import DEMO_USERS

FUNDS: Final = {"BTC": "10", "ETH": "200", "USDT": "1000000"}
"""What each demo user gets, once."""

_ASK, _BID = 1, 2
_MAKER: Final = DEMO_USERS[1]

MARKET: Final = "ETHUSDT"
"""Where a visitor finds somebody to trade with. BTCUSDT is left to recorded order flow."""

_LEVELS: Final = (
    ("ETHUSDT", _ASK, "1", ("3001", "3002.5", "3005", "3010", "3020")),
    ("ETHUSDT", _BID, "1", ("2999", "2997.5", "2995", "2990", "2980")),
    ("ETHBTC", _ASK, "1", ("0.0501", "0.0503")),
    ("ETHBTC", _BID, "1", ("0.0499", "0.0497")),
)


def fill(engine: _core.Engine) -> None:
    """Funds the demo users and places the first orders, when nothing was done before."""
    if engine.status()["sequence"] > 0:
        return
    for user in DEMO_USERS:
        for asset, amount in FUNDS.items():
            _call(engine, "balance.update", user, asset, "demo", 1, amount, {})
    for market, side, amount, prices in _LEVELS:
        for price in prices:
            params = (_MAKER, market, side, amount, price, "0.002", "0.001", "demo")
            _call(engine, "order.put_limit", *params)


def _call(engine: _core.Engine, method: str, *params: object) -> None:
    engine.call(BY_NAME[method].command, json.dumps(params).encode())
