"""Values, errors, the clock, durations, host names, JSON, redaction and log lines: what all packages share."""
