"""What a run leaves behind: one file of JSON lines, from its beginning to its end.

The engine's events end here, and pages, pictures and lists of runs begin here. May import payload's
description of flows, core, and what stands below.
"""
