//! Assets and markets as the original's matchengine configuration file writes them.

use serde_json::{Map, Value};
use viabtc_engine::config::UPDATE_WINDOW_DEFAULT;
use viabtc_engine::{AssetConfig, AssetId, Config, ConfigError, Decimal, MarketConfig};

/// Decimals of fee rates when a market does not say. Source: the original's `fee_prec`.
const FEE_SCALE_DEFAULT: u8 = 4;

/// Smallest order when a market does not say. Source: the original's `min_amount`.
const MIN_AMOUNT_DEFAULT: &str = "0.01";

const MICROSECONDS_PER_DAY: i64 = 86_400 * 1_000_000;

/// What the engine takes from a configuration file.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Validated assets and markets.
    pub config: Config,
    /// Replies are indented (`debug` of the original).
    pub is_indented: bool,
}

/// Reads `assets`, `markets`, `debug` and `update_window_days` from a JSON object; other keys are the
/// services' and are left alone.
///
/// # Errors
/// Names the key, what is wrong with it and what would be right.
pub fn read_config(text: &str) -> Result<ConfigFile, ConfigError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        problem("(file)", &format!("is not JSON: {error}"), "one JSON object, as in the samples")
    })?;
    let root = object(&value, "(file)")?;
    let mut assets = Vec::new();
    for (index, entry) in array(root, "assets")?.iter().enumerate() {
        let key = format!("assets[{index}]");
        let asset = object(entry, &key)?;
        let save_scale = scale(asset, &key, "prec_save", None)?;
        assets.push(AssetConfig {
            name: string(asset, &key, "name")?.to_owned(),
            save_scale,
            show_scale: scale(asset, &key, "prec_show", Some(save_scale))?,
        });
    }
    let mut markets = Vec::new();
    for (index, entry) in array(root, "markets")?.iter().enumerate() {
        markets.push(read_market(entry, &format!("markets[{index}]"), &assets)?);
    }
    let update_window = match root.get("update_window_days") {
        None => UPDATE_WINDOW_DEFAULT,
        Some(value) => match value.as_i64() {
            Some(days @ 1..=3650) => days * MICROSECONDS_PER_DAY,
            _ => {
                return Err(problem(
                    "update_window_days",
                    "is out of range",
                    "an integer from 1 to 3650",
                ));
            }
        },
    };
    let is_indented = match root.get("debug") {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(problem("debug", "is not a boolean", "true or false")),
    };
    let config = Config { assets, markets, update_window }.validate()?;
    Ok(ConfigFile { config, is_indented })
}

fn read_market(
    entry: &Value,
    key: &str,
    assets: &[AssetConfig],
) -> Result<MarketConfig, ConfigError> {
    let market = object(entry, key)?;
    let (base, base_scale) = leg(market, key, "stock", assets)?;
    let (quote, quote_scale) = leg(market, key, "money", assets)?;
    let min_amount = match market.get("min_amount") {
        None => MIN_AMOUNT_DEFAULT,
        Some(Value::String(text)) => text,
        Some(_) => {
            return Err(problem(
                &format!("{key}.min_amount"),
                "is not a string",
                "a decimal in quotes, such as \"0.001\"",
            ));
        }
    };
    Ok(MarketConfig {
        name: string(market, key, "name")?.to_owned(),
        base,
        quote,
        base_scale,
        quote_scale,
        fee_scale: scale(market, key, "fee_prec", Some(FEE_SCALE_DEFAULT))?,
        min_amount: Decimal::parse(min_amount).map_err(|_| {
            problem(
                &format!("{key}.min_amount"),
                &format!("\"{min_amount}\" is not a decimal number"),
                "a decimal in quotes, such as \"0.001\"",
            )
        })?,
    })
}

fn leg(
    market: &Map<String, Value>,
    key: &str,
    member: &str,
    assets: &[AssetConfig],
) -> Result<(AssetId, u8), ConfigError> {
    let path = format!("{key}.{member}");
    let leg = object(market.get(member).unwrap_or(&Value::Null), &path)?;
    let name = string(leg, &path, "name")?;
    let index = assets.iter().position(|asset| asset.name == name).ok_or_else(|| {
        problem(
            &format!("{path}.name"),
            &format!("\"{name}\" is not one of the assets"),
            "the name of an entry of `assets`",
        )
    })?;
    let index = u16::try_from(index)
        .map_err(|_| problem("assets", "has too many entries", "at most 1000"))?;
    Ok((AssetId(index), scale(leg, &path, "prec", None)?))
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Map<String, Value>, ConfigError> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Err(problem(key, "is missing", "an object")),
        _ => Err(problem(key, "is not an object", "an object")),
    }
}

fn array<'a>(map: &'a Map<String, Value>, key: &str) -> Result<&'a [Value], ConfigError> {
    match map.get(key) {
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(problem(key, "is not an array", "an array of objects")),
        None => Err(problem(key, "is missing", "an array of objects")),
    }
}

fn string<'a>(
    map: &'a Map<String, Value>,
    key: &str,
    member: &str,
) -> Result<&'a str, ConfigError> {
    match map.get(member) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(problem(&format!("{key}.{member}"), "is not a string", "a string")),
        None => Err(problem(&format!("{key}.{member}"), "is missing", "a string")),
    }
}

fn scale(
    map: &Map<String, Value>,
    key: &str,
    member: &str,
    default: Option<u8>,
) -> Result<u8, ConfigError> {
    let right = "an integer from 0 to 20";
    match (map.get(member), default) {
        (None, Some(default)) => Ok(default),
        (None, None) => Err(problem(&format!("{key}.{member}"), "is missing", right)),
        (Some(value), _) => value
            .as_u64()
            .and_then(|number| u8::try_from(number).ok())
            .ok_or_else(|| problem(&format!("{key}.{member}"), &format!("is {value}"), right)),
    }
}

fn problem(key: &str, problem: &str, remedy: &str) -> ConfigError {
    ConfigError { key: key.into(), problem: problem.into(), remedy: remedy.into() }
}
