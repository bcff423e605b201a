"""A configuration of the matching engine that tests alter."""

from typing import Any


def three_markets() -> dict[str, Any]:
    """The markets of an exchange without a configuration, without its demonstration."""
    base = small_config()
    names = (("BTC", 12), ("ETH", 12), ("USDT", 20))
    base["assets"] = [{"name": name, "prec_save": save, "prec_show": 8} for name, save in names]
    base["markets"] = [
        {
            "name": stock + money,
            "stock": {"name": stock, "prec": prec},
            "money": {"name": money, "prec": 8},
            "min_amount": least,
        }
        for stock, money, prec, least in (
            ("BTC", "USDT", 8, "0.00000001"),
            ("ETH", "USDT", 8, "0.00000001"),
            ("ETH", "BTC", 4, "0.0001"),
        )
    ]
    return base


def small_config() -> dict[str, Any]:
    """One market; assets show everything that they keep, so that queries hide nothing."""
    return {
        "alert": {"host": "test", "addr": "127.0.0.1:4444"},
        "log": {"path": "unused", "flag": "fatal,error,warn,info"},
        "cli": "",
        "svr": {
            "max_pkg_size": 10240,
            "buf_limit": 100,
            "heartbeat_check": False,
            "bind": "tcp@127.0.0.1:0",
        },
        "assets": [
            {"name": "BTC", "prec_save": 12, "prec_show": 12},
            {"name": "USDT", "prec_save": 12, "prec_show": 12},
        ],
        "markets": [
            {
                "name": "BTCUSDT",
                "stock": {"name": "BTC", "prec": 4},
                "money": {"name": "USDT", "prec": 2},
                "fee_prec": 4,
                "min_amount": "0.001",
            }
        ],
    }
