"""Websocket push: market data by query and by subscription, orders and balances of a user."""
