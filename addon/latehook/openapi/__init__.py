"""PURE: reads OpenAPI documents: their text, their references, their operations and webhooks."""
