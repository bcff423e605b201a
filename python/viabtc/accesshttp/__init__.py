"""JSON-RPC over HTTP, in front of the services that answer."""
