//! Commands of our own kinds, and the assets and markets that they and configurations hold.

use viabtc_engine::{
    AssetConfig, AssetId, AssetSettings, Change, MarketConfig, MarketId, MarketSettings,
};

use super::CodecError;
use super::fields::{read_decimal, write_decimal};
use crate::bytes::{Reader, Writer};

pub(super) fn write_change(writer: &mut Writer<'_>, change: &Change) {
    match change {
        Change::Halt(market) => {
            writer.u8(1);
            writer.u16(market.0);
        }
        Change::Resume(market) => {
            writer.u8(2);
            writer.u16(market.0);
        }
        Change::AddAsset(asset) => {
            writer.u8(3);
            write_asset(writer, asset);
        }
        Change::SetAsset(asset, settings) => {
            writer.u8(4);
            writer.u16(asset.0);
            writer.u8(settings.save_scale);
            writer.u8(settings.show_scale);
        }
        Change::AddMarket(market) => {
            writer.u8(5);
            write_market(writer, market);
        }
        Change::SetMarket(market, settings) => {
            writer.u8(6);
            writer.u16(market.0);
            writer.u8(settings.base_scale);
            writer.u8(settings.quote_scale);
            writer.u8(settings.fee_scale);
            write_decimal(writer, settings.min_amount);
        }
    }
}

pub(super) fn read_change(reader: &mut Reader<'_>) -> Result<Change, CodecError> {
    Ok(match reader.u8()? {
        1 => Change::Halt(MarketId(reader.u16()?)),
        2 => Change::Resume(MarketId(reader.u16()?)),
        3 => Change::AddAsset(read_asset(reader)?),
        4 => {
            let asset = AssetId(reader.u16()?);
            let settings = AssetSettings { save_scale: reader.u8()?, show_scale: reader.u8()? };
            Change::SetAsset(asset, settings)
        }
        5 => Change::AddMarket(read_market(reader)?),
        6 => {
            let market = MarketId(reader.u16()?);
            let settings = MarketSettings {
                base_scale: reader.u8()?,
                quote_scale: reader.u8()?,
                fee_scale: reader.u8()?,
                min_amount: read_decimal(reader)?,
            };
            Change::SetMarket(market, settings)
        }
        _ => return Err(CodecError::Value("kind of change")),
    })
}

pub(crate) fn write_asset(writer: &mut Writer<'_>, asset: &AssetConfig) {
    writer.bytes(asset.name.as_bytes());
    writer.u8(asset.save_scale);
    writer.u8(asset.show_scale);
}

pub(crate) fn read_asset(reader: &mut Reader<'_>) -> Result<AssetConfig, CodecError> {
    Ok(AssetConfig {
        name: reader.text()?.to_owned(),
        save_scale: reader.u8()?,
        show_scale: reader.u8()?,
    })
}

pub(crate) fn write_market(writer: &mut Writer<'_>, market: &MarketConfig) {
    writer.bytes(market.name.as_bytes());
    writer.u16(market.base.0);
    writer.u16(market.quote.0);
    writer.u8(market.base_scale);
    writer.u8(market.quote_scale);
    writer.u8(market.fee_scale);
    write_decimal(writer, market.min_amount);
}

pub(crate) fn read_market(reader: &mut Reader<'_>) -> Result<MarketConfig, CodecError> {
    Ok(MarketConfig {
        name: reader.text()?.to_owned(),
        base: AssetId(reader.u16()?),
        quote: AssetId(reader.u16()?),
        base_scale: reader.u8()?,
        quote_scale: reader.u8()?,
        fee_scale: reader.u8()?,
        min_amount: read_decimal(reader)?,
    })
}
