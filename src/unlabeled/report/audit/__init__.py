"""The page of `unlabeled audit`: can the model be believed, for whom is it worse, and what if its items get worse."""
