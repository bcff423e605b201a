"""Market data: candles, last prices and recent deals, kept up from deals and stored."""
