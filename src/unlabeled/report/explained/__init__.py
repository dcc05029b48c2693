"""The page of `explain`: the answer, the places it hangs on, the nearest training items, what the maps are worth."""
