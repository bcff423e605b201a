//! What the journal's records mean: their kinds, and the configuration as a record.

use viabtc_engine::{AssetId, Config};

use crate::bytes::{Reader, Writer};
use crate::codec::{CodecError, VERSION, read_asset, read_market, write_asset, write_market};

/// An applied command: [`crate::codec::write_command`].
pub const KIND_COMMAND: u8 = 1;

/// The state's digest after the command of the same sequence: eight bytes, little endian.
pub const KIND_DIGEST: u8 = 2;

/// The configuration that the following commands were applied under, then the one that the file had, where
/// they differ: [`write_configs`].
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
        write_asset(&mut writer, asset);
    }
    writer.u16(u16::try_from(config.markets.len()).expect("a configuration is validated"));
    for market in &config.markets {
        write_market(&mut writer, market);
    }
}

/// A configuration, and the one that the file had when it was last read: what differs was changed by
/// commands. Builds that know of one configuration read the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configs {
    /// That commands are applied under.
    pub current: Config,
    /// Of the file.
    pub file: Config,
}

/// Appends both; the second one only when it differs.
pub fn write_configs(current: &Config, file: &Config, out: &mut Vec<u8>) {
    write_config(current, out);
    if file != current {
        write_config(file, out);
    }
}

/// Reads what [`write_configs`] wrote.
///
/// # Errors
/// As [`read_config`].
pub fn read_configs(bytes: &[u8]) -> Result<Configs, CodecError> {
    let (current, rest) = read_config(bytes)?;
    let file = if rest.is_empty() { current.clone() } else { read_config(rest)?.0 };
    Ok(Configs { current, file })
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
        assets.push(read_asset(&mut reader)?);
    }
    let mut markets = Vec::new();
    for _ in 0..reader.u16()? {
        markets.push(read_market(&mut reader)?);
    }
    let is_known = |asset: AssetId| usize::from(asset.0) < assets.len();
    if !markets.iter().all(|market| is_known(market.base) && is_known(market.quote)) {
        return Err(CodecError::Value("asset of a market"));
    }
    let config = Config { assets, markets, update_window };
    let config = config.validate().map_err(|_| CodecError::Value("configuration"))?;
    Ok((config, reader.0))
}
