"""The operator's command line."""

import gc

# Python looks for garbage after every 700 objects made: in a start that imports two thousand modules, and for each
# command served, a fifth of all work. This many made and not freed, and so many such rounds before older ones are
# looked at, costs a few megabytes at most.
gc.set_threshold(10_000, 20, 20)
