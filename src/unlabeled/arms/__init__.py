"""The arms that stand in every comparison: what no pretraining, or no learning at all, would give.

An arm that is no method answers `features(items, looks, recipe, device)`, or none when it only learns from labels.
"""
