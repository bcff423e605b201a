"""The engine with its journal, RPC port and operator console."""
