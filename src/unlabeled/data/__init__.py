"""From a path on disk to a table of items, its faults, its splits and its decoded store."""
