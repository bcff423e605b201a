//! What a start makes of a configuration file when commands have changed assets and markets meanwhile.
//!
//! The journal's configuration stands; the file counts where it was edited since it was last read. So a
//! file that nobody touched takes nothing back, and an edit takes effect as it always did. What neither
//! the file has nor ever had was added by a command, and stays.

use viabtc_engine::{AssetConfig, AssetId, Config, ConfigError, MarketConfig};

/// The configuration to go on with.
///
/// # Errors
/// When the edits of the file and what commands changed do not fit together.
pub fn merge(current: &Config, before: &Config, file: &Config) -> Result<Config, ConfigError> {
    if current == before {
        return Ok(file.clone());
    }
    if file == before {
        return Ok(current.clone());
    }
    let assets = merge_list(&current.assets, &before.assets, &file.assets, |asset| &asset.name);
    let assets: Vec<AssetConfig> = assets
        .into_iter()
        .map(|Merged { current, before, file }| {
            let [current, before, file] = fill([current, before, file]);
            AssetConfig {
                name: file.name.clone(),
                save_scale: edited(current.save_scale, before.save_scale, file.save_scale),
                show_scale: edited(current.show_scale, before.show_scale, file.show_scale),
            }
        })
        .collect();
    let markets = merge_list(&current.markets, &before.markets, &file.markets, |it| &it.name);
    let markets: Vec<MarketConfig> = markets
        .into_iter()
        .map(|Merged { current: now, before: was, file: wanted }| {
            let leg = |leg: fn(&MarketConfig) -> AssetId| {
                let names = [(now, current), (was, before), (wanted, file)].map(|(it, config)| {
                    it.map(|market| &config.assets[usize::from(leg(market).0)].name)
                });
                let [now, was, wanted] = fill(names);
                edited(now, was, wanted)
            };
            let (base, quote) = (leg(|market| market.base), leg(|market| market.quote));
            let [now, was, wanted] = fill([now, was, wanted]);
            Ok(MarketConfig {
                name: wanted.name.clone(),
                base: place(&assets, &wanted.name, base)?,
                quote: place(&assets, &wanted.name, quote)?,
                base_scale: edited(now.base_scale, was.base_scale, wanted.base_scale),
                quote_scale: edited(now.quote_scale, was.quote_scale, wanted.quote_scale),
                fee_scale: edited(now.fee_scale, was.fee_scale, wanted.fee_scale),
                min_amount: edited(now.min_amount, was.min_amount, wanted.min_amount),
            })
        })
        .collect::<Result<_, ConfigError>>()?;
    Config { assets, markets, update_window: file.update_window }.validate()
}

/// One name in the three configurations; at least one of them has it.
struct Merged<'a, T> {
    current: Option<&'a T>,
    before: Option<&'a T>,
    file: Option<&'a T>,
}

/// Names in the order of the file, then those that commands added.
fn merge_list<'a, T>(
    current: &'a [T],
    before: &'a [T],
    file: &'a [T],
    name: impl Fn(&T) -> &String,
) -> Vec<Merged<'a, T>> {
    let find = |list: &'a [T], wanted: &T| list.iter().find(|item| name(item) == name(wanted));
    let in_file = file.iter().map(|item| Merged {
        current: find(current, item),
        before: find(before, item),
        file: Some(item),
    });
    let is_added = |item: &&T| find(before, item).is_none() && find(file, item).is_none();
    let added = current.iter().filter(is_added).map(|item| Merged {
        current: Some(item),
        before: None,
        file: None,
    });
    in_file.chain(added).collect()
}

/// Where one of them lacks something, what it has is what the next one has: the file, then the current.
fn fill<T: Copy>([current, before, file]: [Option<T>; 3]) -> [T; 3] {
    let file = file.or(current).expect("one of them has it");
    let current = current.unwrap_or(file);
    [current, before.unwrap_or(current), file]
}

