"""The control: the scorer behind one FastAPI endpoint, with nothing around it."""

import json
import os
from pathlib import Path

from fastapi import FastAPI, Request, Response

from c360ml.serving.champion import ChampionScorer

scorer = ChampionScorer(Path(os.environ["CONTROL_PROJECT"]))
app = FastAPI()


@app.get("/ping")
async def ping() -> Response:
    return Response()


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    records = json.loads(await request.body())["inputs"]
    answers = ",".join(scorer.answer(record).model_dump_json() for record in records)
    return Response(f'{{"predictions":[{answers}]}}', media_type="application/json")
