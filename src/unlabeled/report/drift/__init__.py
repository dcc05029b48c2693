"""The page of `unlabeled drift`: its sections, each with a template of the same name beside it."""
