"""From a run to what stands on a production line or in a clinic: one folder, one file, one server, one watch.

`bundle` is the folder on disk, `net` the whole computation as one module, `make` fits and writes a bundle, `model`
predicts with it (by torch, or by onnxruntime without torch), `export` writes the one file, `serve` answers requests,
`pieces` keeps a long table of answers while it is written, `drift` compares what comes in with what was learnt from.
"""
