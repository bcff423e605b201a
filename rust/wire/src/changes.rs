//! Parameters of the methods of our own kinds: name, settings, who asks, and why.

use viabtc_engine::{
    AssetConfig, AssetSettings, Change, Command, Config, Decimal, MarketConfig, MarketSettings,
};

use crate::json::{Value, read_object};
use crate::request::{Names, narrow, text};

/// First RPC number of our own kinds, beyond all that an original uses.
pub const COMMANDS_FIRST: u32 = 900;

/// `order.put_limit_once`
pub const PUT_LIMIT_ONCE: u32 = 908;

/// `order.put_market_once`
pub const PUT_MARKET_ONCE: u32 = 909;

/// Most characters of who asks: a token's name, or a user of the system.
const ACTOR_CHARACTERS_MAX: usize = 64;

/// Most characters of why.
const NOTE_CHARACTERS_MAX: usize = 200;

/// Whether a command is of our own kinds: an original could not replay it.
pub const fn is_own(command: u32) -> bool {
    command >= COMMANDS_FIRST && !is_once(command)
}

/// Whether a command places an order once: to an original's log it is an order.
pub const fn is_once(command: u32) -> bool {
    matches!(command, PUT_LIMIT_ONCE | PUT_MARKET_ONCE)
}

/// The change that a writing method of our own kinds asks for.
pub(crate) fn decode(command: u32, values: &[Value<'_>], names: &Names) -> Option<Command> {
    let (name, rest) = values.split_first()?;
    let name = text(name)?;
    let change = match command {
        901 | 902 => {
            people(rest)?;
            let (market, _) = names.market(name)?;
            if command == 901 { Change::Halt(market) } else { Change::Resume(market) }
        }
        903..=906 => {
            let (settings, rest) = rest.split_first()?;
            people(rest)?;
            let Value::Object(settings) = settings else { return None };
            let settings = Settings::new(settings);
            let config = names.config();
            match command {
                903 => Change::AddMarket(new_market(settings, name, config)?),
                904 => {
                    let (id, market) = names.market(name)?;
                    Change::SetMarket(id, set_market(settings, market)?)
                }
                905 => Change::AddAsset(new_asset(settings, name)?),
                _ => {
                    let id = names.asset(name)?;
                    let asset = &config.assets[usize::from(id.0)];
                    Change::SetAsset(id, set_asset(settings, asset)?)
                }
            }
        }
        _ => return None,
    };
    Some(Command::Change(Box::new(change)))
}

/// Who asks, which must be said, and why, which may be left out.
fn people(values: &[Value<'_>]) -> Option<()> {
    let (actor, note) = match values {
        [actor] => (actor, ""),
        [actor, note] => (actor, text(note)?),
        _ => return None,
    };
    let actor = narrow(text(actor)?)?;
    let is_named = (1..=ACTOR_CHARACTERS_MAX).contains(&actor.chars().count());
    let is_short = narrow(note)?.chars().count() <= NOTE_CHARACTERS_MAX;
    (is_named && is_short).then_some(())
}

fn new_asset(mut settings: Settings<'_>, name: &str) -> Option<AssetConfig> {
    let save_scale = settings.scale("prec_save")??;
    let show_scale = settings.scale("prec_show")?.unwrap_or(save_scale);
    settings.end(AssetConfig { name: narrow(name)?.to_owned(), save_scale, show_scale })
}

fn set_asset(mut settings: Settings<'_>, now: &AssetConfig) -> Option<AssetSettings> {
    let save_scale = settings.scale("prec_save")?.unwrap_or(now.save_scale);
    let show_scale = settings.scale("prec_show")?.unwrap_or(now.show_scale);
    settings.end(AssetSettings { save_scale, show_scale })
}

fn new_market(mut settings: Settings<'_>, name: &str, config: &Config) -> Option<MarketConfig> {
    let mut leg = |key| {
        let wanted = settings.take(key)?;
        let wanted = text(&wanted)?;
        let place = config.assets.iter().position(|asset| asset.name == wanted)?;
        Some(viabtc_engine::AssetId(u16::try_from(place).ok()?))
    };
    let (base, quote) = (leg("stock")?, leg("money")?);
    let market = MarketConfig {
        name: narrow(name)?.to_owned(),
        base,
        quote,
        base_scale: settings.scale("stock_prec")??,
        quote_scale: settings.scale("money_prec")??,
        fee_scale: settings.scale("fee_prec")?.unwrap_or(4),
        min_amount: settings.amount("min_amount")??,
    };
    settings.end(market)
}

fn set_market(mut settings: Settings<'_>, now: &MarketConfig) -> Option<MarketSettings> {
    let market = MarketSettings {
        base_scale: settings.scale("stock_prec")?.unwrap_or(now.base_scale),
        quote_scale: settings.scale("money_prec")?.unwrap_or(now.quote_scale),
        fee_scale: settings.scale("fee_prec")?.unwrap_or(now.fee_scale),
        min_amount: settings.amount("min_amount")?.unwrap_or(now.min_amount),
    };
    settings.end(market)
}

/// Members of a settings object, each taken once; what nobody takes is an error.
struct Settings<'a>(Vec<(std::borrow::Cow<'a, str>, Value<'a>)>);

impl<'a> Settings<'a> {
    fn new(object: &'a str) -> Settings<'a> {
        Settings(read_object(object))
    }

    fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let place = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Decimals, if they are said; `None` when what is said is no number of decimals.
    fn scale(&mut self, key: &str) -> Option<Option<u8>> {
        match self.take(key) {
            None => Some(None),
            Some(Value::Integer(number)) => u8::try_from(number).ok().map(Some),
            Some(_) => None,
        }
    }

    /// An amount, if it is said; `None` when what is said is none.
    fn amount(&mut self, key: &str) -> Option<Option<Decimal>> {
        match self.take(key) {
            None => Some(None),
            Some(Value::Text(text)) => Decimal::parse(&text).ok().map(Some),
            Some(_) => None,
        }
    }

    /// The value, when nothing is left over.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{DecodeError, Request, decode};
    use viabtc_engine::{AssetId, MarketId};

    fn names() -> Names {
        let asset = |name: &str| AssetConfig { name: name.into(), save_scale: 12, show_scale: 8 };
        let market = MarketConfig {
            name: "BTCUSDT".into(),
            base: AssetId(0),
            quote: AssetId(1),
            base_scale: 4,
            quote_scale: 2,
            fee_scale: 4,
            min_amount: Decimal { coefficient: 1, scale: 3 },
        };
        Names::new(&Config {
            assets: vec![asset("BTC"), asset("USDT")],
            markets: vec![market],
            update_window: 1,
        })
    }

    fn change(command: u32, params: &str) -> Option<Change> {
        match decode(command, params.as_bytes(), &names()) {
            Ok(Request::Write(Command::Change(change))) => Some(*change),
            Err(DecodeError::InvalidArgument) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let market = MarketId(0);
        assert_eq!(change(901, r#"["BTCUSDT", "admin"]"#), Some(Change::Halt(market)));
        let resumed = change(902, r#"["BTCUSDT", "admin", "all is well"]"#);
        assert_eq!(resumed, Some(Change::Resume(market)));
        let settings = MarketSettings {
            base_scale: 4,
            quote_scale: 3,
            fee_scale: 4,
            min_amount: Decimal { coefficient: 5, scale: 1 },
        };
        assert_eq!(
            change(904, r#"["BTCUSDT", {"money_prec": 3, "min_amount": "0.5"}, "admin"]"#),
            Some(Change::SetMarket(market, settings))
        );
        assert_eq!(
            change(906, r#"["USDT", {"prec_save": 14}, "admin"]"#),
            Some(Change::SetAsset(AssetId(1), AssetSettings { save_scale: 14, show_scale: 8 }))
        );
    }

    #[test]
    fn new_ones_say_what_they_are() {
        let asset = AssetConfig { name: "ETH".into(), save_scale: 16, show_scale: 16 };
        let added = change(905, r#"["ETH", {"prec_save": 16}, "admin", "listed"]"#);
        assert_eq!(added, Some(Change::AddAsset(asset)));
        let added = change(
            903,
            r#"["USDTBTC", {"stock": "USDT", "money": "BTC", "stock_prec": 2, "money_prec": 6,
                "min_amount": "1"}, "admin"]"#,
        );
        let Some(Change::AddMarket(market)) = added else { panic!("it can be read") };
        assert_eq!((market.base, market.quote, market.fee_scale), (AssetId(1), AssetId(0), 4));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (command, params) in [
            (901, r#"["BTCUSDT"]"#),
            (901, r#"["NONE", "admin"]"#),
            (901, r#"["BTCUSDT", ""]"#),
            (901, r#"["BTCUSDT", "admin", 1]"#),
            (901, r#"["BTCUSDT", "admin", "why", "more"]"#),
            (904, r#"["BTCUSDT", {"min_amount": 1}, "admin"]"#),
            (904, r#"["BTCUSDT", {"stock_prec": 256}, "admin"]"#),
            (904, r#"["BTCUSDT", {"prec": 5}, "admin"]"#),
            (904, r#"["BTCUSDT", {}]"#),
            (905, r#"["ETH", {}, "admin"]"#),
            (903, r#"["X", {"stock": "BTC", "money": "ETH"}, "admin"]"#),
            (906, r#"["ETH", {"prec_save": 20}, "admin"]"#),
        ] {
            assert_eq!(change(command, params), None, "{params}");
        }
    }
}
