"""What `mitmdump -s addon/mock.py` loads. mitmproxy executes it again at each edit: all state lives in `latehook`."""

from latehook.addon import Door

addons = [Door(__file__)]
