"""Make a mocks file of an OpenAPI document."""
