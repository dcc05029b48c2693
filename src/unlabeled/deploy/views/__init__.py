"""A modality's plain view as a module that can be exported; a file here is named after its modality.

A modality without a file here exports its own `plain` as it is.
"""
