"""Bodies of requests and answers, decoded with limits. Pure: no I/O."""
