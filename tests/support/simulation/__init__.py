"""Histories of several processes on one store: their own code, on simulated networks, databases and clocks."""
