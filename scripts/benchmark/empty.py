"""What a start is measured against: an addon that is nothing."""

addons = []
