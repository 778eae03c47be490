"""Expressions of mocks files: compiled at load, evaluated with limits. Pure: no I/O."""
