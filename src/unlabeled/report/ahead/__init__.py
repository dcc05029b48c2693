"""The pages of `unlabeled forecast` and `unlabeled impute`."""
