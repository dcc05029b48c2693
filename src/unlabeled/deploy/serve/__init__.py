"""A model behind HTTP: requests share batches, limits hold before anything is decoded, nothing private leaves.

`app.build` puts it together for whatever answers as `desk.Offer` says: `classes` offers a model that knows classes,
`faults` a detector of faults. Further routes come in by its `more`. No torch is imported when the engine is `onnx`.
"""
