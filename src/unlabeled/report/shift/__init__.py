"""The page of `unlabeled shift`: its sections, each with a template of the same name beside it."""
