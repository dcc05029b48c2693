"""The one loop, and what it needs: devices, optimizers, checkpoints, run folders and a watch on the health of the
run.
"""
