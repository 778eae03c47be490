"""All that knows mitmproxy: hooks, layers, flows and commands."""