/// The file's value when it was edited.
fn edited<T: PartialEq>(current: T, before: T, file: T) -> T {
    if file == before { current } else { file }
}

fn place(assets: &[AssetConfig], market: &str, name: &str) -> Result<AssetId, ConfigError> {
    let place = assets.iter().position(|asset| asset.name == name);
    place.map(|place| AssetId(place as u16)).ok_or_else(|| ConfigError {
        key: format!("markets ({market})"),
        problem: format!("trades {name}, which the file does not have any more"),
        remedy: format!("put {name} back into `assets`"),
    })
}

#[cfg(test)]
mod tests {
    use viabtc_engine::Decimal;

    use super::*;

    fn config(assets: &[(&str, u8, u8)], markets: &[(&str, &str, &str, u8, i128)]) -> Config {
        let assets: Vec<AssetConfig> = assets
            .iter()
            .map(|&(name, save_scale, show_scale)| AssetConfig {
                name: name.into(),
                save_scale,
                show_scale,
            })
            .collect();
        let id = |wanted: &str| place(&assets, "", wanted).expect("it is there");
        let markets = markets
            .iter()
            .map(|&(name, base, quote, base_scale, coefficient)| MarketConfig {
                name: name.into(),
                base: id(base),
                quote: id(quote),
                base_scale,
                quote_scale: 4,
                fee_scale: 4,
                min_amount: Decimal { coefficient, scale: 3 },
            })
            .collect();
        Config { assets, markets, update_window: 1 }
    }

    fn file() -> Config {
        config(&[("BTC", 12, 8), ("USDT", 12, 8)], &[("BTCUSDT", "BTC", "USDT", 4, 1)])
    }

    /// Decimals raised, a smaller least amount, an asset and a market more.
    fn changed() -> Config {
        config(
            &[("BTC", 14, 8), ("USDT", 12, 8), ("ETH", 16, 8)],
            &[("BTCUSDT", "BTC", "USDT", 5, 1), ("ETHUSDT", "ETH", "USDT", 4, 7)],
        )
    }

    #[test]
    fn an_untouched_file_takes_nothing_back() {
        assert_eq!(merge(&changed(), &file(), &file()), Ok(changed()));
    }

    #[test]
    fn without_commands_the_file_is_what_counts() {
        assert_eq!(merge(&file(), &file(), &changed()), Ok(changed()));
    }

    #[test]
    fn an_edit_counts_beside_what_commands_changed() {
        // Another order, the least amount edited, an asset more.
        let edited = config(
            &[("DOGE", 8, 4), ("USDT", 12, 8), ("BTC", 12, 8)],
            &[("BTCUSDT", "BTC", "USDT", 4, 50)],
        );
        let expected = config(
            &[("DOGE", 8, 4), ("USDT", 12, 8), ("BTC", 14, 8), ("ETH", 16, 8)],
            &[("BTCUSDT", "BTC", "USDT", 5, 50), ("ETHUSDT", "ETH", "USDT", 4, 7)],
        );
        assert_eq!(merge(&changed(), &file(), &edited), Ok(expected));
    }

    #[test]
    fn a_file_that_took_the_changes_over_is_the_configuration() {
        assert_eq!(merge(&changed(), &file(), &changed()), Ok(changed()));
    }

    #[test]
    fn what_the_file_drops_goes_and_what_it_never_had_stays() {
        let without_market = config(&[("BTC", 12, 8), ("USDT", 12, 8)], &[]);
        let merged = merge(&changed(), &file(), &without_market).unwrap();
        let names: Vec<&str> = merged.markets.iter().map(|market| market.name.as_str()).collect();
        assert_eq!(names, ["ETHUSDT"]);
        let without_asset = config(&[("BTC", 12, 8)], &[]);
        let error = merge(&changed(), &file(), &without_asset).unwrap_err();
        assert!(error.problem.contains("trades USDT"), "{error:?}");
    }
}
