"""Accepts requests, starts jobs, and carries out what a tester asks for."""
