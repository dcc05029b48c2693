"""What only some users install."""

from importlib.util import find_spec

from unlabeled.errors import UserError


def need(*modules: str, extra: str = "export") -> None:
    """Refuse where a module of the extra is missing."""
    missing = [m for m in modules if find_spec(m) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} is not installed", f'pip install "unlabeled[{extra}]"')
