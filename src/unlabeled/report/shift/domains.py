"""Accuracy in each domain, with labels of all domains and with those of one left out."""

from typing import Any

from unlabeled.report.blocks import Block, Cell, Row, percent
from unlabeled.report.section import Section

TITLE = "Domains"


def section(source: Any) -> Section | None:
    """Gather a table for each setting; None where the data have no domains."""
    if not (source.path / "domains.csv").is_file():
        return None
    table, summary, blocks = source.frame("domains"), source.frame("domains_summary"), []
    for setting in table["setting"].unique():
        part = table[table["setting"] == setting]
        domains, rows = part["domain"].unique().tolist(), []
        for r in summary[summary["setting"] == setting].sort_values("mean", ascending=False).to_dict("records"):
            mine = part[part["arm"] == r["arm"]].set_index("domain")
            cells = [percent(*(float(mine.loc[d, c]) for c in ("accuracy", "low", "high"))) for d in domains]
            cells += [percent(r["mean"]), Cell(percent(r["worst"]).value, str(r["worst_domain"])), percent(r["gap"])]
            rows.append(Row(str(r["arm"]), cells, colour=source.colours[r["arm"]]))
        head = ["arm", *map(str, domains), "mean", "worst", "gap"]
        blocks.append(
            Block(
                str(setting)[:1].upper() + str(setting)[1:], caption=f"Accuracy in %, {setting}", head=head, rows=rows
            )
        )
    note = (
        "Domain left out: the probe has no label of it. The encoder has seen its pictures without labels, unless the "
        "run left them out."
    )
    return Section({"lead": note, "blocks": blocks})
