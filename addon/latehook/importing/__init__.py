"""Turns recordings and OpenAPI documents into mocks files, and compares mocks with recordings."""
