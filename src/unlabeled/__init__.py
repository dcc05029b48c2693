"""Lots of data, few labels: learn without labels, see which method is worth it, keep a model that can be trusted.

`import unlabeled as ul` costs nothing; each verb (`ul.scan`, `ul.pretrain`, ...) is imported at its first use.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from unlabeled.errors import UserError as UserError
    from unlabeled.verbs.audit import audit as audit
    from unlabeled.verbs.bundle import bundle as bundle
    from unlabeled.verbs.compare import compare as compare
    from unlabeled.verbs.demo import demo as demo
    from unlabeled.verbs.detect import detect as detect
    from unlabeled.verbs.drift import drift as drift
    from unlabeled.verbs.embed import embed as embed
    from unlabeled.verbs.evaluate import evaluate as evaluate
    from unlabeled.verbs.explain import explain as explain
    from unlabeled.verbs.export import export as export
    from unlabeled.verbs.finetune import finetune as finetune
    from unlabeled.verbs.load import load as load
    from unlabeled.verbs.methods import methods as methods
    from unlabeled.verbs.predict import predict as predict
    from unlabeled.verbs.pretrain import pretrain as pretrain
    from unlabeled.verbs.report import report as report
    from unlabeled.verbs.scan import scan as scan
    from unlabeled.verbs.serve import serve as serve
    from unlabeled.verbs.shift import shift as shift
    from unlabeled.verbs.transfer import transfer as transfer


class _Package(ModuleType):
    """This package as a module on which a verb keeps its name though a folder (`methods/`, `report/`) has the same."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and _is_verb(name)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name == "UserError":
            from unlabeled.errors import UserError

            return UserError
        if not _is_verb(name):
            raise AttributeError(f"module 'unlabeled' has no attribute {name!r}; see dir(unlabeled)")
        from unlabeled import catalog

        verb = catalog.load("verbs", name)
        super().__setattr__(name, verb)
        return verb

    def __dir__(self) -> list[str]:
        from unlabeled import catalog

        return sorted({*super().__dir__(), *catalog.names("verbs"), "UserError"})


def _is_verb(name: str) -> bool:
    return not name.startswith("_") and Path(__file__).with_name("verbs").joinpath(f"{name}.py").is_file()


sys.modules[__name__].__class__ = _Package
