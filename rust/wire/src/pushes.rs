//! Notifications of the websocket: `{"method": ..., "params": [...], "id": null}`.

use viabtc_engine::{AssetId, Config, Deal, Decimal, Exchange, OrderEvent, Side, UserId};
use viabtc_market::Taker;

use crate::json::{write_integer, write_string};
use crate::market::write_recent_deal;
use crate::reply::{write_balance, write_order};

const END: &[u8] = b"], \"id\": null}";

/// Appends `order.update`, params `[1 put | 2 update | 3 finish, order]`.
pub fn write_order_update(event: &OrderEvent, config: &Config, out: &mut Vec<u8>) {
    write_head("order.update", out);
    write_integer(event.change as i64, out);
    out.extend_from_slice(b", ");
    write_order(&event.order, config, out);
    out.extend_from_slice(END);
}

/// Appends `asset.update`, params `[{"<asset>": {"available": ..., "freeze": ...}}]`.
pub fn write_asset_update(exchange: &Exchange, user: UserId, asset: AssetId, out: &mut Vec<u8>) {
    write_head("asset.update", out);
    out.push(b'{');
    write_balance(exchange, user, asset, out);
    out.push(b'}');
    out.extend_from_slice(END);
}

/// Appends what stands before the deals in `deals.update`, params `[market, [deal, ...]]`.
pub fn write_deals_head(market: &str, out: &mut Vec<u8>) {
    write_head("deals.update", out);
    write_string(market, out);
    out.extend_from_slice(b", [");
}

/// Appends a member of `deals.update`.
pub fn write_deal(deal: &Deal, config: &Config, out: &mut Vec<u8>) {
    let market = &config.markets[usize::from(deal.market.0)];
    let recent = viabtc_market::Deal {
        id: deal.id.0,
        time: deal.time.0,
        price: Decimal { coefficient: deal.price, scale: market.quote_scale },
        amount: Decimal { coefficient: deal.amount, scale: market.base_scale },
        taker: if deal.taker == Side::Ask { Taker::Sells } else { Taker::Buys },
    };
    write_recent_deal(&recent, out);
}

/// Appends what stands behind the deals in `deals.update`.
pub fn write_deals_tail(out: &mut Vec<u8>) {
    out.push(b']');
    out.extend_from_slice(END);
}

fn write_head(method: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"method\": ");
    write_string(method, out);
    out.extend_from_slice(b", \"params\": [");
}
