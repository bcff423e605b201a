"""A configuration of the matching engine that tests alter."""

from typing import Any


def small_config() -> dict[str, Any]:
    """One market; assets show everything that they keep, so that queries hide nothing."""
    return {
        "alert": {"host": "test", "addr": "127.0.0.1:4444"},
        "svr": {"max_pkg_size": 10240, "buf_limit": 100, "heartbeat_check": False},
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
