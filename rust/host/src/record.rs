//! What the journal's records mean: their kinds, and the configuration as a record.

use viabtc_engine::{AssetConfig, AssetId, Config, Decimal, MarketConfig};

use crate::bytes::{Reader, Writer};
use crate::codec::{CodecError, VERSION};

/// An applied command: [`crate::codec::write_command`].
pub const KIND_COMMAND: u8 = 1;

/// The state's digest after the command of the same sequence: eight bytes, little endian.
pub const KIND_DIGEST: u8 = 2;

/// The configuration that the following commands were applied under: [`write_config`].
pub const KIND_CONFIG: u8 = 5;

/// A piece of the state that the journal begins with, taken over from elsewhere: [`STATE_ENDS`] or
/// [`STATE_GOES_ON`], then bytes of [`crate::recovery::write_state`].
pub const KIND_STATE: u8 = 8;

/// First byte of the last piece of a state.
pub const STATE_ENDS: u8 = 1;

/// First byte of its other pieces.
pub const STATE_GOES_ON: u8 = 0;

/// Appends a configuration.
pub fn write_config(config: &Config, out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.u8(VERSION);
    writer.u64(config.update_window.cast_unsigned());
    writer.u16(u16::try_from(config.assets.len()).expect("a configuration is validated"));
    for asset in &config.assets {
        writer.bytes(asset.name.as_bytes());
        writer.u8(asset.save_scale);
        writer.u8(asset.show_scale);
    }
    writer.u16(u16::try_from(config.markets.len()).expect("a configuration is validated"));
    for market in &config.markets {
        writer.bytes(market.name.as_bytes());
        writer.u16(market.base.0);
        writer.u16(market.quote.0);
        writer.u8(market.base_scale);
        writer.u8(market.quote_scale);
        writer.u8(market.fee_scale);
        writer.i128(market.min_amount.coefficient);
        writer.u8(market.min_amount.scale);
    }
}

/// Reads what [`write_config`] wrote, and what stands behind it.
///
/// # Errors
/// When the bytes are no configuration of this version, or one that cannot work.
pub fn read_config(bytes: &[u8]) -> Result<(Config, &[u8]), CodecError> {
    let mut reader = Reader(bytes);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let update_window = reader.u64()?.cast_signed();
    let mut assets = Vec::new();
    for _ in 0..reader.u16()? {
        assets.push(AssetConfig {
            name: reader.text()?.to_owned(),
            save_scale: reader.u8()?,
            show_scale: reader.u8()?,
        });
    }
    let mut markets = Vec::new();
    for _ in 0..reader.u16()? {
        markets.push(MarketConfig {
            name: reader.text()?.to_owned(),
            base: AssetId(reader.u16()?),
            quote: AssetId(reader.u16()?),
            base_scale: reader.u8()?,
            quote_scale: reader.u8()?,
            fee_scale: reader.u8()?,
            min_amount: Decimal { coefficient: reader.i128()?, scale: reader.u8()? },
        });
    }
    let is_known = |asset: AssetId| usize::from(asset.0) < assets.len();
    if !markets.iter().all(|market| is_known(market.base) && is_known(market.quote)) {
        return Err(CodecError::Value("asset of a market"));
    }
    let config = Config { assets, markets, update_window };
    let config = config.validate().map_err(|_| CodecError::Value("configuration"))?;
    Ok((config, reader.0))
}
