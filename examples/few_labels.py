"""How many labels does pretraining save on my pictures? The whole study in Python, and what can be read from it.

python examples/few_labels.py photos/ --minutes 30
"""

import argparse

import unlabeled as ul
from unlabeled.settings import Budget, Setup


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", default="few-labels")
    given = parser.parse_args()

    study = ul.compare(
        given.data,
        methods=["simclr", "examples/turns.py"],  # a method of the catalog and a file of one's own
        labels=[0.1, 1.0],
        seeds=1,
        budget=Budget(minutes=given.minutes),
        setup=Setup(out=given.out),
    )
    print(study.answer.sentence)
    for limit in study.answer.limits:
        print("but:", limit)

    accuracy = study.summary[study.summary["metric"] == "accuracy"]
    best = accuracy.loc[accuracy.groupby("labels")["mean"].idxmax()]
    print(best[["labels", "arm", "protocol", "mean", "low", "high"]].to_string(index=False))
    print("the page:", study.report)


if __name__ == "__main__":
    main()
