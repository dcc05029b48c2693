"""One reader a file: what lies on disk becomes arrays, or a reason in words why it does not."""


class Unreadable(Exception):
    """A single file that cannot be used; its text is the reason, in words."""
