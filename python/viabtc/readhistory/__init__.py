"""readhistory: finished orders, deals and balance changes, read from the history's store."""
