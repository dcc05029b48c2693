"""Objectives are pure functions: tensors in, one number out, no state."""
