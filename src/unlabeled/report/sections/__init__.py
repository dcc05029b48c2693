"""The parts of the page, one a file: `section(study)` gathers what the `.html` beside it shows."""
