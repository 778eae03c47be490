"""What `latehook run` loads in the place of mock.py: it also says how to use the proxy, once that is ready."""

from latehook.addon import Door

addons = [Door(__file__, introduces=True)]
