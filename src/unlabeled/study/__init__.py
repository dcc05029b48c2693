"""Which method is worth it on these data: methods x label budgets x seeds, cached cell by cell, resumable, to one
table.
"""
