"""The door: `mitmdump -s addon/mock.py`. It is executed anew at every edit, so all that lasts lives in latehook/."""

from latehook.addon import Door

addons = [Door(__file__)]
