"""Which fine-tunings were too short to be judged."""

import pandas as pd

FITTED = "fitted"  # share of its own labelled items that a fine-tuned net is right on


def too_short(summary: pd.DataFrame, winner: tuple[str, str]) -> dict[tuple[str, str], float]:
    """Contenders whose fine-tuning was too short to be judged: with the most labels, they are right on fewer of the
    items that they learnt from than the winner is on unseen ones.

    Args:
        summary: a study's `summary.csv`.
        winner: name and protocol of the best contender.

    Returns:
        Name and protocol, and the share of their own items that they are right on.
    """
    most = summary[summary["labels"] == summary["labels"].max()].set_index(["arm", "protocol"])
    accuracy, own = most[most["metric"] == "accuracy"]["mean"], most[most["metric"] == FITTED]["mean"]
    if winner not in accuracy.index:
        return {}
    bar = float(accuracy.loc[winner])
    return {(str(arm), str(protocol)): float(v) for (arm, protocol), v in own.items() if v < bar}
