"""The addon that a start of Latehook is compared with: it does nothing."""

addons: list[object] = []
