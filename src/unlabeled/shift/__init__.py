"""How arms stand a change of the world: corruptions in five severities, other domains, strangers.

Nothing here learns from a test item: probes are fitted on clean training labels, thresholds are set on held-out
training items, and no setting is chosen by what the test shows.
"""
