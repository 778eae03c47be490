"""How providers sign, retry and address webhooks. Pure: no I/O."""
