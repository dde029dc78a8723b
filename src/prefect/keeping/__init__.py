"""What a run keeps: which results it stores, which it takes from a store, and the record that it leaves.

`Flow.run(store=...)` passes here on its way to the engine, which asks a `Keeper` before each task. Knows
stores and the engine; what runs flows in other places knows it.
"""
