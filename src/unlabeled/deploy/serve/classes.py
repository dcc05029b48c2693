"""A model that knows classes, as it is served: /predict /embed /similar /explain /drift."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query

from unlabeled.deploy import drift, occlude
from unlabeled.deploy.engines import Answers
from unlabeled.deploy.model import Model
from unlabeled.deploy.serve.desk import Desk, Files, png, refusals, uri
from unlabeled.deploy.serve.reader import Refused
from unlabeled.deploy.similar import Neighbours
from unlabeled.errors import UserError

WINDOW = 500  # answers that /drift looks at


class Classes:
    """A model with its last answers.

    Args:
        model: loaded.
    """

    script = "classes.js"
    marks: Sequence[str] = ("abstained", "strange")

    def __init__(self, model: Model) -> None:
        self.model, self.last = model, deque[Answers](maxlen=WINDOW)
        self.name, self.input = str(model.facts["name"]), model.facts["input"]
        self.about = f"{self.name}: {self.input['modality']} items, {len(model.classes)} classes."
        kept = {} if model.bundle is None else model.bundle.reference()
        self.memory = Neighbours.of(kept) if kept else None
        self.reference = {k: v for k, v in kept.items() if k.startswith("drift/")}

    def run(self, raw: np.ndarray) -> Answers:
        """Answers on raw items (N, ...)."""
        return self.model.engine.run(raw)

    def health(self) -> Mapping[str, Any]:
        """Name, of what items, classes and when it was made."""
        told = {"model": self.name, "modality": self.input["modality"], "classes": self.model.classes}
        return told | {"created": self.model.facts["created"]}

    def routes(self, desk: Desk[Answers]) -> APIRouter:
        """All that it answers."""
        routes = APIRouter(responses=refusals())
        also = refusals({404: "This model does not do that."})

        @routes.post(
            "/predict", summary="Label, probabilities, label set, strangeness, and where it would rather not say"
        )
        async def predict(files: Files) -> dict[str, Any]:
            notes: list[tuple[str, ...]] = []
            found = await desk.answers(files, notes)
            return {"items": [self._told(a, desk) | {"notes": list(n)} for a, n in zip(found, notes, strict=True)]}

        @routes.post("/embed", summary="Features")
        async def embed(files: Files) -> dict[str, Any]:
            return {"features": [found.features[0].tolist() for found in await desk.answers(files)]}

        @routes.post("/similar", summary="The items learnt from that are most alike", responses=also)
        async def similar(files: Files, k: Annotated[int, Query(ge=1, le=50)] = 5) -> dict[str, Any]:
            if self.memory is None:
                raise Refused(404, "this model remembers no items")
            return {"items": [self._near(found, k, self.memory) for found in await desk.answers(files)]}

        @routes.post(
            "/explain",
            summary="The places that the label hangs on: how far covering each lowers its log-odds",
            responses=also,
        )
        async def explain(files: Files) -> dict[str, Any]:
            if len(files) != 1:
                raise Refused(422, "send one file; it is looked at many times")
            [raw] = await desk.decoded(files)
            return {"items": [await self._explained(raw, desk)]}

        @routes.get(
            "/drift",
            summary="Are the last items still like those learnt from?",
            responses=refusals({409: "Too few items were seen."}),
        )
        def drifted(rate: Annotated[float, Query(ge=0.01, le=0.5)] = 0.05) -> dict[str, Any]:
            return self._drifted(rate)

        return routes

    def _told(self, found: Answers, desk: Desk[Answers]) -> dict[str, Any]:
        """What is said of an item; counted and remembered for /drift."""
        [one] = self.model.told(found)
        self.last.append(found)
        desk.counts.labels[one["label"]] += 1
        desk.counts.marks["abstained"] += one["abstain"]
        desk.counts.marks["strange"] += one["why"].startswith("unlike")
        shares = {c: float(one.pop(f"p({c})")) for c in self.model.classes}
        return one | {"probabilities": shares}

    def _near(self, found: Answers, k: int, memory: Neighbours) -> list[dict[str, Any]]:
        """The remembered items most like one, with small pictures where the bundle holds any."""
        numbers, alike = memory.nearest(found.features, k)
        return [
            {"number": int(n), "label": self.model.classes[memory.labels[n]], "similarity": float(a),
             "thumbnail": None if memory.thumbs is None else uri(png(memory.thumbs[int(n)]))}
            for n, a in zip(numbers[0], alike[0], strict=True)
        ]  # fmt: skip

    async def _explained(self, raw: np.ndarray, desk: Desk[Answers]) -> dict[str, Any]:
        """The label of an item and the map of what it hangs on; its copies wait in the queue like everybody's items,
        a batch at a time.

        Raises:
            Refused: when such items cannot be covered part by part.
            Busy: when too many wait.
        """
        try:
            found = occlude.covered(raw, desk.reader.modality, desk.reader.prep)
        except UserError as error:
            raise Refused(404, error.wrong) from None
        whole, *parts = await desk.in_turn([raw, *found.copies])
        label = int(whole.probabilities[0].argmax())
        odds = occlude.odds(np.concatenate([one.probabilities for one in (whole, *parts)]), label)
        heat = occlude.told(found, float(odds[0]), odds[1:])
        picture = uri(png(occlude.overlay(raw, heat))) if raw.ndim == 3 else None
        told = {"label": self.model.classes[label], "map": heat.round(4).tolist(), "picture": picture}
        return told | {"words": desk.reader.words(raw)}

    def _drifted(self, rate: float) -> dict[str, Any]:
        """Whether the last answers are still like those on the reference.

        Raises:
            Refused: when too few were given.
        """
        last = list(self.last)
        if not self.reference or len(last) < drift.FEWEST:
            raise Refused(409, f"{len(last)} items were seen; {drift.FEWEST} are needed, and a bundle's reference")
        names = ("features", "probabilities", "strangeness")
        new = {k: np.concatenate([getattr(a, k) for a in last]) for k in names}
        old = {k: self.reference[f"drift/{k}"] for k in names}  # all: its first part may lack classes
        try:
            found = drift.compare(old, new, self.model.limits, rate=rate, permutations=199)
        except UserError as error:  # the model holds too few reference items
            raise Refused(409, error.wrong) from None
        checks = {c.name: {"reference": c.reference, "now": c.now, "p": c.p} for c in found.checks}
        return {"alarm": found.alarm, "p": found.p, "items": found.items, "sentence": found.sentence, "checks": checks}
