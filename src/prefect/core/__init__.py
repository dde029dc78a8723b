"""Tasks, flows, states and what connects them: plain objects, no I/O (but for `drawing.render`)."""
