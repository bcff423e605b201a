"""Plays recorded order flow through the front door and proves that nothing went wrong."""
