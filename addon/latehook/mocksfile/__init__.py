"""Mocks files: reading, checking and compiling them, and describing what they say."""
