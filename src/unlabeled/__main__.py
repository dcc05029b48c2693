"""`python -m unlabeled` is the same as `unlabeled`."""

from unlabeled.cli import main

if __name__ == "__main__":
    main()
