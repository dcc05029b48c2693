"""A model behind HTTP: requests share batches, limits hold before anything is decoded, nothing private leaves.

`app.build` puts it together; further routes (such as one that explains) come in by its `more`. No torch is imported
when the engine is `onnx`.
"""
