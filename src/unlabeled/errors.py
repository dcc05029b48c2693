"""One kind of error for everything that a user can mend: what is wrong, what was received, what to do."""


class UserError(Exception):
    """A mistake or obstacle outside the program, told in one line.

    Args:
        wrong: what is wrong and what was received, as one sentence without its full stop.
        remedy: what to do about it, as one sentence without its full stop.

    >>> str(UserError("cannot read steel/: no such folder", "check the path"))
    'cannot read steel/: no such folder; check the path.'
    """

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(f"{wrong}; {remedy}.")
        self.wrong = wrong
        self.remedy = remedy
