"""The OpenRPC document of the JSON-RPC port, made from the method table."""

from typing import Any, Final

from viabtc.contract.errors import codes
from viabtc.contract.methods import METHODS, Method, Param

OPENRPC: Final = "1.3.2"

_USER_ID_MAX: Final = 2**32 - 1
_NUMBER: Final = {"type": "string", "format": "decimal", "examples": ["1", "0.00000001"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_NAMES: Final = {"type": "string", "minLength": 1}

_DECIMALS: Final = {"type": "integer", "minimum": 0, "maximum": 20}
_DECIMALS_OF_ASSET: Final = dict.fromkeys(("prec_save", "prec_show"), _DECIMALS)
_DECIMALS_OF_MARKET: Final = dict.fromkeys(("stock_prec", "money_prec", "fee_prec"), _DECIMALS)


def _settings(members: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": members,
        "required": list(required),
        "additionalProperties": False,
    }


KINDS: Final[dict[str, dict[str, Any]]] = {
    "user_id": {"type": "integer", "minimum": 0, "maximum": _USER_ID_MAX},
    "order_id": _COUNT,
    "asset_name": _NAMES | {"description": "A configured asset."},
    "market_name": _NAMES | {"description": "A configured market."},
    "side": {"type": "integer", "enum": [1, 2], "description": "1 ask (sell), 2 bid (buy)."},
    "number": _NUMBER,
    "fee_rate": _NUMBER | {"description": "0 or more, below 1."},
    "source": {"type": "string", "description": "At most 30 bytes, none beyond U+FFFF."},
    "reason": {"type": "string", "maxLength": 30, "description": "No character beyond U+FFFF."},
    "reason_id": _COUNT,
    "detail": {"type": "object"},
    "offset": _COUNT,
    "limit": {"type": "integer", "minimum": 0, "maximum": 101},
    "seconds": _COUNT | {"description": "Seconds since 1970-01-01 UTC; 0 for no bound."},
    "period": {"type": "integer", "minimum": 1, "description": "Seconds."},
    "deal_id": _COUNT | {"description": "0 for the newest."},
    "filter": {"type": "string", "description": "Empty for any."},
    "side_filter": {"type": "integer", "enum": [0, 1, 2], "description": "0 for any."},
    "new_name": _NAMES | {"description": "Not that of another one."},
    "asset_settings": _settings(_DECIMALS_OF_ASSET),
    "market_settings": _settings(_DECIMALS_OF_MARKET | {"min_amount": _NUMBER}),
    "new_market": _settings(
        {"stock": _NAMES, "money": _NAMES, "min_amount": _NUMBER} | _DECIMALS_OF_MARKET,
        "stock",
        "money",
        "stock_prec",
        "money_prec",
        "min_amount",
    ),
    "actor": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Who asks."},
    "note": {"type": "string", "maxLength": 200, "description": "Why."},
    "order_name": {
        "type": "string",
        "minLength": 1,
        "description": "As a source: 30 bytes, none beyond U+FFFF. An order's name.",
    },
}
"""Schema of each kind of parameter."""

_ORDER: Final = {
    "type": "object",
    "required": ["id", "market", "type", "side", "user", "ctime", "mtime", "price", "amount"],
}
_PAIR: Final = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_LEVELS: Final = {"type": "array", "items": _PAIR, "description": "[price, amount], best first."}

RESULTS: Final[dict[str, dict[str, Any]]] = {
    "success": {"type": "object", "properties": {"status": {"const": "success"}}},
    "order": _ORDER,
    "order_or_null": {"oneOf": [_ORDER, {"type": "null"}]},
    "balances": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {"available": _NUMBER, "freeze": _NUMBER},
        },
    },
    "list": {"type": "array", "items": {"type": "object"}},
    "records": {"type": "object", "description": "At most `limit` entries from `offset` on."},
    "depth": {"type": "object", "properties": {"asks": _LEVELS, "bids": _LEVELS}},
    "figures": {"type": "object"},
    "candles": {
        "type": "array",
        "items": {
            "type": "array",
            "description": "[time, open, close, high, low, volume, deal, market]",
        },
    },
    "number": _NUMBER,
}
"""Schema of each shape of result."""


def openrpc(version: str) -> dict[str, Any]:
    """The document for this `version` of the exchange."""
    return {
        "openrpc": OPENRPC,
        "info": {"title": "viabtc JSON-RPC over HTTP", "version": version},
        "methods": [_method(method) for method in METHODS],
    }


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-position",
        "params": [
            _param(param, is_required=index < method.count_min)
            for index, param in enumerate(method.params)
        ],
        "result": {"name": method.result, "schema": RESULTS[method.result]},
        "errors": [
            {"code": code, "message": message} for code, message in sorted(codes(method).items())
        ],
        "x-command": method.command,
        "x-owner": method.owner,
        "x-effect": method.effect,
        "x-repeats-last": method.arity == "repeated_last",
    }


def _param(param: Param, *, is_required: bool) -> dict[str, Any]:
    return {"name": param.name, "required": is_required, "schema": KINDS[param.kind]}
