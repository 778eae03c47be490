"""Expressions of mocks files: compiled at load, evaluated within bounds. Pure: no I/O."""
