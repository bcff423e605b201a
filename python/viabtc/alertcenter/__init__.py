"""Alerts of all services: received, kept in Redis, grouped and sent to people."""
