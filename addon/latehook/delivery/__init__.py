"""Deliver webhooks: when each is due, its attempts, and what follows from their outcomes."""
