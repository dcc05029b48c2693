"""What frozen features know of values that are not there: those that come next, and those that are missing."""
