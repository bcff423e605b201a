use viabtc_engine::event::OrderChange;
use viabtc_engine::{
    AssetConfig, AssetSettings, Deal, DealId, DealSide, Decimal, Event, MarketConfig,
    MarketSettings, Order, OrderEvent, OrderKind, Side, Source, Time,
};
use viabtc_wire::changes::{is_once, is_own};

use super::feed::feed_version;
use super::*;

fn commands() -> Vec<Command> {
    let commands = [
        Command::UpdateBalance(UpdateBalance {
            user: UserId(7),
            asset: AssetId(2),
            reason: "deposit".into(),
            reason_id: u64::MAX >> 1,
            change: -12_345_678,
            detail: r#"{"id": 1}"#.into(),
        }),
        Command::PlaceLimit(PlaceLimit {
            user: UserId(u32::MAX),
            market: MarketId(3),
            side: Side::Bid,
            amount: i128::MAX,
            price: 1,
            taker_fee_rate: 20,
            maker_fee_rate: 10,
            source: Source::new("api").expect("short"),
        }),
        Command::PlaceMarket(PlaceMarket {
            user: UserId(0),
            market: MarketId(0),
            side: Side::Ask,
            amount: 5,
            taker_fee_rate: 0,
            source: Source::ABSENT,
        }),
        Command::CancelOrder(CancelOrder {
            user: UserId(1),
            market: MarketId(1),
            order: OrderId(99),
        }),
    ];
    let once = commands.iter().filter_map(|command| match command {
        Command::PlaceLimit(order) => Some(PlaceOnce::Limit(*order).into()),
        Command::PlaceMarket(order) => Some(PlaceOnce::Market(*order).into()),
        _ => None,
    });
    let changes = changes().map(|change| Command::Change(Box::new(change)));
    commands.iter().cloned().chain(once).chain(changes).collect()
}

fn changes() -> [Change; 6] {
    let min_amount = Decimal { coefficient: 1, scale: 3 };
    let asset = AssetConfig { name: "ETH".into(), save_scale: 16, show_scale: 8 };
    let market = MarketConfig {
        name: "ETHBTC".into(),
        base: AssetId(2),
        quote: AssetId(0),
        base_scale: 4,
        quote_scale: 6,
        fee_scale: 4,
        min_amount,
    };
    let asset_settings = AssetSettings { save_scale: 20, show_scale: 10 };
    let settings = MarketSettings { base_scale: 5, quote_scale: 7, fee_scale: 4, min_amount };
    [
        Change::Halt(MarketId(1)),
        Change::Resume(MarketId(1)),
        Change::AddAsset(asset),
        Change::SetAsset(AssetId(2), asset_settings),
        Change::AddMarket(market),
        Change::SetMarket(MarketId(3), settings),
    ]
}

/// What other builds wrote is read for ever, and they say what they cannot read.
#[test]
fn commands_of_our_own_kinds_have_a_version_of_their_own() {
    for command in commands() {
        let mut payload = Vec::new();
        write_command(&command, b"[]", &mut payload);
        let number = command_number(&command);
        assert_eq!(payload[0], feed_version(number));
        assert_eq!(is_own(number), matches!(command, Command::Change(_)));
        assert_eq!(is_once(number), matches!(command, Command::PlaceOnce(_)));
    }
    let halt = Command::Change(Box::new(Change::Halt(MarketId(0x0102))));
    let mut payload = Vec::new();
    write_command(&halt, b"[]", &mut payload);
    assert_eq!(payload, b"\x02\x01\x02\x01[]");
}

#[test]
fn commands_come_back_with_their_text() {
    for command in commands() {
        let mut payload = Vec::new();
        write_command(&command, b"[1, 2]", &mut payload);
        assert_eq!(read_command(&payload), Ok((command, &b"[1, 2]"[..])));
    }
}

#[test]
fn every_cut_of_a_command_is_an_error_or_loses_only_text() {
    for command in commands() {
        let mut payload = Vec::new();
        write_command(&command, b"", &mut payload);
        for length in 0..payload.len() {
            assert!(read_command(&payload[..length]).is_err(), "{command:?} cut at {length}");
        }
    }
}

#[test]
fn feed_entries_come_back() {
    let order = Order {
        id: OrderId(1),
        user: UserId(2),
        market: MarketId(3),
        kind: OrderKind::Limit,
        side: Side::Ask,
        source: Source::new("").expect("empty"),
        created_at: Time(1),
        updated_at: Time(2),
        price: 10,
        amount: 20,
        remaining: 5,
        taker_fee_rate: 1,
        maker_fee_rate: 2,
        filled_base: 15,
        filled_quote: 150,
        fee_paid: Decimal { coefficient: 3, scale: 20 },
    };
    let side = DealSide {
        order: OrderId(1),
        user: UserId(2),
        fee_rate: 3,
        fee: Decimal { coefficient: 1, scale: 1 },
        total_given: 0,
        total_received: 9,
        total_after_fee: 8,
    };
    let events = vec![
        Event::Deal(Deal {
            id: DealId(4),
            time: Time(5),
            market: MarketId(3),
            taker: Side::Bid,
            price: 10,
            amount: 15,
            turnover: 150,
            ask: side,
            bid: side,
        }),
        Event::Order(OrderEvent {
            number: 9,
            change: OrderChange::Updated,
            order,
            is_recorded: false,
        }),
    ];
    let mut payload = Vec::new();
    let origin = Origin { command: 201, operlog_id: 7, config: u64::MAX };
    write_feed_entry(origin, b"[]", &events, &mut payload);
    let entry = FeedEntry { origin, params: b"[]", events };
    assert_eq!(read_feed_entry(&payload), Ok(entry));
}
