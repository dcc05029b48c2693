"""A detector of faults, as it is served: /predict says which pictures are faulty and why, /map shows where."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, Field

from unlabeled.deploy.inspector import Inspector, Sights
from unlabeled.deploy.serve.desk import Desk, Files, file_of, png, refusals, uri
from unlabeled.deploy.serve.reader import Refused

LARGEST = 16_000_000  # pixels of a heat map; that of a larger picture is smaller than the picture


class Judged(BaseModel):
    """What is said of one picture."""

    score: float = Field(description="more is worse; only to be compared with other scores of this detector")
    p_value: float = Field(description="how likely a good picture is to look at least as odd, 0 to 1")
    flagged: bool = Field(description="whether the p-value is at most the rate of false alarms")
    why: str = Field(description="the p-value in words, and of a flagged picture the place that stands out most")
    map: str | None = Field(description="with map=true the picture in grey under its heat map, a PNG as a data URI")


class Answer(BaseModel):
    """What is said of the pictures of one request, in their order."""

    items: list[Judged]
    alarms: float = Field(description="the share of good pictures that may be flagged, by which these were")


class Faults:
    """A detector of faults.

    Args:
        inspector: loaded.
    """

    script = "faults.js"
    marks: Sequence[str] = ("judged", "flagged")

    def __init__(self, inspector: Inspector) -> None:
        self.inspector, self.name = inspector, inspector.name
        self.input: Mapping[str, Any] = {"modality": "image", "prep": inspector.judge.recipe.prep}
        self.about = f"{self.name}: which pictures are faulty, and where; learnt from good ones alone."

    def run(self, raw: np.ndarray) -> Sights:
        """Scores and maps of raw pictures (N, C, H, W)."""
        return self.inspector.look(raw)

    def health(self) -> Mapping[str, Any]:
        """What it is, and the rates of false alarms that it keeps to."""
        one, judge = self.inspector, self.inspector.judge
        return {
            "model": self.name,
            "detector": judge.detector,
            "good": one.good,
            "alarms": judge.rate,
            "least": one.least,
        }

    def routes(self, desk: Desk[Sights]) -> APIRouter:
        """Both paths; features, neighbours and explanations there are none."""
        routes = APIRouter(responses=refusals())
        about = "share of good pictures that may be flagged; the least is what there are good pictures enough for"
        limits = Query(ge=self.inspector.least, lt=1, allow_inf_nan=False, description=about)
        own = self.inspector.judge.rate

        @routes.post("/predict", summary="Score, p-value, whether it is flagged, and why")
        async def predict(
            files: Files,
            alarms: Annotated[float, limits] = own,
            map: Annotated[bool, Query(description="of one picture the heat map, too")] = False,
        ) -> Answer:
            if map:
                _one(files)
            judged = []
            for file, found in zip(files, await desk.answers(files), strict=True):
                [told] = self.inspector.told(found, alarms)
                drawn = uri(await self._drawn(file, found, desk)) if map else None
                desk.counts.marks["judged"] += 1
                desk.counts.marks["flagged"] += told["flagged"]
                judged.append(Judged(**told, map=drawn))
            return Answer(items=judged, alarms=alarms)

        @routes.post(
            "/map",
            summary="The picture in grey under its heat map, in its own size",
            response_class=Response,
            responses=file_of("image/png", "the heat map"),
        )
        async def heat(files: Files) -> Response:
            _one(files)
            [found] = await desk.answers(files)
            return Response(await self._drawn(files[0], found, desk), media_type="image/png")

        return routes

    async def _drawn(self, file: UploadFile, found: Sights, desk: Desk[Sights]) -> bytes:
        """The heat map of one picture as a PNG.

        Raises:
            Refused: when the picture is broken.
        """
        await file.seek(0)
        data = await file.read()

        def draw() -> bytes:
            return png(self.inspector.overlay(desk.reader.whole(data, LARGEST), found.maps[0]))

        return await asyncio.get_running_loop().run_in_executor(desk.decoders, draw)


def _one(files: Sequence[UploadFile]) -> None:
    """Refuse several pictures where each answer is a picture of its own."""
    if len(files) != 1:
        raise Refused(422, "send one file to have its map")
