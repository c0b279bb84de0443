"""Run last by a process that forks others: no collector of garbage in these looks at what the process has imported."""

import gc
import inspect

# As dbt registers an adapter it looks at the stack, for which Python finds the source of every module, once in a process.
inspect.stack()
gc.collect()
gc.freeze()
gc.set_threshold(100_000, 10, 10)
