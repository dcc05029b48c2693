"""The page of `unlabeled transfer`: its sections, each with a template of the same name beside it."""
