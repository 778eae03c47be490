"""Webhooks that are owed: when each is due, its attempts, and what follows from them."""
