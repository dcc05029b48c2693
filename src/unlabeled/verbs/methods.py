"""What methods there are, and what can be set on each."""

from dataclasses import dataclass

from unlabeled import catalog


@dataclass(frozen=True)
class Methods:
    """The catalog of methods, or one of them with its settings.

    Args:
        entries: what is known of each method.
        alone: whether one method was asked for by name.
    """

    entries: tuple[catalog.Entry, ...]
    alone: bool

    def lines(self) -> list[str]:
        """The catalog, one line a method; or all about the one that was asked for."""
        if self.alone:
            return _about(self.entries[0])
        rows = [(e.name, str(e.facts.get("family", "")), _cost(e), e.summary) for e in self.entries]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        text = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
        return [
            *text,
            "",
            "The figure is the time of a step beside SimCLR's, each method with its own encoder.",
            'Settings of one: "unlabeled methods NAME". Compared with random, PCA and supervised: "unlabeled compare".',
        ]


def methods(name: str | None = None) -> Methods:
    """List the methods, one line each; with a name, show what can be set on that one.

    Args:
        name: a method of the catalog, or the path of your own .py file.

    Raises:
        UserError: when there is no such method.

    Example:
        unlabeled methods simclr

    >>> print(methods("simclr").lines()[0])
    simclr: Contrast two views of each item against all others (Chen et al. 2020, arXiv:2002.05709).
    """
    chosen = [name] if name else catalog.names("methods")
    entries = tuple(catalog.entry("methods", n) for n in chosen)
    return Methods(entries, alone=name is not None)


def _modalities(entry: catalog.Entry) -> str:
    there = catalog.names("modalities")
    return " ".join(m for m in entry.facts.get("modalities", ("image",)) if m in there)


def _cost(entry: catalog.Entry) -> str:
    measured = float(entry.facts.get("cost", 0.0))
    return f"{measured:.1f} x" if measured else ""


def _about(entry: catalog.Entry) -> list[str]:
    text = [
        f"{entry.name}: {entry.summary}",
        f"family {entry.facts.get('family') or 'not given'}; for {_modalities(entry)}; "
        f"encoder {entry.encoder} unless given",
    ]
    wants, when, cost = (str(entry.facts.get(k, "")) for k in ("wants", "when", "cost"))
    text += [f"wants {wants}"] if wants else []
    text += [f"take it {when}"] if when else []
    text += [f"a step takes {float(cost):.1f} times as long as SimCLR's"] if cost and float(cost) else []
    text.append("")
    names = [f"--{p.name.replace('_', '-')}" for p in entry.parameters]
    width = max((len(n) for n in names), default=0)
    for flag, parameter in zip(names, entry.parameters, strict=True):
        default = "needed" if parameter.default is catalog.REQUIRED else f"default {parameter.default}"
        text.append(f"  {flag.ljust(width)}  {parameter.help} [{parameter.annotation}, {default}]")
    if not names:
        text.append("  nothing to set")
    return [*text, "", f"unlabeled pretrain photos/ --method {entry.name}"]
